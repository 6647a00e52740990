"""Fit the polynomials of the elementwise kernels and write src_c/kernels/coefficients.h.

Run ``python tools/fit_coefficients.py`` (needs mpmath) after changing a degree. Each polynomial interpolates its
function in 50-digit arithmetic at Chebyshev nodes, which is within a factor of about two of the minimax error; the one
rational function is levelled to its minimax error. The printed figures are the largest relative errors of the exact
polynomial, the rounding of the kernels comes on top.
"""

from pathlib import Path

import mpmath as mp

mp.mp.dps = 50
TARGET = Path(__file__).parent.parent / "src_c" / "kernels" / "coefficients.h"
HALF_LN2 = mp.log(2) / 2 * mp.mpf("1.001")


def fit(function, low, high, degree):
    """Monomial coefficients, lowest power first, of the interpolant at the Chebyshev nodes of [low, high]."""
    n = degree + 1
    nodes = [(low + high) / 2 + (high - low) / 2 * mp.cos(mp.pi * (2 * i + 1) / (2 * n)) for i in range(n)]
    matrix = mp.matrix(n, n)
    values = mp.matrix(n, 1)
    for row, x in enumerate(nodes):
        values[row] = function(x)
        for power in range(n):
            matrix[row, power] = x**power
    return list(mp.lu_solve(matrix, values))


def relative_error(function, coefficients, low, high, samples=400):
    """Largest relative error of the polynomial on a grid."""
    worst = mp.mpf(0)
    for i in range(samples + 1):
        x = low + (high - low) * i / samples
        truth = function(x)
        if truth != 0:
            worst = max(worst, abs(mp.polyval(coefficients[::-1], x) / truth - 1))
    return worst


def expm1_tail(r):
    """(exp(r) - 1 - r) / r^2, so that the leading terms of exp and expm1 stay exact."""
    return mp.mpf(1) / 2 + r / 6 if abs(r) < mp.mpf(10) ** -20 else (mp.expm1(r) - r) / r**2


def log1p_tail(w):
    """(2 atanh(s) / (2 s) - 1) / s^2 with w = s^2; log1p(e) = t + t w tail(w), s = t / 2 = e / (2 + e)."""
    if w < mp.mpf(10) ** -20:
        return mp.mpf(1) / 3
    s = mp.sqrt(w)
    return (mp.atanh(s) / s - 1) / w


def scaled_normal_tail(a):
    """Phi(-a) exp(a^2 / 2), Mills' ratio over sqrt(2 pi): falls from 1/2 like 1 / a, without a wiggle."""
    return mp.exp(a * a / 2) * mp.erfc(a / mp.sqrt(2)) / 2


def fit_rational(function, end, degree, sweeps=30):
    """P of degree - 1 and Q of degree, its leading coefficient 1, with the least relative error of P / Q on [0, end].

    Least squares of P - function Q, weighted with the Q of the sweep before (Sanathanan and Koerner) and by each node's
    error so far (Lawson), which levels the errors. Nodes are Chebyshev's of (a - 3) / (a + 3).
    """
    n = 16 * degree
    right = (end - 3) / (end + 3)
    mapped = [(right - 1) / 2 + (right + 1) / 2 * mp.cos(mp.pi * i / (n - 1)) for i in range(n)]
    nodes = [3 * (1 + t) / (1 - t) for t in mapped]
    values = [function(a) for a in nodes]
    denominators, lawson = [(1 + a) ** degree for a in nodes], [mp.mpf(1)] * n
    best = None
    for _ in range(sweeps):
        matrix, right_side = mp.matrix(n, 2 * degree), mp.matrix(n, 1)
        for i, (a, value) in enumerate(zip(nodes, values, strict=True)):
            weight = mp.sqrt(lawson[i]) / (value * denominators[i])
            for power in range(degree):
                matrix[i, power] = a**power * weight
                matrix[i, degree + power] = -value * a**power * weight
            right_side[i] = value * a**degree * weight
        solved = list(mp.lu_solve(matrix, right_side))
        p, q = solved[:degree], [*solved[degree:], mp.mpf(1)]
        denominators = [mp.polyval(q[::-1], a) for a in nodes]
        errors = [
            abs(mp.polyval(p[::-1], a) / (d * v) - 1) for a, d, v in zip(nodes, denominators, values, strict=True)
        ]
        if best is None or max(errors) < best[0]:
            best = max(errors), p, q
        lawson = [weight * (e / max(errors) + mp.mpf("1e-3")) for weight, e in zip(lawson, errors, strict=True)]
    return best


# Behind these ends the GELU's tail is zero, 15 in float32 and 39 in float64. Denominator's degree.
GELU_FITS = ((32, mp.mpf(15), 5, 10), (64, mp.mpf(39), 11, 19))


FITS = [
    # name, function, low, high, degree float32, degree float64
    ("EXPM1_TAIL", expm1_tail, (-HALF_LN2, HALF_LN2), (-HALF_LN2, HALF_LN2), 4, 10),
    ("LOG1P_TAIL", log1p_tail, (mp.mpf(0), mp.mpf(1) / 9), (mp.mpf(0), mp.mpf(1) / 9), 3, 10),
]


def macro(name, coefficients, digits):
    """The lines of a list of coefficients."""
    terms = ",".join(f" \\\n    C({mp.nstr(c, digits)})" for c in coefficients)
    return ["", f"#define FNN_{name}{terms}"]


def main():
    """Write the header and print the errors."""
    lines = [
        "/* Polynomials of the elementwise kernels, lowest power first. Written by tools/fit_coefficients.py, which",
        "   says what each approximates; not edited by hand. */",
        "/* clang-format off */",
        "#ifndef FNN_COEFFICIENTS_H",
        "#define FNN_COEFFICIENTS_H",
    ]
    for name, function, range32, range64, degree32, degree64 in FITS:
        for bits, (low, high), degree, digits in ((32, range32, degree32, 10), (64, range64, degree64, 19)):
            coefficients = fit(function, low, high, degree)
            print(f"{name}_{bits}: degree {degree}, {mp.nstr(relative_error(function, coefficients, low, high), 3)}")
            lines += macro(f"{name}_{bits}", coefficients, digits)
    for bits, end, degree, digits in GELU_FITS:
        error, p, q = fit_rational(scaled_normal_tail, end, degree)
        print(f"GELU_{bits}: degree {degree - 1} over {degree}, {mp.nstr(error, 3)}")
        lines += macro(f"GELU_NUMERATOR_{bits}", p, digits) + macro(f"GELU_DENOMINATOR_{bits}", q, digits)
    TARGET.write_text("\n".join([*lines, "", "#endif", ""]))


if __name__ == "__main__":
    main()
