"""A stack of layers with its weights, from the arrays of a program or from a model file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from html import escape
from os import PathLike
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np

from lstm_native import _validate
from lstm_native._argument_names import ArgumentNames
from lstm_native._arrays import RealArray, as_real, widened
from lstm_native._cell import STANDARD, Cell
from lstm_native._functional import lstm
from lstm_native._gate_order import IFGO, check_gate_order
from lstm_native._loaders import _description as described
from lstm_native._loaders import _files
from lstm_native._loaders._metadata import Metadata
from lstm_native._packing import (
    PackedWeights,
    Weights,
    cell_of_call,
    check_compute,
    check_weight_dtype,
    pack_weights,
)
from lstm_native._stream import Stream
from lstm_native._types import (
    ArrayLike,
    BooleansLike,
    Compute,
    Direction,
    IntegersLike,
    MaskedOutput,
    OutDtypeLike,
    States,
    WeightDtype,
)

_WHOLE = ("float32", "float64")
_DTYPES = (*_WHOLE, *get_args(WeightDtype))
# What the functions that do the work call a method's arguments.
_OF_WEIGHTS = ArgumentNames(all_weights="weights")
_OF_CALLS = ArgumentNames(input="x", initial_states="state")
_OF_ASTYPE = ArgumentNames(all_weights="weights", weight_dtype="dtype")


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Model:
    """An LSTM with its weights, to be called.

    With T = seq_len, N = batch, I = input_size, H = hidden_size, L = num_layers and
    D = num_directions, as for `lstm`. Immutable and picklable; any number of threads may call the
    same one. `load` makes one of a model file, `from_torch`, `from_onnx`, `from_keras` and
    `from_jax` of what those libraries hold in memory.

    Parameters
    ----------
    weights : sequence of arrays, or PackedWeights
        For each layer, for each direction (forward before reverse): w_ih, w_hh[, b_ih][, b_hh]
        [, peephole][, w_hr], as for `lstm`. They are copied. PackedWeights bring what the other
        arguments say of weights: these keep their defaults, or repeat it. `astype` changes the
        precision.
    num_layers : int, default 1
    bidirectional : bool, default False
    batch_first : bool, default False
        Whether calls take and return (N, T, ...).
    has_ih_bias, has_hh_bias : bool, default True
        Whether `weights` includes b_ih, b_hh.
    weight_dtype : {"float16", "bfloat16", "int8"}, optional
    compute : {"bfloat16", "int8"}, optional
        As for `pack_weights`.
    gate_order : str, default "ifgo"
        In which order `weights` holds the gates, as for `pack_weights`.
    cell : Cell, optional
        The cell, where it is not the standard one, or not that of PackedWeights; see `lstm`.
    direction : {"forward", "reverse"}
        Which end of a sequence the one direction begins with; see `lstm`.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As `pack_weights`; ValueError, too, if an argument contradicts PackedWeights.

    Examples
    --------
    >>> import numpy as np
    >>> import lstm_native
    >>> weights = [np.ones(s, np.float32) for s in [(8, 10), (8, 2), (8,), (8,)]]
    >>> model = lstm_native.Model(weights)
    >>> model
    <Model: 1 layer, 10 inputs, 2 units, float32>
    >>> output, (h_n, c_n) = model(np.ones((5, 3, 10), np.float32))
    >>> output.shape, h_n.shape
    ((5, 3, 2), (1, 3, 2))
    """

    __slots__ = ("_batch_first", "_cell", "_packed", "_reverse", "_source")

    _batch_first: bool
    _cell: Cell
    _packed: PackedWeights
    _reverse: bool
    _source: str | None

    def __init__(
        self,
        weights: Weights | PackedWeights,
        num_layers: int = 1,
        bidirectional: bool = False,
        *,
        batch_first: bool = False,
        has_ih_bias: bool = True,
        has_hh_bias: bool = True,
        weight_dtype: WeightDtype | None = None,
        compute: Compute | None = None,
        gate_order: str = IFGO,
        cell: Cell | None = None,
        direction: Direction = "forward",
    ) -> None:
        batch_first = _validate.boolean(batch_first, "batch_first")
        _validate.cell(cell)
        with _OF_WEIGHTS:
            if isinstance(weights, PackedWeights):
                _check_as_packed(
                    weights,
                    num_layers=_validate.layer_count(num_layers),
                    bidirectional=_validate.boolean(bidirectional, "bidirectional"),
                    has_ih_bias=_validate.boolean(has_ih_bias, "has_ih_bias"),
                    has_hh_bias=_validate.boolean(has_hh_bias, "has_hh_bias"),
                    weight_dtype=check_weight_dtype(weight_dtype),
                    compute=check_compute(compute, compute),
                    gate_order=check_gate_order(gate_order),
                )
            else:
                weights = pack_weights(
                    weights,
                    num_layers,
                    bidirectional,
                    has_ih_bias=has_ih_bias,
                    has_hh_bias=has_hh_bias,
                    weight_dtype=weight_dtype,
                    compute=compute,
                    gate_order=gate_order,
                    cell=cell,
                )
            checked = cell_of_call(cell, weights, None)
        reverse = _validate.direction(direction, weights.bidirectional)
        _set(self, weights, batch_first, None, checked, reverse)

    def __call__(
        self,
        x: ArrayLike,
        *,
        state: States | None = None,
        lengths: IntegersLike | None = None,
        batch_sizes: IntegersLike | None = None,
        num_threads: int | None = None,
        mask: BooleansLike | None = None,
        masked_output: MaskedOutput = "zero",
        out_dtype: OutDtypeLike | None = None,
    ) -> tuple[RealArray, tuple[RealArray, RealArray]]:
        """Run over whole sequences.

        Parameters
        ----------
        x : array, of the model's dtype
            Shape (T, N, I), or (N, T, I) if `batch_first`, or (sum(batch_sizes), I) for a packed
            sequence.
        state : tuple of two arrays, optional
            (h_0, c_0), both (L * D, N, H). Zeros by default. With a projection, h has P columns in
            place of H, here and below.
        lengths, batch_sizes, num_threads, mask, masked_output, out_dtype
            As for `lstm`. With Keras' padding, in front by default, `mask` is what its Masking and
            Embedding layers compute, and "last" what its LSTM layers return at masked steps.

        Returns
        -------
        output : numpy.ndarray
            Shape (T, N, D * H), (N, T, D * H) or (sum(batch_sizes), D * H), as x.
        (h_n, c_n) : tuple of numpy.ndarray
            The state after the last step of each sequence, both (L * D, N, H).

        Raises
        ------
        TypeError, ValueError, MemoryError
            As `lstm`, which computes it.
        """
        packed = self._packed
        array = as_real(x if packed.weight_dtype is None else widened(x), "x")
        if array.dtype != packed.dtype:
            raise TypeError(
                f"x: expected dtype {packed.dtype}, the model's, got {array.dtype}; "
                f"model.astype({str(array.dtype)!r}) takes it"
            )
        with _OF_CALLS:
            output, h_n, c_n = lstm(
                array,
                state,
                packed,
                packed.num_layers,
                0.0,
                False,
                packed.bidirectional,
                self._batch_first,
                batch_sizes,
                lengths=lengths,
                num_threads=num_threads,
                cell=self._cell_of_call,
                direction=self.direction,
                mask=mask,
                masked_output=masked_output,
                out_dtype=out_dtype,
            )
        return output, (h_n, c_n)

    def stream(self, batch: int = 1, *, num_threads: int | None = None) -> Stream:
        """Return a `Stream` with these weights: the model step by step, its state kept inside.

        Parameters
        ----------
        batch : int, default 1
            How many sequences advance together, N.
        num_threads : int, optional
            As for `Stream`.

        Returns
        -------
        Stream
            Its `step` takes (N, I). Its `run` takes and returns (T, N, ...), whatever `batch_first`
            is: a stream is a sequence of steps.

        Raises
        ------
        ValueError
            If the model is bidirectional or of direction "reverse", or `batch` is below 1.
        TypeError, MemoryError
            As `Stream`.
        """
        if self._reverse:
            raise ValueError(
                "stream: expected a model of direction 'forward', because the reverse one begins "
                "with the end of a sequence, which a stream has not seen; got 'reverse'"
            )
        return Stream(self._packed, batch, num_threads=num_threads, cell=self._cell_of_call)

    @property
    def packed(self) -> PackedWeights:
        """The weights, to be passed to `lstm`, `LSTM` and `Stream`."""
        return self._packed

    @property
    def input_size(self) -> int:
        return self._packed.input_size

    @property
    def hidden_size(self) -> int:
        return self._packed.hidden_size

    @property
    def num_layers(self) -> int:
        return self._packed.num_layers

    @property
    def bidirectional(self) -> bool:
        return self._packed.bidirectional

    @property
    def batch_first(self) -> bool:
        return self._batch_first

    @property
    def cell(self) -> Cell:
        """What a step computes."""
        return self._cell

    @property
    def direction(self) -> Direction:
        """Which end of a sequence the one direction begins with: "forward" or "reverse"."""
        return "reverse" if self._reverse else "forward"

    @property
    def _cell_of_call(self) -> Cell | None:
        """The cell that calls pass on; None, the fast path, where it is that of the weights."""
        return None if self._cell == self._packed.cell else self._cell

    @property
    def has_ih_bias(self) -> bool:
        return self._packed.has_ih_bias

    @property
    def has_hh_bias(self) -> bool:
        return self._packed.has_hh_bias

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64: of inputs, states and results."""
        return self._packed.dtype

    @property
    def weight_dtype(self) -> WeightDtype | None:
        """Either "float16", "bfloat16" or "int8", where the matrices are stored in fewer bits."""
        return self._packed.weight_dtype

    @property
    def compute(self) -> Compute | None:
        """Either "bfloat16" or "int8", where inputs and hidden states are rounded to it, too."""
        return self._packed.compute

    @property
    def nbytes(self) -> int:
        """Memory of the weights."""
        return self._packed.nbytes

    @property
    def source(self) -> str | None:
        """Where the model was read from: the file, and its name in it."""
        return self._source

    def state_dict(self) -> dict[str, RealArray]:
        """Return copies of the arrays by PyTorch's names: `weight_ih_l0`, `bias_hh_l1_reverse`.

        PyTorch has no peepholes; here they are called `peephole_l0`.

        Returns
        -------
        dict of str to numpy.ndarray
            Matrices stored in fewer bits come as float32.
        """
        packed = self._packed
        arrays = iter(_standing(packed))
        roles = ("weight_ih", "weight_hh") + ("bias_ih",) * packed.has_ih_bias
        roles += ("bias_hh",) * packed.has_hh_bias + ("peephole",) * self._cell.peepholes
        roles += ("weight_hr",) * (self._cell.proj_size > 0)
        directions = ("", "_reverse") if packed.bidirectional else ("",)
        return {
            f"{role}_l{layer}{direction}": next(arrays)
            for layer in range(packed.num_layers)
            for direction in directions
            for role in roles
        }

    def astype(self, dtype: Any, *, compute: Compute | None = None) -> Model:
        """Return the model in another precision.

        Parameters
        ----------
        dtype : {"float32", "float64", "float16", "bfloat16", "int8"} or numpy.dtype
            float32 and float64 are what calls take, compute in and return. The others store the
            matrices, as `weight_dtype` of `pack_weights` does; calls take and return float32.
        compute : {"bfloat16", "int8"}, optional
            As for `pack_weights`.

        Returns
        -------
        Model
            The same one, where it has this precision already.

        Raises
        ------
        TypeError, ValueError
            If `dtype` is none of these, `compute` does not go with it, or it cannot hold a weight.
        MemoryError
            If the memory can't be allocated.
        """
        name = _dtype_name(dtype)
        packed = self._packed
        if (name, compute) == (packed.weight_dtype or str(packed.dtype), packed.compute):
            return self
        whole = name if name in _WHOLE else "float32"
        arrays = [array.astype(whole, copy=False) for array in packed.unpack()]
        with _OF_ASTYPE:
            again = pack_weights(
                arrays,
                packed.num_layers,
                packed.bidirectional,
                packed.weights_transposed,
                packed.has_ih_bias,
                packed.has_hh_bias,
                weight_dtype=None if name in _WHOLE else cast(WeightDtype, name),
                compute=compute,
                cell=packed.cell,
            )
        return _made(again, self._batch_first, self._source, self._cell, self._reverse)

    @classmethod
    def from_torch(cls, module: Any, prefix: str = "") -> Model:
        """Make a model of a PyTorch module, or of its state_dict.

        Parameters
        ----------
        module : torch.nn.Module, or mapping of str to tensor or array
            A torch.nn.LSTM or LSTMCell, a module with one inside, or what `state_dict()` returned,
            also inside of the mapping that a training script saved.
            A state_dict does not tell `batch_first`, which counts as false. Dropout between layers,
            which is for training, is left out.
        prefix : str
            Which LSTM, where there are several: "encoder.lstm.".

        Returns
        -------
        Model

        Raises
        ------
        TypeError
            If `module` or `prefix` has the wrong type.
        ValueError
            If there is no LSTM, or several without a `prefix`, or an array is missing, one too
            many, or of the wrong shape or dtype. The message names its key.
        """
        from lstm_native._loaders import _torch  # noqa: PLC0415  # when needed: imports stay fast

        _check_name(prefix, "prefix")
        return model_of(_torch.from_module_or_state(module, prefix))

    def to_torch(self) -> Any:
        """Return a torch.nn.LSTM with these weights, in evaluation mode.

        Its parameters are float32 or float64; where the model has one bias, the other is zero.

        Returns
        -------
        torch.nn.LSTM

        Raises
        ------
        ValueError
            If the model's cell or its direction is one that torch.nn.LSTM does not have.
        ImportError
            If the package torch is not installed.
        """
        from lstm_native._loaders import _torch  # noqa: PLC0415

        proj_size = self._cell.proj_size
        if self._cell != Cell(proj_size=proj_size):
            raise ValueError(
                "to_torch: expected a model of the standard cell, as torch.nn.LSTM is, "
                f"got {self._cell}"
            )
        if self._reverse:
            raise ValueError(
                "to_torch: expected a model of direction 'forward', as torch.nn.LSTM is, "
                "got 'reverse'"
            )
        options = {
            "input_size": self.input_size,
            "hidden_size": self.hidden_size,
            "num_layers": self.num_layers,
            "bidirectional": self.bidirectional,
            "batch_first": self._batch_first,
            "proj_size": proj_size,
        }
        return _torch.to_module(self.state_dict(), options)

    @classmethod
    def from_onnx(cls, model: Any, node: str | None = None) -> Model:
        """Make a model of an LSTM node of an ONNX model, or of nodes that are a stack of layers.

        Layers follow each other by way of Squeeze, Transpose, Reshape and Dropout. Where the graph
        takes or computes states and lengths, each call takes them: `state=`, `lengths=`.

        Parameters
        ----------
        model : onnx.ModelProto, or path of a file
        node : str, optional
            Which LSTM, where there are several: a node's name, or its first output's where it has
            none; any node of a stack chooses the stack.

        Returns
        -------
        Model

        Raises
        ------
        TypeError
            If `model` or `node` has the wrong type.
        ValueError, OSError
            As `load`.
        ImportError
            If the package onnx is not installed.
        """
        from lstm_native._loaders import _onnx  # noqa: PLC0415

        if isinstance(model, str | PathLike):
            return load(model, node=node)
        if node is not None:
            _check_name(node, "node")
        return model_of(_onnx.from_model(model, node))

    @classmethod
    def from_keras(cls, layer_or_path: Any, layer: str | None = None) -> Model:
        """Make a model of a Keras layer, of LSTM layers of a Keras model, or of those in a file.

        The result is batch first, as Keras is. Its output holds all steps; of a layer without
        return_sequences the last one is `h_n`. The mask of a Masking or an Embedding layer is a
        call's `mask=`. At masked steps LSTM layers return what `masked_output="last"` does, and
        zeros with zero_output_for_mask or inside of a Bidirectional layer.

        Parameters
        ----------
        layer_or_path : Keras layer or model, or path of a file (.keras, .h5)
            LSTM, Bidirectional around one with merge_mode "concat", or a model with them.
        layer : str, optional
            Which one, where a model has several: its name, "encoder/lstm" inside another model;
            any layer of a stack chooses the stack.

        Returns
        -------
        Model

        Raises
        ------
        TypeError
            If `layer_or_path` or `layer` has the wrong type.
        ValueError, OSError
            As `load`.
        ImportError
            If a file is read and the package h5py is not installed.
        """
        from lstm_native._loaders import _keras  # noqa: PLC0415

        if isinstance(layer_or_path, str | PathLike):
            return load(layer_or_path, layer=layer)
        if layer is not None:
            _check_name(layer, "layer")
        return model_of(_keras.from_object(layer_or_path, layer))

    @classmethod
    def from_jax(
        cls,
        params: Any,
        *,
        input_size: int | None = None,
        hidden_size: int | None = None,
        num_layers: int = 1,
        bidirectional: bool = False,
        batch_first: bool = False,
    ) -> Model:
        """Make a model of parameters of flax, or of the flat weight of jax.experimental.rnn.

        Parameters
        ----------
        params : mapping, sequence of layers, or flat array
            From flax (linen or nnx): the parameters of an LSTMCell or OptimizedLSTMCell, or a tree
            with one of them (for nnx, what nnx.to_pure_dict returns). A stack is a list of these;
            two directions are pairs (forward, reverse). Parameters do not tell a cell's functions,
            which must be sigmoid and tanh.
        input_size, hidden_size, num_layers, bidirectional
            The sizes of a flat weight, as jax.experimental.rnn takes them. Cells tell theirs.
        batch_first : bool, default False
            Whether calls take and return (N, T, ...), as flax' RNN and jax.experimental.rnn do.

        Returns
        -------
        Model

        Raises
        ------
        TypeError, ValueError
            If `params` hold no LSTM, an array has the wrong shape, or a size contradicts them.
        """
        from lstm_native._loaders import _jax  # noqa: PLC0415

        sizes = _jax.FlatSizes(input_size, hidden_size, num_layers, bidirectional)
        return model_of(_jax.from_params(params, sizes), batch_first)

    def to_onnx(self) -> Any:
        """Return an onnx.ModelProto that computes the same: input, h_0, c_0 to output, h_n, c_n.

        Shapes are those of a call; numbers are float32 or float64, with the values that the model
        computes with. ONNX has no LSTM with a projection or in int8.

        Returns
        -------
        onnx.ModelProto

        Raises
        ------
        ValueError
            If the model has a projection, or rounds inputs and hidden states ("int8", `compute`).
        ImportError
            If the package onnx is not installed.
        """
        from lstm_native._loaders import _onnx_writer  # noqa: PLC0415

        if self._cell.proj_size:
            raise ValueError(
                "to_onnx: expected a model without a projection, which ONNX's operator LSTM does "
                f"not have, got {self._cell}"
            )
        if self.weight_dtype == "int8" or self.compute is not None:
            raise ValueError(
                "to_onnx: expected a model whose inputs and hidden states are not rounded, as in "
                f"ONNX's operator LSTM, got weight_dtype={self.weight_dtype!r} and "
                f"compute={self.compute!r}; model.astype('float32') has the same weights"
            )
        return _onnx_writer.write(self._description(), self._metadata())

    def save(self, path: str | PathLike[str]) -> None:
        """Write the model into a file, from which `load` makes the same one.

        Parameters
        ----------
        path : str or path
            Ends in `.safetensors`: arrays by PyTorch's names, matrices in as many bits as the model
            stores them in (with "int8", integers and a scale for each row, `weight_ih_l0_scale`),
            and the rest as metadata. Or in `.onnx`: what `to_onnx` returns.

        Raises
        ------
        TypeError, ValueError
            If `path` is no path or ends otherwise, or as `to_onnx`.
        ImportError
            If the package safetensors or onnx is not installed, or, for bfloat16, ml_dtypes.
        OSError
            If the file can't be written.
        """
        target = check_target(path, "path")
        _WRITERS[target.suffix.lower()](self, target)

    def _metadata(self) -> Metadata:
        return Metadata(
            self._batch_first,
            self.weight_dtype,
            self.has_ih_bias,
            self.has_hh_bias,
            cell=self._cell,
            reverse=self._reverse,
            compute=self.compute,
        )

    def _description(self) -> described.Description:
        """Return the weights as plain data."""
        packed = self._packed
        arrays = iter(_standing(packed))

        def weights() -> described.Weights:
            return described.Weights(
                input=next(arrays),
                hidden=next(arrays),
                input_bias=next(arrays) if packed.has_ih_bias else None,
                hidden_bias=next(arrays) if packed.has_hh_bias else None,
                peephole=next(arrays) if self._cell.peepholes else None,
                projection=next(arrays) if self._cell.proj_size else None,
            )

        directions = 2 if packed.bidirectional else 1
        return described.Description(
            source=self._source or "",
            layers=tuple(
                tuple(weights() for _ in range(directions)) for _ in range(packed.num_layers)
            ),
            batch_first=self._batch_first,
            reverse=self._reverse,
            cells=(self._cell,),
        )

    def _facts(self) -> dict[str, str]:
        """Return what `repr` says, in words."""
        layers = self.num_layers
        both = " (both directions)" if self.bidirectional else ""
        stored = f"{self.dtype}" + (f", {self.weight_dtype} weights" if self.weight_dtype else "")
        stored += f", {self.compute} products" if self.compute else ""
        return {
            "layers": f"{layers} layer{'s' if layers > 1 else ''}{both}",
            "inputs": f"{self.input_size} inputs",
            "units": f"{self.hidden_size} units",
            "numbers": stored,
            **({} if self._cell == STANDARD else {"cell": f"{self._cell}"}),
            **({"direction": "from the end"} if self._reverse else {}),
            **({"arrays": "batch first"} if self._batch_first else {}),
            **({"source": f"from {self._source}"} if self._source else {}),
        }

    def __repr__(self) -> str:
        return f"<Model: {', '.join(self._facts().values())}>"

    def _repr_html_(self) -> str:
        facts = {**self._facts(), "memory": f"{self.nbytes:,} bytes"}
        rows = "".join(
            f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>"
            for name, value in facts.items()
        )
        return f"<table><caption>lstm_native.Model</caption>{rows}</table>"

    def __copy__(self) -> Model:
        return self

    def __deepcopy__(self, memo: Any) -> Model:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        values = (self._packed, self._batch_first, self._source, self._cell, self._reverse)
        return _made, values


