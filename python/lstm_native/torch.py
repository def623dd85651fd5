"""A module for PyTorch: `lstm_native.torch.LSTM` replaces `torch.nn.LSTM`.

The only part of the package that needs PyTorch; `import lstm_native` does not import it.
"""

from __future__ import annotations

import sys
from typing import Any, TypeVar

from lstm_native import _validate

try:
    import torch
except ImportError as reason:
    raise ImportError(
        f"lstm_native.torch: expected PyTorch to be installed (pip install torch), got: {reason}"
    ) from reason

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from lstm_native._torch_autograd import LSTMFunction, Options

__all__ = ["LSTM"]

Input = TypeVar("Input", Tensor, PackedSequence)

_ROLES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
_TIME_MAJOR = ("seq_len", "batch", "input_size")
_BATCH_FIRST = ("batch", "seq_len", "input_size")
_STATES = ("hx[0] (h_0)", "hx[1] (c_0)")
_STATE = ("num_layers * num_directions", "batch", "hidden_size")
# A module that was moved to another device is refused when it is called. "meta" computes nothing.
_DEVICES = ("cpu", "meta")
_DTYPES = (torch.float32, torch.float64)


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
        Only 0.
    device : torch.device or str, optional
        Only the CPU; "meta" makes parameters without values.
    dtype : torch.dtype, optional
        torch.float32 or torch.float64.

    Raises
    ------
    TypeError, ValueError
        If an argument is wrong, or asks for what is not computed here. `forward` raises them for
        tensors of the wrong shape or dtype, or on another device.
    RuntimeError
        By `forward` under `torch.autocast` or `torch.jit.trace`; by `torch.jit.script`; by a
        backward pass with `create_graph=True`, as second derivatives are not computed; and as
        PyTorch does, where a tensor that backward needs was changed in place.

    Notes
    -----
    A tape is kept only where a gradient may be asked for, and freed with the graph. A call, and
    its backward pass, uses as many threads as `torch.get_num_threads()` says then, but at most
    `lstm_native.get_num_threads()`. Under
    `torch.compile` it runs as it is, between two graphs. See docs/torch.md.

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
    ) -> None:
        if proj_size != 0:
            raise ValueError(f"proj_size: expected 0, without a projection, got {proj_size}")
        if device is not None and torch.device(device).type not in _DEVICES:
            raise ValueError(f"device: expected the CPU, got {device}")
        _check_dtype(torch.get_default_dtype() if dtype is None else dtype, "dtype")
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            device=device,
            dtype=dtype,
        )

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

        Returns
        -------
        output : torch.Tensor or torch.nn.utils.rnn.PackedSequence
            As input, with D * H features.
        (h_n, c_n) : tuple of torch.Tensor
            Shaped as `hx`.
        """
        if "torch._dynamo" in sys.modules:  # elsewhere nothing is compiled
            return _call_uncompiled(self, input, hx)  # type: ignore[no-any-return]
        return self._call(input, hx)  # type: ignore[no-any-return]

    def _call(self, input: Any, hx: Any) -> Any:
        if torch.is_autocast_enabled("cpu"):
            raise RuntimeError(
                "input: expected float32 or float64, but torch.autocast is on for the CPU; "
                "call this module under torch.autocast('cpu', enabled=False)"
            )
        if torch.jit.is_tracing():
            raise RuntimeError(_no_torch_script("torch.jit.trace"))
        states = () if hx is None else _pair(hx)
        weights = [weight for cell in self.all_weights for weight in cell]
        if isinstance(input, PackedSequence):
            rows, batch_sizes, order, original_order = input
            batch = int(batch_sizes[0])
            self._check(rows, states, weights, ("sum(batch_sizes)", "input_size"), batch)
            if states:
                states = self.permute_hidden(states, order)
            output, finals = self._run(rows, states, weights, batch, batch_sizes)
            packed = PackedSequence(output, batch_sizes, order, original_order)
            return packed, self.permute_hidden(finals, original_order)
        if not isinstance(input, Tensor):
            expected = "a torch.Tensor or a PackedSequence"
            raise TypeError(f"input: expected {expected}, got {_validate.described(input)}")
        if input.dim() == 2:
            self._check(input, states, weights, ("seq_len", "input_size"), None)
            batch_axis = 0 if self.batch_first else 1
            x, states = input.unsqueeze(batch_axis), tuple(state.unsqueeze(1) for state in states)
            output, (h_n, c_n) = self._run(x, states, weights, 1)
            return output.squeeze(batch_axis), (h_n.squeeze(1), c_n.squeeze(1))
        batch = input.shape[0 if self.batch_first else 1] if input.dim() == 3 else 0
        meaning = _BATCH_FIRST if self.batch_first else _TIME_MAJOR
        self._check(input, states, weights, meaning, batch)
        return self._run(input, states, weights, batch)

    def __prepare_scriptable__(self) -> Any:
        raise RuntimeError(_no_torch_script("torch.jit.script"))

    def _check(
        self, x: Any, states: Any, weights: Any, meaning: tuple[str, ...], batch: int | None
    ) -> None:
        """Check a call's tensors; batch: None where there is no axis of it."""
        dtype = weights[0].dtype
        if dtype not in _DTYPES or not all(
            tensor.is_cpu and tensor.dtype == dtype and tensor.layout == torch.strided
            for tensor in (*weights, x, *states)
        ):
            self._refuse(x, states, weights)
        _validate.shape(x, "input", (*[None] * (len(meaning) - 1), self.input_size), meaning)
        cells = self.num_layers * (2 if self.bidirectional else 1)
        for name, state in zip(_STATES, states, strict=False):
            if batch is None:
                _validate.shape(state, name, (cells, self.hidden_size), _STATE[::2])
            else:
                _validate.shape(state, name, (cells, batch, self.hidden_size), _STATE)

    def _refuse(self, x: Any, states: Any, weights: Any) -> None:
        """Raise an error that names the tensor of another dtype, device or layout."""
        roles = _ROLES if self.bias else _ROLES[:2]
        dtype = weights[0].dtype
        _check_dtype(dtype, "weight_ih_l0")
        names = [
            f"{role}_l{layer}{suffix}"
            for layer in range(self.num_layers)
            for suffix in (("", "_reverse") if self.bidirectional else ("",))
            for role in roles
        ]
        names += ["input", *_STATES]
        for name, tensor in zip(names, (*weights, x, *states), strict=False):
            if not tensor.is_cpu or tensor.layout != torch.strided:
                got = f"one on {tensor.device} with layout {tensor.layout}"
                raise ValueError(f"{name}: expected a strided tensor on the CPU, got {got}")
            if tensor.dtype != dtype:
                like = f"{dtype}, the same as weight_ih_l0"
                raise TypeError(f"{name}: expected dtype {like}, got {tensor.dtype}")

    def _run(
        self, x: Any, states: Any, weights: Any, batch: int, batch_sizes: Any = None
    ) -> tuple[Any, tuple[Any, Any]]:
        if not states:
            cells = self.num_layers * (2 if self.bidirectional else 1)
            states = (x.new_zeros(cells, batch, self.hidden_size),) * 2
        drops = self.training and self.dropout > 0.0 and self.num_layers > 1
        options = Options(
            num_layers=self.num_layers,
            dropout=self.dropout if drops else 0.0,
            bidirectional=self.bidirectional,
            batch_first=self.batch_first,
            batch_sizes=None if batch_sizes is None else batch_sizes.clone().numpy(),
            bias=self.bias,
            seed=int(torch.empty((), dtype=torch.int64, device="cpu").random_()) if drops else 0,
        )
        tensors = (x, *states, *weights)
        keep_tape = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
        output, h_n, c_n = LSTMFunction.apply(options, keep_tape, *tensors)
        return output, (h_n, c_n)


