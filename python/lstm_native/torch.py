"""A module for PyTorch: `lstm_native.torch.LSTM` replaces `torch.nn.LSTM`.

It needs PyTorch, which `import lstm_native` does not import.
"""

from __future__ import annotations

import copy
import warnings
from typing import Any, TypeVar

try:
    import torch
except ImportError as reason:
    raise ImportError(
        f"lstm_native.torch: expected PyTorch to be installed (pip install torch), got: {reason}"
    ) from reason

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from lstm_native._packing import PackedWeights, check_weight_dtype
from lstm_native._torch import calls, checks, composed, kernels, operators, swap
from lstm_native._torch.autograd import LSTMFunction
from lstm_native._torch.calls import are_plain, is_forward_mode, is_watched
from lstm_native._torch.checks import FLOATS, dtypes_in_autocast
from lstm_native._torch.kernels import Options, Recorder, Tensors
from lstm_native._torch.packed import Form, InferenceWeights
from lstm_native._types import WeightDtype

__all__ = ["LSTM", "replace", "restore"]

Input = TypeVar("Input", Tensor, PackedSequence)
Model = TypeVar("Model", bound=torch.nn.Module)

_TIME_MAJOR = ("seq_len", "batch", "input_size")
_BATCH_FIRST = ("batch", "seq_len", "input_size")
_UNBATCHED = ("seq_len", "input_size")
_PACKED = ("sum(batch_sizes)", "input_size")
_SEEDS = 2**63 - 1
_KEPT = ("_inference", "_recorder")  # what a module keeps of its calls


