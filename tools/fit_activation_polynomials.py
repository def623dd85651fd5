"""Print the polynomial coefficients of csrc/kernels/generic/activations.inl.

exp(r) = 1 + r + r^2 * E(r) on |r| <= ln(2)/2: a near-minimax fit (interpolation at Chebyshev
nodes, in 60 digits), with the relative error of the whole approximation, before any rounding to
float32 or float64.

Needs mpmath: python tools/fit_activation_polynomials.py
"""

from collections.abc import Callable

import mpmath as mp

mp.mp.dps = 60


def fit(
    function: Callable[[mp.mpf], mp.mpf], low: mp.mpf, high: mp.mpf, degree: int
) -> list[mp.mpf]:
    """Return the polynomial through `function` at Chebyshev nodes, constant first."""
    count = degree + 1
    nodes = [
        (low + high) / 2 + (high - low) / 2 * mp.cos(mp.pi * (2 * k + 1) / (2 * count))
        for k in range(count)
    ]
    vandermonde = mp.matrix(count, count)
    for row, node in enumerate(nodes):
        for column in range(count):
            vandermonde[row, column] = node**column
    return list(mp.lu_solve(vandermonde, mp.matrix([function(node) for node in nodes])))


def evaluate(coefficients: list[mp.mpf], x: mp.mpf) -> mp.mpf:
    return mp.polyval(coefficients[::-1], x)


def exp_remainder(r: mp.mpf) -> mp.mpf:
    # Near 0 the subtraction cancels every digit; the limit is exact to 20 of them there.
    return (mp.exp(r) - 1 - r) / r**2 if abs(r) > mp.mpf("1e-20") else mp.mpf("0.5")


def main() -> None:
    half_ln2 = mp.log(2) / 2
    for name, degree in (("float32", 4), ("float64", 10)):
        exp_fit = fit(exp_remainder, -half_ln2, half_ln2, degree)
        grid = [mp.mpf(k) / 500 for k in range(1, 501)]
        error = max(
            abs((1 + r + r**2 * evaluate(exp_fit, r)) / mp.exp(r) - 1)
            for g in grid
            for r in (g * half_ln2, -g * half_ln2)
        )
        print(f"{name}: relative error of exp {mp.nstr(error, 3)}")
        print("  E:", ", ".join(mp.nstr(c, 20) for c in exp_fit))


if __name__ == "__main__":
    main()
