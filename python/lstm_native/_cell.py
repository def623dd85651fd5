"""The class `Cell`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from numbers import Real
from typing import Any, NamedTuple, SupportsIndex, TypeAlias

from lstm_native._messages import scalar


class Function(NamedTuple):
    """An activation function that cells can have, as the operator of that name in ONNX."""

    number: int
    """The number in csrc/common/cell_spec.hpp."""
    alpha: float | None = None
    """Its default; None: the function takes no alpha."""
    beta: float | None = None


FUNCTIONS = {
    "sigmoid": Function(0),
    "tanh": Function(1),
    "relu": Function(2),
    "affine": Function(3, 1.0, 0.0),
    "leakyrelu": Function(4, 0.01),
    "thresholdedrelu": Function(5, 1.0),
    "scaledtanh": Function(6, 1.0, 1.0),
    "hardsigmoid": Function(7, 0.2, 0.5),
    "elu": Function(8, 1.0),
    "softsign": Function(9),
    "softplus": Function(10),
}
_USUAL = ("sigmoid", "tanh", "tanh")

Resolved: TypeAlias = tuple[int, float, float]
"""An activation's number, alpha and beta."""


class CoreCell(NamedTuple):
    """A cell that is not the standard one, as the core reads it."""

    kind: int
    clip: float
    input_forget: bool
    peepholes: bool
    functions: tuple[tuple[Resolved, ...], tuple[Resolved, ...]]
    """Of each direction."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Cell:
    """Which cell a call computes.

    With the activations f, g and h, and per unit the peephole weights p::

        i, f = f(W x_t + b_ih + U h_(t-1) + b_hh + p * c_(t-1))
        g    = g(W x_t + b_ih + U h_(t-1) + b_hh)
        c_t  = f * c_(t-1) + i * g
        o    = f(W x_t + b_ih + U h_(t-1) + b_hh + p * c_t)
        h_t  = o * h(c_t)

    Parameters
    ----------
    activations : sequence of str, default ("sigmoid", "tanh", "tanh")
        Of the gates i, f and o; of the candidate g; of the cell state on its way to h_t. Three
        names for all directions, or six: three for each. In any case: Relu, Tanh, Sigmoid, Affine,
        LeakyRelu, ThresholdedRelu, ScaledTanh, HardSigmoid, Elu, Softsign, Softplus.
    alphas, betas : sequence of float, optional
        Values for those of the activations that take one, in their order, as in ONNX; the rest has
        its default (alpha, beta): Affine 1, 0; LeakyRelu 0.01; ThresholdedRelu 1; ScaledTanh 1, 1;
        HardSigmoid 0.2, 0.5; Elu 1.
    clip : float, optional
        The bound of every gate's and the candidate's pre-activation, peepholes included: what an
        activation gets is from -clip to clip. No gradient passes where a value was bounded.
    input_forget : bool, default False
        Whether input and forget gate are coupled: f = 1 - i. The forget gate's weights are present
        but unused, and their gradients are zero. As ONNX's `input_forget`; TensorFlow Lite's CIFG
        leaves these weights out.
    peepholes : bool, default False
        Whether i and f see c_(t-1), and o sees c_t. The weights of each layer and direction then
        end with one more array, (3 * H,), in the order i, f, o.
    proj_size : int, default 0
        P, the size of the hidden state where it is a projection, less than the hidden_size H::

            h_t = W_hr (o * tanh(c_t))

        h then has P columns, c has H; a second layer reads D * P. The weights of each layer and
        direction are w_ih (4 * H, I), w_hh (4 * H, P), the biases and w_hr (P, H), in this order,
        which is that of `torch.nn.LSTM` with `proj_size`. 0: no projection.
    recurrent_dropout : float, default 0.0
        The rate at which elements of h_(t-1) are dropped on their way to the gates; kept ones are
        scaled by 1 / (1 - recurrent_dropout). Each layer and direction has one mask, (N, H) or
        (N, P), for all steps of a call and for all gates. Applied where `dropout` would be, with
        one layer, too: `train=True` of `lstm` and `lstm_vjp`, `training=True` of `LSTM`. The masks
        follow from the same seed or state as those between layers.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or value.

    Notes
    -----
    Attributes hold the activations in lower case. `alphas` and `betas` hold every value that the
    activations use. Cells with equal attributes are equal.

    Examples
    --------
    >>> import lstm_native
    >>> lstm_native.Cell(input_forget=True)
    Cell(input_forget=True)
    >>> cell = lstm_native.Cell(activations=("HardSigmoid", "Tanh", "Tanh"), clip=3.0)
    >>> cell.alphas, cell.betas
    ((0.2,), (0.5,))
    """

    activations: Sequence[str] = _USUAL
    alphas: Sequence[float] | None = None
    betas: Sequence[float] | None = None
    clip: float | None = None
    input_forget: bool = False
    peepholes: bool = False
    proj_size: int = 0
    recurrent_dropout: float = 0.0
    core: CoreCell | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names = _names(self.activations)
        alphas = _consumed(self.alphas, "alphas", names, [FUNCTIONS[name].alpha for name in names])
        betas = _consumed(self.betas, "betas", names, [FUNCTIONS[name].beta for name in names])
        functions = tuple(
            (FUNCTIONS[name].number, alpha or 0.0, beta or 0.0)
            for name, alpha, beta in zip(names, alphas, betas, strict=True)
        )
        if functions[:3] == functions[3:]:  # the same for each direction
            names, alphas, betas, functions = names[:3], alphas[:3], betas[:3], functions[:3]
        clip = _bound(self.clip)
        input_forget = _boolean(self.input_forget, "input_forget")
        peepholes = _boolean(self.peepholes, "peepholes")
        core = None
        if names != _USUAL or clip is not None or peepholes:
            of_directions = (functions[:3], functions[-3:])
            core = CoreCell(_GENERAL, clip or 0.0, input_forget, peepholes, of_directions)
        elif input_forget:
            core = CoreCell(_COUPLED, 0.0, True, False, (functions, functions))
        vars(self).update(
            activations=names,
            alphas=tuple(value for value in alphas if value is not None) or None,
            betas=tuple(value for value in betas if value is not None) or None,
            clip=clip,
            proj_size=_size(self.proj_size, "proj_size"),
            recurrent_dropout=_rate(self.recurrent_dropout, "recurrent_dropout"),
            core=core,
        )

    @property
    def triples(self) -> int:
        """2 where each direction has activations, 1 where they are for all directions."""
        return len(self.activations) // 3

    def __repr__(self) -> str:
        return f"Cell({', '.join(self._described())})"

    def _described(self) -> Iterator[str]:
        """Yield the arguments that differ from their defaults."""
        usual = Cell(activations=self.activations)
        for one in fields(self):
            value = getattr(self, one.name)
            default = _USUAL if one.name == "activations" else getattr(usual, one.name)
            if one.init and value != default:
                yield f"{one.name}={value!r}"


_COUPLED, _GENERAL = 1, 2


def _described(value: object) -> str:
    return "None" if value is None else f"{type(value).__name__} {scalar(value)}"


def _boolean(value: object, name: str) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{name}: expected a bool, got {_described(value)}")
    return value


def _listed(value: object, name: str, what: str) -> list[Any]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise TypeError(f"{name}: expected a sequence of {what}, got {_described(value)}")
    return list(value)


def _names(value: object) -> tuple[str, ...]:
    """Return three or six names of functions, in lower case."""
    what = "3 names of activations, or 3 for each of 2 directions"
    listed = _listed(value, "activations", what)
    for name in listed:
        if not isinstance(name, str):
            raise TypeError(f"activations: expected {what}, got {_described(name)} among them")
        if name.lower() not in FUNCTIONS:
            known = ", ".join(FUNCTIONS)
            raise ValueError(f"activations: expected names among {known}, got {name!r}")
    if len(listed) not in (3, 6):
        raise ValueError(f"activations: expected {what}, got {len(listed)}")
    return tuple(name.lower() for name in listed)


def _consumed(
    value: object, argument: str, names: tuple[str, ...], defaults: list[float | None]
) -> list[float | None]:
    """Return the value of each function: given, the default, or None where it takes none."""
    given = [] if value is None else _listed(value, argument, "finite floats, or None")
    taking = [name for name, default in zip(names, defaults, strict=True) if default is not None]
    for number in given:
        if isinstance(number, bool) or not isinstance(number, Real):
            raise TypeError(
                f"{argument}: expected a sequence of finite floats, or None, "
                f"got {_described(number)} among them"
            )
        if not math.isfinite(_float(number)):
            raise ValueError(f"{argument}: expected finite floats, got {scalar(number)}")
    if len(given) > len(taking):
        takers = f"one for each of {', '.join(taking)}" if taking else "no activation takes one"
        raise ValueError(
            f"{argument}: expected at most {len(taking)} values, {takers}, got {len(given)}"
        )
    rest = iter(given)
    return [None if default is None else float(next(rest, default)) for default in defaults]


def _bound(value: object) -> float | None:
    what = "clip: expected a finite float above 0, or None"
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{what}, got {_described(value)}")
    bound = _float(value)
    if not (math.isfinite(bound) and bound > 0):
        raise ValueError(f"{what}, got {scalar(value)}")
    return bound


def _size(value: object, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        raise TypeError(f"{name}: expected an int of at least 0, got {_described(value)}")
    size = value.__index__()
    if not 0 <= size < 2**63:
        raise ValueError(f"{name}: expected an int from 0 to {2**63 - 1}, got {scalar(size)}")
    return size


def _rate(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name}: expected a float from 0.0 to 1.0, got {_described(value)}")
    rate = _float(value)
    if not 0.0 <= rate <= 1.0:  # NaN is refused, too
        raise ValueError(f"{name}: expected a float from 0.0 to 1.0, got {scalar(value)}")
    return rate


def _float(value: Real) -> float:
    """Return a number as a float: infinity for one beyond every float."""
    try:
        return float(value)
    except OverflowError:
        return math.inf


STANDARD = Cell()
