"""Errors of calls on tensors: of the classes that torch.nn.LSTM raises, and of those of `lstm`."""

from types import TracebackType


class TensorValueError(ValueError, RuntimeError):
    """A wrong shape, size or device. torch.nn.LSTM raises a RuntimeError for most of them."""


class TensorTypeError(TypeError, ValueError, RuntimeError):
    """A wrong dtype or kind. torch.nn.LSTM raises ValueError or RuntimeError for most of them."""


class _AsTorchErrors:
    """Encloses calls of the package, whose errors leave as one of the classes above."""

    __slots__ = ()

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, TypeError):
            raise TensorTypeError(*error.args) from error
        if isinstance(error, ValueError):
            raise TensorValueError(*error.args) from error


as_torch_errors = _AsTorchErrors()