def load(
    path: str | PathLike[str],
    *,
    prefix: str | None = None,
    node: str | None = None,
    layer: str | None = None,
    batch_first: bool | None = None,
) -> Model:
    """Make a `Model` of the LSTM in a model file.

    Parameters
    ----------
    path : str or path
        Its ending names the format: `.safetensors`; `.pt`, `.pth` or `.bin` of PyTorch, read with
        weights_only=True; `.onnx`; `.keras`, `.h5` or `.hdf5` of Keras.
    prefix, node, layer : str, optional
        Which LSTM, where the file has several: the prefix of its keys (safetensors, PyTorch), its
        node (ONNX; any one of a stack), its layer (Keras). The error for a file with several lists
        them.
    batch_first : bool, optional
        Whether calls take and return (N, T, ...). By default as the file says; where it does not
        (PyTorch's state_dict), false.

    Returns
    -------
    Model

    Raises
    ------
    TypeError
        If an argument has the wrong type.
    ValueError
        If the file is not what its ending says, has no LSTM or several, lacks a key or has one too
        many, or its LSTM is of a kind that is not supported yet. The message names the file, the
        key, what was expected and what was found.
    ImportError
        If the format's own library is not installed. The message says what to install.
    OSError
        If the file can't be read.
    """
    file = _files.checked_path(path)
    reader = _files.reader_of(file)
    given = {"prefix": prefix, "node": node, "layer": layer}
    for name, value in given.items():
        if value is None:
            continue
        _check_name(value, name)
        if name != reader.argument:
            raise ValueError(
                f"{name}: expected None for a {file.suffix} file, whose LSTMs are chosen by "
                f"{reader.argument}=, got {value!r}"
            )
    description = reader.read(given[reader.argument])
    return model_of(description, batch_first)


