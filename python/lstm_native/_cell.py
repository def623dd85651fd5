"""The class `Cell`."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Which cell a call computes.

    Parameters
    ----------
    input_forget : bool, default False
        Whether input and forget gate are coupled: f = 1 - i. The forget gate's weights are present
        but unused, and their gradients are zero. As ONNX's `input_forget`; TensorFlow Lite's CIFG
        leaves these weights out.

    Raises
    ------
    TypeError
        If an argument has the wrong type.

    Examples
    --------
    >>> import lstm_native
    >>> lstm_native.Cell(input_forget=True)
    Cell(input_forget=True)
    """

    input_forget: bool = False

    def __post_init__(self) -> None:
        given: object = self.input_forget
        if not isinstance(given, bool):
            got = "None" if given is None else f"{type(given).__name__} {given!r}"
            raise TypeError(f"input_forget: expected a bool, got {got}")


STANDARD = Cell()
