"""Weight layouts: other arrangements of the weights, to what the core reads."""

from collections.abc import Sequence
from typing import Any, Literal

from lstm_native import _validate
from lstm_native._arrays import RealArray, as_real
from lstm_native._run import DirectionWeights
from lstm_native._sizes import Sizes

WeightLayout = Literal["mindspore_gpu", "mindspore_cpu"]
WEIGHT_LAYOUTS: tuple[WeightLayout, ...] = ("mindspore_gpu", "mindspore_cpu")

_DIRECTIONS = ("forward", "reverse")


def from_sequence(
    all_weights: Any,
    like: RealArray,
    num_layers: int,
    bidirectional: bool,
    transposed: bool,
    biases: tuple[bool, bool],
) -> tuple[Sizes, list[DirectionWeights]]:
    """Check `lstm`'s flat sequence of weights; return the sizes that it has, and the weights.

    The weights define hidden_size and input_size: the first w_hh gives the one, the first w_ih the
    other.
    """
    roles = ["w_ih", "w_hh"] + [b for b, has in zip(("b_ih", "b_hh"), biases, strict=True) if has]
    arrays = _listed(all_weights, roles, num_layers, bidirectional, biases)
    names = _names(roles, num_layers, bidirectional)
    reals = [as_real(array, name, like, "input") for array, name in zip(arrays, names, strict=True)]
    sizes = _sizes(reals[0], names[0], reals[1], names[1], num_layers, bidirectional, transposed)
    weights: list[DirectionWeights] = []
    for cell, (layer, _) in enumerate(sizes.cells()):
        first = cell * len(roles)
        here = dict(zip(roles, reals[first : first + len(roles)], strict=True))
        label = dict(zip(roles, names[first : first + len(roles)], strict=True))
        from_what = "input_size" if layer == 0 else "num_directions * hidden_size"
        w_ih = _matrix(
            here["w_ih"], label["w_ih"], sizes, from_what, sizes.layer_input_size(layer), transposed
        )
        w_hh = _matrix(
            here["w_hh"], label["w_hh"], sizes, "hidden_size", sizes.hidden_size, transposed
        )
        for bias in roles[2:]:
            _validate.shape(here[bias], label[bias], [("4 * hidden_size", sizes.gates)])
        weights.append((w_ih, w_hh, here.get("b_ih"), here.get("b_hh")))
    return sizes, weights


def flat_size(sizes: Sizes, has_bias: bool, layout: WeightLayout) -> int:
    """Return the number of elements of a flat weight."""
    cells = sizes.num_layers * sizes.directions
    columns = cells * sizes.hidden_size + sizes.directions * (
        sizes.input_size + (sizes.num_layers - 1) * sizes.layer_input_size(1)
    )
    biases_per_cell = 2 if layout == "mindspore_gpu" else 1
    return sizes.gates * (columns + (cells * biases_per_cell if has_bias else 0))


def from_flat(
    w: RealArray, sizes: Sizes, has_bias: bool, layout: WeightLayout
) -> list[DirectionWeights]:
    """Return views into a flat weight of the right size.

    "mindspore_gpu": per layer and direction w_ih, w_hh; then per layer and direction b_ih, b_hh.
    "mindspore_cpu": all w_ih, then all w_hh, then one summed bias per layer and direction.
    """
    reader = _Reader(w.reshape(-1))
    cells = list(sizes.cells())
    gates, hidden = sizes.gates, sizes.hidden_size
    if layout == "mindspore_gpu":
        matrices = [
            (reader.matrix(gates, sizes.layer_input_size(layer)), reader.matrix(gates, hidden))
            for layer, _ in cells
        ]
        biases: list[tuple[RealArray | None, RealArray | None]] = [
            (reader.vector(gates), reader.vector(gates)) if has_bias else (None, None)
            for _ in cells
        ]
    else:
        w_ih = [reader.matrix(gates, sizes.layer_input_size(layer)) for layer, _ in cells]
        w_hh = [reader.matrix(gates, hidden) for _ in cells]
        matrices = list(zip(w_ih, w_hh, strict=True))
        biases = [(reader.vector(gates) if has_bias else None, None) for _ in cells]
    return [(*matrix, *bias) for matrix, bias in zip(matrices, biases, strict=True)]


class _Reader:
    """Takes matrices and vectors off the front of a flat array, as views."""

    def __init__(self, flat: RealArray) -> None:
        self._rest = flat

    def vector(self, count: int) -> RealArray:
        taken, self._rest = self._rest[:count], self._rest[count:]
        return taken

    def matrix(self, rows: int, columns: int) -> RealArray:
        return self.vector(rows * columns).reshape(rows, columns)


def _listed(
    all_weights: Any,
    roles: list[str],
    num_layers: int,
    bidirectional: bool,
    biases: tuple[bool, bool],
) -> list[Any]:
    name = "all_weights"
    buffers = str | bytes | bytearray | memoryview  # sequences, too, but not of arrays
    if not isinstance(all_weights, Sequence) or isinstance(all_weights, buffers):
        raise TypeError(
            f"{name}: expected a tuple or list of arrays, got {_validate.described(all_weights)}"
        )
    directions = 2 if bidirectional else 1
    expected = num_layers * directions * len(roles)
    if len(all_weights) != expected:
        raise ValueError(
            f"{name}: expected {expected} arrays ({', '.join(roles)} for each layer and direction; "
            f"num_layers={num_layers}, bidirectional={bidirectional}, has_ih_bias={biases[0]}, "
            f"has_hh_bias={biases[1]}), got {len(all_weights)}"
        )
    return list(all_weights)


def _names(roles: list[str], num_layers: int, bidirectional: bool) -> list[str]:
    directions = _DIRECTIONS if bidirectional else _DIRECTIONS[:1]
    return [
        f"all_weights[{index}] ({role} of layer {layer}, {direction})"
        for index, (layer, direction, role) in enumerate(
            (layer, direction, role)
            for layer in range(num_layers)
            for direction in directions
            for role in roles
        )
    ]


def _sizes(
    w_ih: RealArray,
    w_ih_name: str,
    w_hh: RealArray,
    w_hh_name: str,
    num_layers: int,
    bidirectional: bool,
    transposed: bool,
) -> Sizes:
    gates_axis, input_axis = (1, 0) if transposed else (0, 1)

    def refuse(array: RealArray, name: str, columns: str) -> None:
        axes = f"{columns}, 4 * hidden_size" if transposed else f"4 * hidden_size, {columns}"
        raise ValueError(
            f"{name}: expected shape ({axes}) with sizes of at least 1 "
            f"(weights_transposed={transposed}), got {array.shape}"
        )

    if w_hh.ndim != 2 or w_hh.shape[gates_axis] != 4 * w_hh.shape[input_axis] or not w_hh.size:
        refuse(w_hh, w_hh_name, "hidden_size")
    hidden_size = w_hh.shape[input_axis]
    if w_ih.ndim != 2 or not w_ih.size:
        refuse(w_ih, w_ih_name, "input_size")
    return Sizes(w_ih.shape[input_axis], hidden_size, num_layers, bidirectional)


def _matrix(
    array: RealArray, name: str, sizes: Sizes, input_meaning: str, inputs: int, transposed: bool
) -> RealArray:
    """Check a matrix's shape; return it as (4 * hidden_size, inputs), a view."""
    axes = [("4 * hidden_size", sizes.gates), (input_meaning, inputs)]
    _validate.shape(array, name, axes[::-1] if transposed else axes)
    return array.T if transposed else array
