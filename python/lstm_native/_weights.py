"""Weight layouts: other arrangements of the weights, to what the core reads."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate, product
from typing import Any, Literal, NamedTuple

from lstm_native import _validate
from lstm_native._arrays import RealArray, as_real
from lstm_native._run import CellWeights
from lstm_native._sizes import Sizes

WeightLayout = Literal["mindspore_gpu", "mindspore_cpu"]
WEIGHT_LAYOUTS: tuple[WeightLayout, ...] = ("mindspore_gpu", "mindspore_cpu")


class Present(NamedTuple):
    """Which arrays follow the matrices of each layer and direction."""

    ih_bias: bool
    hh_bias: bool
    peephole: bool = False

    @property
    def roles(self) -> tuple[str, ...]:
        """The names of all arrays of a layer and direction, in their order."""
        return _ROLES[self]


_ROLES = {
    Present(*present): (
        "w_ih",
        "w_hh",
        *(name for name, there in zip(("b_ih", "b_hh", "peephole"), present, strict=True) if there),
    )
    for present in product((False, True), repeat=3)
}


def from_sequence(
    all_weights: Any,
    like: RealArray | None,
    num_layers: int,
    bidirectional: bool,
    transposed: bool,
    present: Present,
) -> tuple[Sizes, list[CellWeights]]:
    """Check `lstm`'s flat sequence of weights; return the sizes that it has, and the weights.

    The weights define hidden_size and input_size: the first w_hh gives the one, the first w_ih the
    other. like: the input, whose dtype they must have; without one, the first array's.
    """
    roles = present.roles
    arrays = _listed(all_weights, num_layers, bidirectional, present)
    names = _names(roles, num_layers, bidirectional)
    like_name = "input"
    if like is None:
        like, like_name = as_real(arrays[0], names[0]), names[0]
    reals = [
        as_real(array, name, like, like_name) for array, name in zip(arrays, names, strict=True)
    ]
    sizes = _sizes(reals, names, num_layers, bidirectional, transposed)
    gates, hidden_size = sizes.gates, sizes.hidden_size
    weights: list[CellWeights] = []
    for cell in range(sizes.cell_count):
        layer = sizes.layer_of(cell)
        here = slice(cell * len(roles), (cell + 1) * len(roles))
        w_ih, w_hh, *vectors = reals[here]
        w_ih_name, w_hh_name, *vector_names = names[here]
        _check_matrix(w_ih, w_ih_name, gates, sizes.layer_input_size(layer), transposed, layer)
        _check_matrix(w_hh, w_hh_name, gates, hidden_size, transposed, None)
        for vector, name, role in zip(vectors, vector_names, roles[2:], strict=True):
            if role == "peephole":
                _validate.shape(vector, name, (3 * hidden_size,), ("3 * hidden_size",))
            else:
                _validate.shape(vector, name, (gates,), ("4 * hidden_size",))
        found = iter(vectors)
        b_ih, b_hh, peephole = (next(found) if there else None for there in present)
        if transposed:
            w_ih, w_hh = w_ih.T, w_hh.T
        weights.append(CellWeights(w_ih, w_hh, b_ih, b_hh, peephole))
    return sizes, weights


Offsets = tuple[int, int, int, int, int]
"""Where in a flat weight a cell's w_ih, w_hh, b_ih, b_hh and peepholes begin; -1: there is none."""


def flat_size(
    sizes: Sizes, has_bias: bool, layout: WeightLayout, has_peepholes: bool = False
) -> int:
    """Return the number of elements of a flat weight."""
    cells = sizes.cell_count
    columns = cells * sizes.hidden_size + sizes.directions * (
        sizes.input_size + (sizes.num_layers - 1) * sizes.layer_input_size(1)
    )
    biases_per_cell = 2 if layout == "mindspore_gpu" else 1
    peepholes = 3 * sizes.hidden_size * cells if has_peepholes else 0
    return sizes.gates * (columns + (cells * biases_per_cell if has_bias else 0)) + peepholes


def flat_offsets(
    sizes: Sizes, has_bias: bool, layout: WeightLayout, has_peepholes: bool = False
) -> list[Offsets]:
    """Return where in a flat weight each cell's arrays begin.

    "mindspore_gpu": per layer and direction w_ih, w_hh; then per layer and direction b_ih, b_hh.
    "mindspore_cpu": all w_ih, then all w_hh, then one summed bias per layer and direction.
    Peepholes follow, per layer and direction.
    """
    cells = range(sizes.cell_count)
    matrices = {
        "w_ih": [sizes.gates * sizes.layer_input_size(sizes.layer_of(cell)) for cell in cells],
        "w_hh": [sizes.gates * sizes.hidden_size for _ in cells],
    }
    biases = {role: [sizes.gates for _ in cells] for role in ("b_ih", "b_hh")}
    if layout == "mindspore_gpu":
        order = [(role, cell) for cell in cells for role in matrices]
        order += [(role, cell) for cell in cells for role in biases if has_bias]
    else:
        order = [(role, cell) for role in matrices for cell in cells]
        order += [("b_ih", cell) for cell in cells if has_bias]
    order += [("peephole", cell) for cell in cells if has_peepholes]
    counts = matrices | biases | {"peephole": [3 * sizes.hidden_size for _ in cells]}
    begins = accumulate((counts[role][cell] for role, cell in order), initial=0)
    places = dict(zip(order, begins, strict=False))
    roles = (*matrices, *biases, "peephole")
    return [tuple(places.get((role, cell), -1) for role in roles) for cell in cells]  # type: ignore[misc]