class LSTM(torch.nn.LSTM):
    """Replaces `torch.nn.LSTM`, and computes with this package.

    Constructor, initial values for a given `torch.manual_seed`, parameters, `state_dict`, inputs
    and outputs are those of `torch.nn.LSTM`, and so are their descriptions. Gradients, too, are
    computed here. Contiguous tensors are read where they are.

    Parameters
    ----------
    input_size, hidden_size : int
    num_layers : int, default 1
    bias : bool, default True
    batch_first : bool, default False
    dropout : float, default 0.0
        Masks are a function of one number that each call in training draws from PyTorch's
        generator, so `torch.manual_seed` replays them. They are not `torch.nn.LSTM`'s.
    bidirectional : bool, default False
    proj_size : int, default 0
        Columns of the hidden state, if it is projected: from 1 to hidden_size - 1.
    device : torch.device or str, optional
        Only the CPU; "meta" makes parameters without values.
    dtype : torch.dtype, optional
        torch.float32 or torch.float64; or torch.bfloat16 or torch.float16, whose values are
        computed in float32 and rounded at the end.
    weight_dtype : {"float16", "bfloat16", "int8"}, optional
        How calls without gradients in evaluation mode store the weights, as `pack_weights` has it.

    Raises
    ------
    TypeError, ValueError
        If an argument is wrong, or asks for what is not computed here. `forward` raises them for
        tensors of the wrong shape or dtype, or on another device; they are RuntimeErrors, too, as
        those of `torch.nn.LSTM`.
    RuntimeError
        By `torch.jit.script`; and as PyTorch does, where a tensor that backward needs was changed
        in place.

    Warns
    -----
    UserWarning
        By torch.ao.quantization, which leaves this module as it is: see `replace`.

    Notes
    -----
    A tape is kept only where a gradient may be asked for, and freed with the graph. A call, and
    its backward pass, uses as many threads as `torch.get_num_threads()` says then, but at most
    `lstm_native.get_num_threads()`. See docs/torch.md.

    Examples
    --------
    >>> import torch
    >>> from lstm_native.torch import LSTM
    >>> lstm = LSTM(8, 16, num_layers=2, batch_first=True)
    >>> output, (h_n, c_n) = lstm(torch.ones(3, 20, 8))
    >>> output.shape, h_n.shape
    (torch.Size([3, 20, 16]), torch.Size([2, 3, 16]))
    >>> output.square().mean().backward()
    >>> lstm.weight_hh_l1.grad.shape
    torch.Size([64, 16])
    """

    # Attributes of the class, so that pickles of older versions have them, too.
    weight_dtype: WeightDtype | None = None
    _inference: InferenceWeights | None = None
    _recorder: Recorder | None = None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        weight_dtype: WeightDtype | None = None,
    ) -> None:
        checks.device_of_parameters(device)
        own = torch.get_default_dtype() if dtype is None else dtype
        checks.dtype_of_parameters(own, "dtype")
        stored = check_weight_dtype(weight_dtype)
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size=proj_size,
            device=device,
            dtype=dtype,
        )
        if stored is not None:
            self.weight_dtype = stored

    def forward(
        self, input: Input, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Input, tuple[Tensor, Tensor]]:
        """Apply the layers.

        Parameters
        ----------
        input : torch.Tensor or torch.nn.utils.rnn.PackedSequence
            Shape (T, N, I), or (N, T, I) if `batch_first`, or (T, I) without a batch.
        hx : tuple of two torch.Tensor, optional
            (h_0, c_0), both of shape (L * D, N, H), or (L * D, H) without a batch. Default: zero.
            With a projection h_0 has `proj_size` columns.

        Returns
        -------
        output : torch.Tensor or torch.nn.utils.rnn.PackedSequence
            As input, with D * H features, or D * `proj_size`.
        (h_n, c_n) : tuple of torch.Tensor
            Shaped as `hx`.
        """
        return self._call(input, hx)  # type: ignore[no-any-return]

    def _call(self, input: Any, hx: Any) -> Any:
        is_packed = isinstance(input, PackedSequence)
        if not (is_packed or isinstance(input, Tensor)) or not (hx is None or type(hx) is tuple):
            proxy = calls.leaf_of_symbolic_trace(self, input, hx)
            if proxy is not None:
                return proxy
        states = () if hx is None else checks.pair(hx)
        if is_packed:
            return self._apply_to_packed(input, states)
        checks.kind_of_input(input)
        if input.dim() == 2:
            self._check_shapes(input, states, _UNBATCHED, ())
            axis = 0 if self.batch_first else 1
            states = tuple(state.unsqueeze(1) for state in states)
            output, h_n, c_n = self._run(input.unsqueeze(axis), states, None)
            return output.squeeze(axis), (h_n.squeeze(1), c_n.squeeze(1))
        batch = input.shape[0 if self.batch_first else 1] if input.dim() == 3 else 0
        axes = _BATCH_FIRST if self.batch_first else _TIME_MAJOR
        self._check_shapes(input, states, axes, (batch,))
        output, h_n, c_n = self._run(input, states, None)
        return output, (h_n, c_n)

    def _apply_to_packed(self, packed: Any, states: Any) -> Any:
        rows, batch_sizes, order, original_order = packed
        batch = None  # where a tracer runs, only the operator's kernel reads values
        if not is_watched() and are_plain((batch_sizes,), torch.int64):
            batch = checks.first_batch_size(batch_sizes, rows)
        self._check_shapes(rows, states, _PACKED, (batch,))
        if states:
            states = self.permute_hidden(states, order)
        output, *finals = self._run(rows, states, batch_sizes)
        result = PackedSequence(output, batch_sizes, order, original_order)
        return result, self.permute_hidden(tuple(finals), original_order)

    def _check_shapes(
        self, x: Any, states: Any, axes: tuple[str, ...], batch: tuple[int | None, ...]
    ) -> None:
        """Check shapes. batch: of the states; () where they have no such axis, None: unknown."""
        checks.input_shape(x, axes, self.input_size)
        if states:
            cells = self.num_layers * (2 if self.bidirectional else 1)
            sizes = self.proj_size or self.hidden_size, self.hidden_size
            checks.state_shapes(states, cells, batch, sizes)

    def _run(self, x: Any, states: Any, batch_sizes: Any) -> Any:
        """Return output, h_n, c_n of input with a batch; states may be ()."""
        weights = self._weights()
        dtype = weights[0].dtype
        autocast = torch.is_autocast_enabled("cpu")
        if dtype in FLOATS and not autocast:
            tensors = x, *states, *weights
            plain = are_plain(tensors, dtype)
            if not plain:
                self._check_tensors(x, states, weights)
            return self._compute(x, states, weights, batch_sizes, plain)
        self._check_tensors(x, states, weights, any_dtype=autocast)
        computed, returned = dtypes_in_autocast(dtype) if autocast else (torch.float32, dtype)
        plain = all(are_plain((tensor,), tensor.dtype) for tensor in (x, *states, *weights))
        x, *states = (tensor.to(computed) for tensor in (x, *states))
        found = self._compute(x, states, weights, batch_sizes, plain)
        return tuple(tensor.to(returned) for tensor in found)

    def _compute(self, x: Any, states: Any, weights: Any, batch_sizes: Any, plain: bool) -> Any:
        """Compute a call on input and states of float32 or float64."""
        drops = self.training and self.dropout > 0.0 and self.num_layers > 1
        options = Options(
            batch_sizes,
            torch.randint(_SEEDS, (), device="cpu") if drops else None,
            self.num_layers,
            self.bidirectional,
            self.batch_first,
            self.dropout if drops else 0.0,
        )
        records = torch.is_grad_enabled() and any(
            tensor.requires_grad for tensor in (x, *states, *weights)
        )
        eager = plain and not is_watched()
        if eager and not records and not self.training:
            packed = self._packed(weights)
            if packed is not None:
                return kernels.infer(x, states, packed, options)
        if any(weight.dtype is not x.dtype for weight in weights):
            weights = [weight.to(x.dtype) for weight in weights]
        if not eager:
            h_0, c_0 = states or kernels.zero_states(x, weights, options)
            run = composed.forward if is_forward_mode() else operators.lstm
            return run(Tensors(x, h_0, c_0, weights), options)
        h_0, c_0 = states or (None, None)
        if records:
            recorder = self._recorder
            if recorder is None:
                recorder = self.__dict__["_recorder"] = Recorder()
            return LSTMFunction.apply(recorder, options, x, h_0, c_0, *weights)
        return kernels.forward(Tensors(x, h_0, c_0, weights), options, False)[:3]

    def _weights(self) -> list[Any]:
        parameters = self._parameters
        try:
            return [parameters[name] for name in self._flat_weights_names]
        except KeyError:  # parametrized, or replaced by what is no parameter
            return [getattr(self, name) for name in self._flat_weights_names]

    def _packed(self, weights: Any) -> PackedWeights | None:
        inference = self._inference
        if inference is None:
            # Not by __setattr__, which checks for parameters.
            inference = self.__dict__["_inference"] = InferenceWeights()
        form = Form(self.num_layers, self.bidirectional, self.bias, self.weight_dtype)
        return inference.of(weights, form)

    def _check_tensors(self, x: Any, states: Any, weights: Any, any_dtype: bool = False) -> None:
        names = (*self._flat_weights_names, "input", *checks.STATES)
        checks.tensors(names, (*weights, x, *states), weights[0], any_dtype)

    def train(self, mode: bool = True) -> LSTM:
        """Set training or evaluation mode, and forget weights that were packed."""
        self._forget_packed()
        return super().train(mode)  # type: ignore[no-any-return]

    def _apply(self, fn: Any, recurse: bool = True) -> LSTM:
        self._forget_packed()
        return super()._apply(fn, recurse)  # type: ignore[no-any-return]

    def _forget_packed(self) -> None:
        self.__dict__.pop("_inference", None)

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        for name in _KEPT:  # a copy makes new ones
            state.pop(name, None)
        return state

    def extra_repr(self) -> str:
        stored = f", weight_dtype={self.weight_dtype!r}" if self.weight_dtype else ""
        return f"{super().extra_repr()}{stored}"

    @property
    def qconfig(self) -> Any:
        """The attribute that torch.ao.quantization sets on each module."""
        try:
            return self.__dict__["qconfig"]
        except KeyError:
            raise AttributeError("qconfig") from None

    @qconfig.setter
    def qconfig(self, value: Any) -> None:
        self.__dict__["qconfig"] = value
        warnings.warn(
            "torch.ao.quantization does not quantize an lstm_native.torch.LSTM; "
            "lstm_native.torch.replace(model, weight_dtype='int8') does",
            UserWarning,
            stacklevel=2,
        )

    @qconfig.deleter
    def qconfig(self) -> None:
        del self.__dict__["qconfig"]

    def to_torch(self) -> torch.nn.LSTM:
        """Return a `torch.nn.LSTM` with the same parameters, which can be exported anywhere."""
        theirs = copy.copy(self)
        restore(theirs)
        return theirs

    def __prepare_scriptable__(self) -> Any:
        raise RuntimeError(
            "lstm_native.torch.LSTM: expected to be called by Python, got torch.jit.script; "
            "lstm_native.torch.restore(model) makes a torch.nn.LSTM of each"
        )


