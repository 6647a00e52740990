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


def error(function, coefficients, low, high, samples=50):
    """Largest absolute error of the polynomial on a grid."""
    points = [low + (high - low) * i / samples for i in range(samples + 1)]
    return max(abs(mp.polyval(coefficients[::-1], x) - function(x)) for x in points)


def moved(function, middle):
    """A function of the distance from a point."""
    return lambda d: function(middle + d)


def expm1_tail(r):
    """(exp(r) - 1 - r) / r^2, so that the leading terms of exp and expm1 stay exact."""
    return mp.mpf(1) / 2 + r / 6 if abs(r) < mp.mpf(10) ** -20 else (mp.expm1(r) - r) / r**2


def halved_tail(r):
    """The same of exp(-r / 2)."""
    return expm1_tail(-r / 2) / 4


def tanh_tail(a):
    """(tanh(a) - a) / a^2."""
    return -a / 3 if abs(a) < mp.mpf(10) ** -15 else (mp.tanh(a) - a) / a**2


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


def gelu_piece(a):
    """Phi(-a), which GELU subtracts a times from max(z, 0)."""
    return mp.erfc(a / mp.sqrt(2)) / 2


def gelu_slope_piece(a):
    """GELU's derivative at -a; at a it is 1 minus that."""
    return mp.erfc(a / mp.sqrt(2)) / 2 - a * mp.npdf(a)


# Functions of a >= 0 in pieces, each a polynomial in the distance from a point of it, for AVX-512 in float32, which
# looks up a coefficient among 16 or 32 in one instruction. GELU's and its slope's are of one width, the first about
# zero; the last one ends 31 1/2 widths from zero, where what is left of them is less than the last place of z and of 1.
# The width has few bits: a distance is taken from a multiple of it, and an error of it counts six times there.
GELU_WIDTH, GELU_DEGREE = "0.1875", 6
# A piece of tanh is named by the last two bits of the exponent of a + 7/8 and the first two of its mantissa: four
# pieces between powers of two, so that they widen as tanh levels off, and the first one, from zero to 1/8, is narrow.
TANH_OFFSET, TANH_END, TANH_DEGREE = mp.mpf("0.875"), mp.mpf("9.125"), 5


def tanh_pieces():
    """Middle and coefficients of each piece by its number, and the largest relative error."""
    pieces = [[mp.mpf(0)] * (TANH_DEGREE + 2) for _ in range(16)]
    # Exactly a next to zero, and exactly 1 at the end and behind it.
    first = fit(tanh_tail, mp.mpf(0), 1 - TANH_OFFSET, TANH_DEGREE - 2)
    pieces[tanh_number(TANH_OFFSET)] = [mp.mpf(0), mp.mpf(0), mp.mpf(1), *first]
    worst = error(tanh_tail, first, mp.mpf(0), 1 - TANH_OFFSET) * (1 - TANH_OFFSET)
    pieces[tanh_number(TANH_END + TANH_OFFSET)][:2] = [TANH_END, mp.mpf(1)]
    low = mp.mpf(1)
    while low < TANH_END + TANH_OFFSET:
        high = low + mp.mpf(2) ** (mp.floor(mp.log(low, 2)) - 2)
        middle = TANH_END if high == TANH_END + TANH_OFFSET else (low + high) / 2 - TANH_OFFSET
        shifted = moved(mp.tanh, middle)
        ends = [end - TANH_OFFSET - middle for end in (low, high)]
        coefficients = fit(shifted, *ends, TANH_DEGREE)
        worst = max(worst, error(shifted, coefficients, *ends) / shifted(ends[0]))
        pieces[tanh_number(low)] = [middle, *coefficients]
        low = high
    return pieces, worst


def tanh_number(shifted):
    """The number of the piece that begins at a + 7/8 = shifted."""
    exponent = int(mp.floor(mp.log(shifted, 2)))
    return (exponent + 127) % 4 * 4 + int(shifted * 4 / mp.mpf(2) ** exponent) % 4


def even_pieces(function):
    """Coefficients of each piece of one width, and the largest error beside the larger end of its piece."""
    width = mp.mpf(GELU_WIDTH)
    pieces, worst = [], mp.mpf(0)
    for i in range(32):
        shifted = moved(function, i * width)
        pieces.append(fit(shifted, -width / 2, width / 2, GELU_DEGREE))
        scale = max(abs(shifted(-width / 2)), abs(shifted(width / 2)))
        worst = max(worst, error(shifted, pieces[-1], -width / 2, width / 2) / scale)
    return pieces, worst


PIECEWISE = [
    ("TANH", *tanh_pieces()),
    ("GELU", *even_pieces(gelu_piece)),
    ("GELU_SLOPE", *even_pieces(gelu_slope_piece)),
]

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
    lines += [""]
    lines += [f"#define FNN_TANH_{name} C({mp.nstr(x, 4)})" for name, x in (("OFFSET", TANH_OFFSET), ("END", TANH_END))]
    lines += [f"#define FNN_GELU_WIDTH C({GELU_WIDTH})"]
    for name, pieces, worst in PIECEWISE:
        print(f"{name}_PIECES: {mp.nstr(worst, 3)}")
        lines += ["", f"#define FNN_{name}_PIECES \\"]
        for column in zip(*pieces, strict=True):
            numbers = [f"C({mp.nstr(mp.chop(x, mp.mpf(10) ** -30), 10)})" for x in column]
            rows = [", ".join(numbers[i : i + 8]) for i in range(0, len(numbers), 8)]
            lines += ["    {" + ", \\\n     ".join(rows) + "}, \\"]
        lines[-1] = lines[-1].removesuffix(", \\")
    TARGET.write_text("\n".join([*lines, "", "#endif", ""]))


if __name__ == "__main__":
    main()
