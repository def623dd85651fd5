"""Prints the instruction set that explain() names, how it begins, and the slow paths."""

import lstm_native

about = lstm_native.explain(seq_len=1, batch=1, input_size=64, hidden_size=64)
print(about.isa)
print(str(about).splitlines()[0].split()[0])
print("\n".join(about.slow_paths))
