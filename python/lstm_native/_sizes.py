"""The sizes of a stack of layers."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """What determines the shape of every weight and state."""

    input_size: int
    hidden_size: int
    num_layers: int
    bidirectional: bool

    @property
    def directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def gates(self) -> int:
        return 4 * self.hidden_size

    def layer_input_size(self, layer: int) -> int:
        return self.input_size if layer == 0 else self.directions * self.hidden_size

    def cells(self) -> Iterator[tuple[int, int]]:
        """Every (layer, direction), in the order of the state's rows."""
        for layer in range(self.num_layers):
            for direction in range(self.directions):
                yield layer, direction
