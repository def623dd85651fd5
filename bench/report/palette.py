"""The pictures' colours: Okabe and Ito's, which colour-blind people can tell apart."""

from __future__ import annotations

from bench.peers import OURS

COLOURS = {
    OURS: "#0072B2",
    "torch": "#E69F00",
    "onnxruntime": "#009E73",
    "openvino": "#CC79A7",
    "ncnn": "#999999",
}
INK = "#222222"
FAINT = "#777777"
