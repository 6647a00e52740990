"""Fit the polynomials of the elementwise kernels and write src_c/kernels/coefficients.h.

Run ``python tools/fit_coefficients.py`` (needs mpmath) after changing a degree. Each polynomial interpolates its
function in 50-digit arithmetic at Chebyshev nodes, which is within a factor of about two of the minimax error; the
printed figures are the largest relative errors of the exact polynomial, the rounding of the kernels comes on top.
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


def halved_tail(r):
    """The same of exp(-r / 2)."""
    return expm1_tail(-r / 2) / 4


def doubled_tail(r):
    """The same of (exp(2 r) - 1) / 2, whose leading terms are r + r^2."""
    return 2 * expm1_tail(2 * r)


def log1p_tail(w):
    """(2 atanh(s) / (2 s) - 1) / s^2 with w = s^2; log1p(e) = t + t w tail(w), s = t / 2 = e / (2 + e)."""
    if w < mp.mpf(10) ** -20:
        return mp.mpf(1) / 3
    s = mp.sqrt(w)
    return (mp.atanh(s) / s - 1) / w


def gelu_tail(centre):
    """(a + K) Phi(-a) exp(a^2 / 2) as a function of v = a / (a + K) - 1/2: smooth, and between 0.4 and K / 2."""

    def function(v):
        s = v + mp.mpf(1) / 2
        a = centre * s / (1 - s)
        return (a + centre) * mp.exp(a * a / 2) * mp.erfc(a / mp.sqrt(2)) / 2

    return function


def gelu_range(centre, end):
    """The range of v; behind a = end the tail is zero."""
    return -mp.mpf(1) / 2, end / (end + centre) - mp.mpf(1) / 2


# K, by dtype: where the fewest coefficients do. GELU's tail is zero from 15 on in float32, from 39 on in float64.
GELU_32, GELU_64 = mp.mpf("3.5"), mp.mpf(5)

FITS = [
    # name; function, range, degree of float32; the same of float64
    ("EXPM1_TAIL", (expm1_tail, (-HALF_LN2, HALF_LN2), 4), (expm1_tail, (-HALF_LN2, HALF_LN2), 10)),
    ("HALVED_TAIL", (halved_tail, (-2 * HALF_LN2, 2 * HALF_LN2), 4), (halved_tail, (-2 * HALF_LN2, 2 * HALF_LN2), 10)),
    (
        "DOUBLED_TAIL",
        (doubled_tail, (-HALF_LN2 / 2, HALF_LN2 / 2), 4),
        (doubled_tail, (-HALF_LN2 / 2, HALF_LN2 / 2), 10),
    ),
    ("LOG1P_TAIL", (log1p_tail, (mp.mpf(0), mp.mpf(1) / 9), 3), (log1p_tail, (mp.mpf(0), mp.mpf(1) / 9), 10)),
    (
        "GELU_TAIL",
        (gelu_tail(GELU_32), gelu_range(GELU_32, mp.mpf(15)), 9),
        (gelu_tail(GELU_64), gelu_range(GELU_64, mp.mpf(39)), 22),
    ),
]


def main():
    """Write the header and print the errors."""
    lines = [
        "/* Polynomials of the elementwise kernels, lowest power first. Written by tools/fit_coefficients.py, which",
        "   says what each approximates; not edited by hand. */",
        "/* clang-format off */",
        "#ifndef FNN_COEFFICIENTS_H",
        "#define FNN_COEFFICIENTS_H",
        "",
        f"#define FNN_GELU_CENTRE_32 C({mp.nstr(GELU_32, 3)})",
        f"#define FNN_GELU_CENTRE_64 C({mp.nstr(GELU_64, 3)})",
    ]
    for name, *fits in FITS:
        for bits, (function, (low, high), degree), digits in zip((32, 64), fits, (10, 19), strict=True):
            coefficients = fit(function, low, high, degree)
            print(f"{name}_{bits}: degree {degree}, {mp.nstr(relative_error(function, coefficients, low, high), 3)}")
            terms = ",".join(f" \\\n    C({mp.nstr(c, digits)})" for c in coefficients)
            lines += ["", f"#define FNN_{name}_{bits}{terms}"]
    TARGET.write_text("\n".join([*lines, "", "#endif", ""]))


if __name__ == "__main__":
    main()