def from_flat(w: RealArray, sizes: Sizes, offsets: Sequence[Offsets]) -> list[CellWeights]:
    """Return views into a flat weight of the right size."""
    flat, gates = w.reshape(-1), sizes.gates

    def vector(begin: int, size: int = gates) -> RealArray | None:
        return None if begin < 0 else flat[begin : begin + size]

    def matrix(begin: int, columns: int) -> RealArray:
        return flat[begin : begin + gates * columns].reshape(gates, columns)

    return [
        CellWeights(
            matrix(w_ih, sizes.layer_input_size(sizes.layer_of(cell))),
            matrix(w_hh, sizes.hidden_size),
            vector(b_ih),
            vector(b_hh),
            vector(peephole, 3 * sizes.hidden_size),
        )
        for cell, (w_ih, w_hh, b_ih, b_hh, peephole) in enumerate(offsets)
    ]


def _listed(
    all_weights: Any,
    num_layers: int,
    bidirectional: bool,
    present: Present,
) -> list[Any]:
    name = "all_weights"
    buffers = str | bytes | bytearray | memoryview  # sequences, too, but not of arrays
    if not isinstance(all_weights, Sequence) or isinstance(all_weights, buffers):
        raise TypeError(
            f"{name}: expected a tuple or list of arrays, got {_validate.described(all_weights)}"
        )
    directions = 2 if bidirectional else 1
    cells, roles = num_layers * directions, present.roles
    expected = cells * len(roles)
    if len(all_weights) != expected:
        peepholes = "; with peepholes, which cell=Cell(peepholes=True) says"
        more = present == (True, True, False) and len(all_weights) == expected + cells
        raise ValueError(
            f"{name}: expected {expected} arrays ({', '.join(roles)} for each layer and direction; "
            f"num_layers={num_layers}, bidirectional={bidirectional}, "
            f"has_ih_bias={present.ih_bias}, has_hh_bias={present.hh_bias}), "
            f"got {len(all_weights)}{peepholes if more else ''}"
        )
    return list(all_weights)


def sequence_names(num_layers: int, bidirectional: bool, present: Present) -> tuple[str, ...]:
    """Return what messages call each array of `lstm`'s flat sequence."""
    return _names(present.roles, num_layers, bidirectional)


def _names(roles: tuple[str, ...], num_layers: int, bidirectional: bool) -> tuple[str, ...]:
    # Those of usual networks are made once; those of all that there may be would take gigabytes.
    make = _kept_names if num_layers <= _MOST_LAYERS_KEPT else _made_names
    return make(roles, num_layers, bidirectional)


def _made_names(roles: tuple[str, ...], num_layers: int, bidirectional: bool) -> tuple[str, ...]:
    directions = ("forward", "reverse") if bidirectional else ("forward",)
    return tuple(
        f"all_weights[{index}] ({role} of layer {layer}, {direction})"
        for index, (layer, direction, role) in enumerate(
            product(range(num_layers), directions, roles)
        )
    )


_MOST_LAYERS_KEPT = 64
_kept_names = lru_cache(maxsize=16)(_made_names)


def _sizes(
    reals: Sequence[RealArray],
    names: Sequence[str],
    num_layers: int,
    bidirectional: bool,
    transposed: bool,
) -> Sizes:
    w_ih, w_hh = reals[:2]
    gates_axis, input_axis = (1, 0) if transposed else (0, 1)

    def refuse(array: RealArray, name: str, columns: str) -> None:
        axes = f"{columns}, 4 * hidden_size" if transposed else f"4 * hidden_size, {columns}"
        raise ValueError(
            f"{name}: expected shape ({axes}) with sizes of at least 1 "
            f"(weights_transposed={transposed}), got {array.shape}"
        )

    if w_hh.ndim != 2 or w_hh.shape[gates_axis] != 4 * w_hh.shape[input_axis] or not w_hh.size:
        refuse(w_hh, names[1], "hidden_size")
    if w_ih.ndim != 2 or not w_ih.size:
        refuse(w_ih, names[0], "input_size")
    return Sizes(w_ih.shape[input_axis], w_hh.shape[input_axis], num_layers, bidirectional)


def _check_matrix(
    array: RealArray, name: str, gates: int, inputs: int, transposed: bool, layer: int | None
) -> None:
    """Check a matrix's shape; layer: of a w_ih, None for a w_hh."""
    shape = (inputs, gates) if transposed else (gates, inputs)
    if array.shape == shape:
        return
    from_what = {None: "hidden_size", 0: "input_size"}.get(layer, "num_directions * hidden_size")
    meaning = ("4 * hidden_size", from_what)
    _validate.shape(array, name, shape, meaning[::-1] if transposed else meaning)
