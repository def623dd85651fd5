"""Lists the instruction sets that this CPU can run, for `make test-isas`, each with its tests.

python tools/list_isas.py (all|others)

A line names an instruction set; where its float32 kernels are those of another one, also the tests
of what differs. others: without the one in use.
"""

import sys

import lstm_native

OF_VARIANTS = ("tests/test_precision.py", "tests/test_isa.py")


def main() -> None:
    isa = lstm_native.get_config()["isa"]
    in_use, variants = isa["in_use"], isa["variants"]
    tried = {variants.get(in_use, in_use)}
    if sys.argv[1] == "all":
        print(in_use)
    for name in isa["supported"]:
        if name != in_use:
            kernels = variants.get(name, name)
            print(name, *(OF_VARIANTS if kernels in tried else ()))
            tried.add(kernels)


if __name__ == "__main__":
    main()