def check_target(path: object, argument: str) -> Path:
    """Return the path of a file that `save` can write; ValueError for another ending."""
    target = _files.checked_path(path, argument)
    if target.suffix.lower() not in _WRITERS:
        raise ValueError(
            f"{argument}: expected a name that ends in {', '.join(_WRITERS)}, got {target.name!r}"
        )
    return target


def model_of(description: described.Description, batch_first: bool | None = None) -> Model:
    """Make a model of a reader's plain data."""
    described.check_supported(description)
    if batch_first is None:
        batch_first = description.batch_first
    batch_first = _validate.boolean(batch_first, "batch_first")
    cells = [weights for layer in description.layers for weights in layer]
    _check_uniform(description, cells)
    has_ih = any(cell.input_bias is not None for cell in cells)
    has_hh = any(cell.hidden_bias is not None for cell in cells)
    arrays = []
    for cell in cells:
        arrays += [cell.input, cell.hidden]
        zeros = np.zeros(len(cell.input), cell.input.dtype)
        if has_ih:
            arrays.append(zeros if cell.input_bias is None else cell.input_bias)
        if has_hh:
            arrays.append(zeros if cell.hidden_bias is None else cell.hidden_bias)
        if cell.peephole is not None:
            arrays.append(cell.peephole)
        if cell.projection is not None:
            arrays.append(cell.projection)
    kind = description.cells[0]
    packed = pack_weights(
        arrays,
        len(description.layers),
        len(description.layers[0]) == 2,
        has_ih_bias=has_ih,
        has_hh_bias=has_hh,
        weight_dtype=description.weight_dtype,
        compute=description.compute,
        gate_order=description.gate_order,
        cell=kind,
    )
    return _made(packed, batch_first, description.source, kind, description.reverse)


