"""Serve voice activity detection to many clients at once, by `lstm_native.Sessions`.

Clients send audio over a websocket, and get a probability of speech for every 32 ms of it. A page
shows all of them, with the latencies. The model is that of `voice_activity.py`.

    pip install -r examples/requirements-serve.txt
    pip install --no-deps -r examples/requirements-no-deps.txt
    python examples/serve.py [--port N] [--clients N] [--threads N]

The parts are in the folder `live`. Those of the voice activity example are used as they are.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from cli.errors import InputError
from cli.packages import check_packages
from cli.threads import thread_count

PACKAGES = (
    "lstm_native",
    "onnx",
    "onnxruntime",
    "silero_vad",
    "starlette",
    "uvicorn",
    "websockets",
)
WHERE = "examples/requirements-serve.txt, examples/requirements-no-deps.txt (silero_vad)"


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Serve voice activity detection.")
    parser.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    parser.add_argument(
        "--port", type=int, default=8000, help="default: %(default)s; 0: a free one"
    )
    parser.add_argument(
        "--clients", type=int, default=500, help="how many at once (default: %(default)s)"
    )
    parser.add_argument(
        "--threads", metavar="N", type=thread_count, help="for lstm_native (default: its own)"
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until interrupted; return 0, or 2 for what cannot be worked with."""
    options = parse_arguments(arguments)
    try:
        check_packages(PACKAGES, WHERE)
        # Imported here, so that their absence can be reported.
        import uvicorn  # noqa: PLC0415

        from live.application import application  # noqa: PLC0415
        from live.detector import Detector  # noqa: PLC0415

        detector = Detector(options.clients, options.threads)
    except InputError as error:
        print(f"serve: {error}", file=sys.stderr)
        return 2
    # The thread that steps gives the interpreter up and takes it back several times per round. Each
    # time it waits for the event loop's thread, for 5 ms if that is busy and nothing is set.
    sys.setswitchinterval(0.0005)
    # Compression would take more time than the LSTM.
    uvicorn.run(
        application(detector),
        host=options.host,
        port=options.port,
        access_log=False,
        ws_per_message_deflate=False,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