_uncompiled: list[Any] = []


def _call_uncompiled(module: LSTM, input: Any, hx: Any) -> Any:
    """Exclude the call from torch.compile. Loading torch.compile takes seconds, so only if used."""
    if not _uncompiled:
        _uncompiled.append(torch.compiler.disable(LSTM._call))
    return _uncompiled[0](module, input, hx)


def _pair(hx: Any) -> Any:
    if not isinstance(hx, tuple | list) or len(hx) != 2:
        got = f"{len(hx)} item(s)" if isinstance(hx, tuple | list) else _validate.described(hx)
        raise TypeError(f"hx: expected a tuple of two tensors (h_0, c_0), got {got}")
    for index, state in enumerate(hx):
        if not isinstance(state, Tensor):
            got = _validate.described(state)
            raise TypeError(f"hx[{index}]: expected a torch.Tensor, got {got}")
    return tuple(hx)


def _check_dtype(dtype: Any, name: str) -> None:
    if dtype not in _DTYPES:
        raise TypeError(f"{name}: expected torch.float32 or torch.float64, got {dtype}")


def _no_torch_script(what: str) -> str:
    return (
        f"lstm_native.torch.LSTM: expected to be called by Python, got {what}; "
        "load its state_dict into a torch.nn.LSTM for that"
    )