def _check_as_packed(packed: PackedWeights, **given: Any) -> None:
    """Refuse an argument that contradicts packed weights and is not its default."""
    usual = {"num_layers": 1, "bidirectional": False, "has_ih_bias": True, "has_hh_bias": True}
    for name, value in given.items():
        # They unpack in this order, whatever they were packed from.
        own = IFGO if name == "gate_order" else getattr(packed, name)
        if value not in (own, usual.get(name)):
            hint = {
                "weight_dtype": f"; use Model(packed).astype({value!r})",
                "compute": f"; use Model(packed).astype({value!r}, compute={value!r})",
            }.get(name, "")
            raise ValueError(
                f"{name}: expected {own!r}, as weights were packed, got {value!r}{hint}"
            )


def _check_name(value: object, argument: str) -> None:
    """Check the name of an LSTM."""
    if not isinstance(value, str):
        raise TypeError(f"{argument}: expected a str, got {_validate.described(value)}")


def _dtype_name(dtype: Any) -> str:
    """Return the name of a precision for `astype`."""
    name: Any = dtype
    if not isinstance(dtype, str | None):  # NumPy takes None for float64
        with suppress(TypeError, ValueError):
            name = np.dtype(dtype).name
    chosen: str = _validate.choice(name, "dtype", _DTYPES, " or a numpy.dtype of one")
    return chosen


