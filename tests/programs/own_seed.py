"""Prints the state of a process's first masks."""

import numpy as np

from calls import flat_weight, operator_for
from shapes import Shape, make_case

case = make_case(Shape("masks", 2, 3, 4, 4, 2), np.float32)
print(operator_for(case, 0.5)(case.x, case.h0, case.c0, flat_weight(case))[4].ravel())
