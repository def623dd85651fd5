"""PyTorch is imported where it is asked for, and only there."""

import json

from fresh_interpreter import ask


def test_the_package_does_not_import_torch():
    code, output, error = ask("imported.py")
    assert code == 0, error
    assert not json.loads(output)["torch"]


def test_the_adapter_without_torch_says_what_is_missing_and_leaves_the_package_usable():
    code, said, error = ask("without_torch.py")
    assert code == 0, error
    assert said.startswith(
        "lstm_native.torch: expected PyTorch to be installed (pip install torch), got: "
    )
