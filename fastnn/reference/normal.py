"""The standard normal distribution function, vectorised and accurate far into the lower tail, for the GELU.

NumPy has no erfc; `math.erf` works on one number at a time and 1 + erf(z/√2) loses all digits below about -8.
"""

from __future__ import annotations

import numpy as np

# R(t) = Φ(-t) exp(t²/2) falls like 1/t and is smooth, so (1 + 2t) R(t) is a polynomial in q = (t - 5)/(t + 5), to 2e-17
# for 0.75 <= t <= 40. The form is that of M. M. Shepherd and J. G. Laframboise, "Chebyshev approximation of
# (1 + 2x) exp(x²) erfc x in 0 <= x < ∞", Math. Comp. 36 (1981) 249; the coefficients, highest power first, are
# mpmath.chebyfit(lambda q: (1 + 2*t) * erfc(t/sqrt(2))/2 * exp(t*t/2), [-4.25/5.75, 35/45], 21) with
# t = 5 (1 + q)/(1 - q).
_TAIL = (
    7.475054062326398e-09,
    -4.4098773136216166e-08,
    -4.8621957715720586e-08,
    4.040792291860988e-07,
    1.8741866280767753e-07,
    -2.8396000541701527e-06,
    5.285366763855968e-07,
    1.938195719717148e-05,
    -2.643428377226518e-05,
    -0.00010817442345730917,
    0.00042509519861903507,
    -0.00011869398451647304,
    -0.0035716953405022286,
    0.015422845725142032,
    -0.03933220136308841,
    0.07248782697330564,
    -0.1006574382164558,
    0.10088858203462767,
    -0.054008075034081615,
    -0.03964700840400638,
    0.8461123547250693,
)
# Nearer to zero q would lose the digits of t. There Φ(z) = 1/2 + z P(z²), to 4e-18 for |z| <= 0.75; the coefficients:
# mpmath.chebyfit(lambda u: erf(sqrt(u/2)) / (2*sqrt(u)), [1e-30, 0.75**2], 9).
_MIDDLE = (
    2.005713145365612e-09,
    -4.0950399522417176e-08,
    6.658139159575593e-07,
    -9.444605057900199e-06,
    0.00011543467768540948,
    -0.001187328214396983,
    0.009973557009976547,
    -0.06649038006690419,
    0.39894228040143265,
)
MIDDLE = 0.75
# Below -39 Φ is smaller than every float64; from 9 on it is 1.
LIMIT = 40.0


def gaussian_parts(t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two factors whose product is exp(-t²/2), float64, for 0 <= t <= 40.

    An error of the exponent is one of the result, and rounding t²/2 = 800 costs 400 units in the last place. With s
    = t cut to 20 binary places, s² is exact and t² - s² = (t - s)(t + s) is tiny (W. J. Cody, Math. Comp. 23 (1969)
    631). The first factor may be denormal; multiply it in last.
    """
    s = np.floor(t * 2**20) / 2**20
    return np.exp(-0.5 * s * s), np.exp(-0.5 * (t - s) * (t + s))


def _polynomial(coefficients: tuple[float, ...], x: np.ndarray) -> np.ndarray:
    p = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        p *= x
        p += coefficient
    return p


def tail_ratio(t: np.ndarray) -> np.ndarray:
    """R(t) = Φ(-t) exp(t²/2), float64, for 0.75 <= t <= 40."""
    return _polynomial(_TAIL, (t - 5) / (t + 5)) / (1 + 2 * t)


def middle(z: np.ndarray) -> np.ndarray:
    """Φ(z) - 1/2, float64, for -0.75 <= z <= 0.75; finite for -40 <= z <= 40."""
    return z * _polynomial(_MIDDLE, z * z)