def _check_uniform(description: described.Description, cells: list[described.Weights]) -> None:
    """Check that all layers have one hidden_size, as a stack does."""
    sizes = [cell.hidden.shape for cell in cells]
    directions = {len(layer) for layer in description.layers}
    if len(set(sizes)) > 1 or len(directions) > 1:
        each = ", ".join(
            f"{len(layer[0].hidden) // 4}{' in both directions' if len(layer) == 2 else ''}"
            for layer in description.layers
        )
        raise ValueError(
            f"{description.source}: expected layers of one hidden_size and the same directions, "
            f"found hidden sizes {each}; load its layers one by one"
        )


def _made(
    packed: PackedWeights, batch_first: bool, source: str | None, cell: Cell, reverse: bool
) -> Model:
    """Make a model from its attributes, which were pickled or checked before."""
    model = Model.__new__(Model)
    _set(model, packed, batch_first, source, cell, reverse)
    return model


def _set(
    model: Model,
    packed: PackedWeights,
    batch_first: bool,
    source: str | None,
    cell: Cell,
    reverse: bool,
) -> None:
    values = {
        "_packed": packed,
        "_batch_first": batch_first,
        "_source": source,
        "_cell": cell,
        "_reverse": reverse,
    }
    for name, value in values.items():
        object.__setattr__(model, name, value)


def _standing(packed: PackedWeights) -> list[RealArray]:
    """Return the arrays that were packed, with matrices as (4 * H, ...)."""
    arrays = packed.unpack()
    if not packed.weights_transposed:
        return list(arrays)
    return [np.ascontiguousarray(a.T) if a.ndim == 2 else a for a in arrays]


def _save_safetensors(model: Model, path: Any) -> None:
    from lstm_native._loaders import _safetensors  # noqa: PLC0415

    _safetensors.write(path, model.state_dict(), model._metadata())


def _save_onnx(model: Model, path: Any) -> None:
    from lstm_native._loaders._found import library  # noqa: PLC0415

    proto = model.to_onnx()
    library("onnx", f"{path}: an ONNX file").save(proto, path)


_WRITERS: Mapping[str, Callable[[Model, Any], None]] = {
    ".safetensors": _save_safetensors,
    ".onnx": _save_onnx,
}
