"""PyTorch is imported where it is asked for, and only there."""

from fresh_interpreter import ask


def test_the_package_does_not_import_torch():
    program = "import sys, lstm_native; print('torch' in sys.modules)"
    assert ask(program)[:2] == (0, "False")


def test_the_adapter_without_torch_says_what_is_missing():
    program = """
import sys
sys.modules["torch"] = None  # as where it is not installed
try:
    import lstm_native.torch
except ImportError as error:
    print(error)
"""
    status, said, _ = ask(program)
    assert status == 0
    assert said.startswith(
        "lstm_native.torch: expected PyTorch to be installed (pip install torch), got: "
    )


def test_a_failed_import_of_the_adapter_leaves_the_package_usable():
    program = """
import sys
sys.modules["torch"] = None
try:
    import lstm_native.torch
except ImportError:
    pass
import lstm_native
print(lstm_native.LSTM(1, 1, 1, True, False, 0.0).weight_size)
"""
    assert ask(program)[:2] == (0, "16")
