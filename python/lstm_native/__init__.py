"""A fast LSTM for CPUs, without a framework.

`lstm` is a function on arrays, with the signature of `ivy.lstm`; `LSTM` is an operator with one
flat weight, with the interface of `mindspore.ops.LSTM`; `lstm_vjp` and `LSTMGrad` are their
gradients. `load` makes a `Model` of a model file. `pack_weights` prepares weights for many calls.
`Stream` runs a stack step by step, `Sessions` many sequences that share weights. `explain` says
what a call does and what bounds it. A `MemoryPool` keeps memory between calls.

Three modules are to be imported by name: `lstm_native.torch` has a module that replaces
`torch.nn.LSTM`, `lstm_native.jax` a function for JAX, `lstm_native.onnx` ONNX's operator LSTM as a
function. `ArrayLike` and `Weights` are the types of arguments, for annotations.
"""

import importlib
from typing import TYPE_CHECKING

from lstm_native._extension import core as _loaded_core  # before NumPy: it refuses sub-interpreters

# isort: split
from lstm_native import cuda
from lstm_native._cell import Cell
from lstm_native._config import (
    get_adaptive_threads,
    get_config,
    get_flush_subnormals,
    get_num_threads,
    set_adaptive_threads,
    set_flush_subnormals,
    set_num_threads,
    show_config,
)
from lstm_native._functional import lstm
from lstm_native._memory import MemoryPool
from lstm_native._packing import PackedWeights, Weights, pack_weights
from lstm_native._random import manual_seed
from lstm_native._types import ArrayLike

if TYPE_CHECKING:
    from lstm_native._explanation import Explanation, LayerExplanation, explain
    from lstm_native._grad import LSTMGrad
    from lstm_native._model import Model, load
    from lstm_native._op import LSTM
    from lstm_native._sessions import Sessions
    from lstm_native._stream import Stream
    from lstm_native._vjp import Pullback, lstm_vjp
else:
    _MODULES = {
        "_explanation": ("Explanation", "LayerExplanation", "explain"),
        "_grad": ("LSTMGrad",),
        "_model": ("Model", "load"),
        "_op": ("LSTM",),
        "_sessions": ("Sessions",),
        "_stream": ("Stream",),
        "_vjp": ("Pullback", "lstm_vjp"),
    }

    def __getattr__(name):
        """Import a name at its first use. Without these modules the import takes a third less."""
        for module, names in _MODULES.items():
            if name in names:
                value = getattr(importlib.import_module(f"lstm_native.{module}"), name)
                globals()[name] = value
                return value
        raise AttributeError(f"module 'lstm_native' has no attribute {name!r}")

    def __dir__():
        return sorted({*globals(), *__all__})


__version__: str = _loaded_core.version()

__all__ = [
    "LSTM",
    "ArrayLike",
    "Cell",
    "Explanation",
    "LSTMGrad",
    "LayerExplanation",
    "MemoryPool",
    "Model",
    "PackedWeights",
    "Pullback",
    "Sessions",
    "Stream",
    "Weights",
    "__version__",
    "cuda",
    "explain",
    "get_adaptive_threads",
    "get_config",
    "get_flush_subnormals",
    "get_num_threads",
    "load",
    "lstm",
    "lstm_vjp",
    "manual_seed",
    "pack_weights",
    "set_adaptive_threads",
    "set_flush_subnormals",
    "set_num_threads",
    "show_config",
]
