"""The sizes of a stack of layers."""

from typing import NamedTuple


class Sizes(NamedTuple):
    """What determines the shape of every weight and state."""

    input_size: int
    hidden_size: int
    num_layers: int
    bidirectional: bool
    proj_size: int = 0

    @property
    def output_size(self) -> int:
        """The columns of the hidden state."""
        return self.proj_size or self.hidden_size

    @property
    def directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def cell_count(self) -> int:
        """The number of (layer, direction) pairs, in the order of the state's rows."""
        return self.num_layers * self.directions

    @property
    def gates(self) -> int:
        return 4 * self.hidden_size

    def layer_input_size(self, layer: int) -> int:
        return self.input_size if layer == 0 else self.directions * self.output_size

    def layer_of(self, cell: int) -> int:
        """Return the layer of the cell in that row of the state."""
        return cell // self.directions