def replace(model: Model, weight_dtype: WeightDtype | None = None) -> Model:
    """Make an `LSTM` of each `torch.nn.LSTM` in a model, in place.

    Parameters, hooks and references to the modules stay as they are. Subclasses of `torch.nn.LSTM`
    are left out.

    Parameters
    ----------
    model : torch.nn.Module
        A model, or a `torch.nn.LSTM` itself.
    weight_dtype : {"float16", "bfloat16", "int8"}, optional
        As for `LSTM`; it also holds for each `LSTM` that is in the model already.

    Returns
    -------
    torch.nn.Module
        The model.

    Raises
    ------
    TypeError, ValueError
        If an argument is wrong, or this package can't compute with an LSTM's parameters. Then the
        model is as it was.

    Examples
    --------
    >>> import torch
    >>> from lstm_native.torch import replace, restore
    >>> model = torch.nn.ModuleDict({"lstm": torch.nn.LSTM(8, 16), "head": torch.nn.Linear(16, 2)})
    >>> replace(model)
    ModuleDict(
      (lstm): LSTM(8, 16)
      (head): Linear(in_features=16, out_features=2, bias=True)
    )
    >>> type(model.lstm), type(restore(model).lstm)
    (<class 'lstm_native.torch.LSTM'>, <class 'torch.nn.modules.rnn.LSTM'>)
    """
    stored = check_weight_dtype(weight_dtype)
    swap.swap(model, torch.nn.LSTM, LSTM, _refuse)
    for _, module in swap.modules_of(model, LSTM):
        module._forget_packed()
        if stored is not None or "weight_dtype" in module.__dict__:
            module.weight_dtype = stored
    return model


def restore(model: Model) -> Model:
    """Make a `torch.nn.LSTM` of each `LSTM` in a model, in place, as before `replace`.

    Parameters
    ----------
    model : torch.nn.Module
        A model, or an `LSTM` itself.

    Returns
    -------
    torch.nn.Module
        The model.

    Raises
    ------
    TypeError
        If `model` is no torch.nn.Module.
    """
    for module in swap.swap(model, LSTM, torch.nn.LSTM, lambda _: None):
        for name in (*_KEPT, "weight_dtype"):
            module.__dict__.pop(name, None)
    return model


def _refuse(module: Any) -> None:
    """Refuse a torch.nn.LSTM that is not computed here."""
    for name, parameter in module.named_parameters():
        checks.device_of_parameters(parameter.device)
        checks.dtype_of_parameters(parameter.dtype, name)
