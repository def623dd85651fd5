"""Weight layouts: converts arrangements of the weights to the one that the core reads."""

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
    """The arrays that each layer and direction has beside w_ih and w_hh."""

    ih_bias: bool
    hh_bias: bool
    peephole: bool = False
    proj_size: int = 0

    @property
    def roles(self) -> tuple[str, ...]:
        """The names of all arrays of a layer and direction, in their order."""
        return _ROLES[self.ih_bias, self.hh_bias, self.peephole, self.proj_size > 0]


_FOLLOWING = ("b_ih", "b_hh", "peephole", "w_hr")
_ROLES = {
    present: (
        "w_ih",
        "w_hh",
        *(name for name, there in zip(_FOLLOWING, present, strict=True) if there),
    )
    for present in product((False, True), repeat=4)
}


def from_sequence(
    all_weights: Sequence[Any],
    like: RealArray | None,
    num_layers: int,
    bidirectional: bool,
    transposed: bool,
    present: Present,
) -> tuple[Sizes, list[CellWeights]]:
    """Check the arrays of `lstm`'s flat sequence; return the sizes that they have, and the weights.

    The first w_hh gives hidden_size, the first w_ih input_size. like: the input, whose dtype the
    weights must have; None: they must have the dtype of the first.
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
    input_size, hidden_size = _first_sizes(reals, names, transposed, present.proj_size)
    sizes = Sizes(input_size, hidden_size, num_layers, bidirectional, present.proj_size)
    shapes = _shapes(sizes, roles, transposed)
    of_layer = sizes.directions * len(roles)
    for index, array in enumerate(reals):
        shape, meaning = shapes[index >= of_layer][index % len(roles)]
        if array.shape != shape:
            _validate.shape(array, names[index], shape, meaning)
    return sizes, grouped([array.T for array in reals] if transposed else reals, present)


def grouped(arrays: Sequence[RealArray], present: Present) -> list[CellWeights]:
    """Return the weights of each layer and direction of `lstm`'s flat sequence."""
    count = len(present.roles)
    weights: list[CellWeights] = []
    for begin in range(0, len(arrays), count):
        w_ih, w_hh, *others = arrays[begin : begin + count]
        rest = iter(others)
        weights.append(
            CellWeights(
                w_ih,
                w_hh,
                next(rest) if present.ih_bias else None,
                next(rest) if present.hh_bias else None,
                next(rest) if present.peephole else None,
                next(rest) if present.proj_size else None,
            )
        )
    return weights


Offsets = tuple[int, int, int, int, int, int]
"""Where in a flat weight a cell's w_ih, w_hh, b_ih, b_hh, peepholes and w_hr begin; -1: none."""


def flat_size(
    sizes: Sizes, has_bias: bool, layout: WeightLayout, has_peepholes: bool = False
) -> int:
    """Return the number of elements of a flat weight."""
    cells = sizes.cell_count
    columns = cells * sizes.output_size + sizes.directions * (
        sizes.input_size + (sizes.num_layers - 1) * sizes.layer_input_size(1)
    )
    biases_per_cell = 2 if layout == "mindspore_gpu" else 1
    peepholes = 3 * sizes.hidden_size * cells if has_peepholes else 0
    projections = cells * sizes.proj_size * sizes.hidden_size
    biases = cells * biases_per_cell if has_bias else 0
    return sizes.gates * (columns + biases) + projections + peepholes


def flat_offsets(
    sizes: Sizes, has_bias: bool, layout: WeightLayout, has_peepholes: bool = False
) -> list[Offsets]:
    """Return where in a flat weight each cell's arrays begin.

    "mindspore_gpu": per layer and direction w_ih, w_hh[, w_hr]; then per layer and direction b_ih,
    b_hh. "mindspore_cpu": all w_ih, then all w_hh[, then all w_hr], then one summed bias per layer
    and direction. Peepholes follow, per layer and direction.
    """
    cells = range(sizes.cell_count)
    matrices = {
        "w_ih": [sizes.gates * sizes.layer_input_size(sizes.layer_of(cell)) for cell in cells],
        "w_hh": [sizes.gates * sizes.output_size for _ in cells],
    }
    if sizes.proj_size:
        matrices["w_hr"] = [sizes.proj_size * sizes.hidden_size for _ in cells]
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
    roles = ("w_ih", "w_hh", "b_ih", "b_hh", "peephole", "w_hr")
    return [tuple(places.get((role, cell), -1) for role in roles) for cell in cells]  # type: ignore[misc]


def from_flat(w: RealArray, sizes: Sizes, offsets: Sequence[Offsets]) -> list[CellWeights]:
    """Return views into a flat weight of the right size."""
    flat, gates = w.reshape(-1), sizes.gates

    def vector(begin: int, size: int = gates) -> RealArray | None:
        return None if begin < 0 else flat[begin : begin + size]

    def matrix(begin: int, rows: int, columns: int) -> RealArray:
        return flat[begin : begin + rows * columns].reshape(rows, columns)

    return [
        CellWeights(
            matrix(w_ih, gates, sizes.layer_input_size(sizes.layer_of(cell))),
            matrix(w_hh, gates, sizes.output_size),
            vector(b_ih),
            vector(b_hh),
            vector(peephole, 3 * sizes.hidden_size),
            None if w_hr < 0 else matrix(w_hr, sizes.proj_size, sizes.hidden_size),
        )
        for cell, (w_ih, w_hh, b_ih, b_hh, peephole, w_hr) in enumerate(offsets)
    ]


