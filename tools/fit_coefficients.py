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
# Where the map of the GELU's tail puts its middle: t = (a - K) / (a + K) takes a in [0, inf) to [-1, 1).
GELU_CENTRE = mp.mpf(3)
# Up to here the normal distribution is 1/2 + z P(z^2): t loses the digits of a small a.
GELU_MIDDLE = mp.mpf("0.75")


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


def gelu_tail(t):
    """(a + K) Phi(-a) exp(a^2 / 2) at a = K (1 + t) / (1 - t): smooth on [-1, 1], 1 / sqrt(2 pi) at its right end."""
    if t > 1 - mp.mpf(10) ** -12:
        return 1 / mp.sqrt(2 * mp.pi)
    a = GELU_CENTRE * (1 + t) / (1 - t)
    if a > 200:
        # Asymptotic series of the Mills ratio; its next term is below 1e-25 here.
        mills = sum((-1) ** k * mp.fac2(2 * k - 1) / a ** (2 * k + 1) for k in range(8))
        return (a + GELU_CENTRE) * mills / mp.sqrt(2 * mp.pi)
    return (a + GELU_CENTRE) * mp.exp(a * a / 2) * mp.erfc(a / mp.sqrt(2)) / 2


# The GELU's tail is needed up to a = 15 (float32) and 39 (float64): beyond, the result is zero.
def gelu_end(a):
    """The variable t at |z| = a."""
    return (a - GELU_CENTRE) / (a + GELU_CENTRE)


def gelu_middle(u):
    """(Phi(z) - 1/2) / z at z = sqrt(u)."""
    return 1 / mp.sqrt(2 * mp.pi) if u < mp.mpf(10) ** -30 else mp.erf(mp.sqrt(u / 2)) / (2 * mp.sqrt(u))


FITS = [
    # name, function, low, high, degree float32, degree float64
    ("EXPM1_TAIL", expm1_tail, (-HALF_LN2, HALF_LN2), (-HALF_LN2, HALF_LN2), 4, 10),
    ("LOG1P_TAIL", log1p_tail, (mp.mpf(0), mp.mpf(1) / 9), (mp.mpf(0), mp.mpf(1) / 9), 3, 10),
    ("GELU_TAIL", gelu_tail, (mp.mpf(-1), gelu_end(16)), (mp.mpf(-1), gelu_end(40)), 10, 24),
    ("GELU_MIDDLE", gelu_middle, (mp.mpf(0), GELU_MIDDLE**2), (mp.mpf(0), GELU_MIDDLE**2), 4, 9),
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
        f"#define FNN_GELU_CENTRE {mp.nstr(GELU_CENTRE, 3)}",
        f"#define FNN_GELU_END_OF_MIDDLE {mp.nstr(GELU_MIDDLE, 3)}",
    ]
    for name, function, range32, range64, degree32, degree64 in FITS:
        for bits, (low, high), degree, digits in ((32, range32, degree32, 10), (64, range64, degree64, 19)):
            coefficients = fit(function, low, high, degree)
            print(f"{name}_{bits}: degree {degree}, {mp.nstr(relative_error(function, coefficients, low, high), 3)}")
            terms = ",".join(f" \\\n    C({mp.nstr(c, digits)})" for c in coefficients)
            lines += ["", f"#define FNN_{name}_{bits}{terms}"]
    TARGET.write_text("\n".join([*lines, "", "#endif", ""]))


if __name__ == "__main__":
    main()