def _listed(
    all_weights: Sequence[Any],
    num_layers: int,
    bidirectional: bool,
    present: Present,
) -> list[Any]:
    directions = 2 if bidirectional else 1
    cells, roles = num_layers * directions, present.roles
    expected = cells * len(roles)
    if len(all_weights) != expected:
        more, rest = divmod(len(all_weights) - expected, cells)
        hint = "" if rest else _hint(all_weights[: len(roles) + more], more, present)
        raise ValueError(
            f"all_weights: expected {expected} arrays "
            f"({', '.join(roles)} for each layer and direction; "
            f"num_layers={num_layers}, bidirectional={bidirectional}, "
            f"has_ih_bias={present.ih_bias}, has_hh_bias={present.hh_bias}), "
            f"got {len(all_weights)}{hint}"
        )
    return list(all_weights)


def _hint(arrays: Sequence[Any], more: int, present: Present) -> str:
    """Return what to write where a cell has more arrays: peepholes, a projection's matrix, or both.

    arrays: of the first cell.
    """
    if not (more == 1 or (more == 2 and not present.peephole)):
        return ""
    shape = getattr(arrays[-1], "shape", ())
    if len(shape) == 2 and not present.proj_size:
        peepholes = "peepholes=True, " if present.peephole or more == 2 else ""
        return (
            f"; for a projection of the hidden state, whose w_hr (proj_size, hidden_size) is the "
            f"last array of each layer and direction, write "
            f"cell=lstm_native.Cell({peepholes}proj_size={min(shape)})"
        )
    if more == 1 and present == (True, True, False, 0):
        return "; with peepholes, which cell=Cell(peepholes=True) says"
    return ""


def sequence_names(num_layers: int, bidirectional: bool, present: Present) -> tuple[str, ...]:
    """Return what messages call each array of `lstm`'s flat sequence."""
    return _names(present.roles, num_layers, bidirectional)


def _names(roles: tuple[str, ...], num_layers: int, bidirectional: bool) -> tuple[str, ...]:
    # Those of up to 64 layers are made once; those of all possible networks would take gigabytes.
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


def _first_sizes(
    reals: Sequence[RealArray], names: Sequence[str], transposed: bool, proj_size: int
) -> tuple[int, int]:
    """Return input_size and hidden_size, as the first matrices have them."""
    w_ih, w_hh = reals[:2]
    gates_axis, input_axis = (1, 0) if transposed else (0, 1)
    columns = "proj_size" if proj_size else "hidden_size"

    def refuse(array: RealArray, name: str, columns: str, hint: str = "") -> None:
        axes = f"{columns}, 4 * hidden_size" if transposed else f"4 * hidden_size, {columns}"
        raise ValueError(
            f"{name}: expected shape ({axes}) with sizes of at least 1 "
            f"(weights_transposed={transposed}), got {array.shape}{hint}"
        )

    if w_hh.ndim != 2 or w_hh.shape[gates_axis] % 4 or not w_hh.size:
        refuse(w_hh, names[1], columns)
    hidden_size, got = w_hh.shape[gates_axis] // 4, w_hh.shape[input_axis]
    if proj_size:
        if got != proj_size:
            refuse(w_hh, names[1], columns, f" with proj_size={proj_size}")
        _validate.projection(proj_size, hidden_size, f"the hidden_size of {names[1]}")
    elif got != hidden_size:
        hint = ""
        if got < hidden_size:
            hint = (
                f"; for a projection of the hidden state write "
                f"cell=lstm_native.Cell(proj_size={got}) and add its w_hr ({got}, {hidden_size})"
            )
        refuse(w_hh, names[1], columns, hint)
    if w_ih.ndim != 2 or not w_ih.size:
        refuse(w_ih, names[0], "input_size")
    return w_ih.shape[input_axis], hidden_size


_Shape = tuple[tuple[int, ...], tuple[str, ...]]


@lru_cache(maxsize=16)
def _shapes(
    sizes: Sizes, roles: tuple[str, ...], transposed: bool
) -> tuple[tuple[_Shape, ...], tuple[_Shape, ...]]:
    """Return the shapes of the arrays of the first layer and of the others, and their meaning."""
    order = slice(None, None, -1 if transposed else 1)
    first, others = (
        tuple(
            (shape[order], meaning[order])
            for shape, meaning in (_shape_of(role, sizes, layer) for role in roles)
        )
        for layer in (0, 1)
    )
    return first, others


def _shape_of(role: str, sizes: Sizes, layer: int) -> _Shape:
    """Return the shape of a layer's array, and what its sizes mean."""
    output = "proj_size" if sizes.proj_size else "hidden_size"
    if role == "w_ih":
        meaning = "input_size" if layer == 0 else f"num_directions * {output}"
        return (sizes.gates, sizes.layer_input_size(layer)), ("4 * hidden_size", meaning)
    if role == "w_hh":
        return (sizes.gates, sizes.output_size), ("4 * hidden_size", output)
    if role == "peephole":
        return (3 * sizes.hidden_size,), ("3 * hidden_size",)
    if role == "w_hr":
        return (sizes.proj_size, sizes.hidden_size), ("proj_size", "hidden_size")
    return (sizes.gates,), ("4 * hidden_size",)
