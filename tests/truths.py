"""The activations in higher precision than the ops: float64 for float32 arguments, mpmath for float64 arguments.

Written apart from `fastnn.reference`, from the definitions and SciPy's special functions, so that both can be wrong
only independently of each other.
"""

from collections.abc import Callable, Iterable

import mpmath
import numpy as np
import scipy.special

DIGITS = 50


def _wide_elu(z: np.ndarray, alpha: float) -> np.ndarray:
    return np.where(z > 0, z, alpha * np.expm1(np.minimum(z, 0)))


# For arguments that are float32 numbers held in float64: nothing here comes near the limits of float64.
WIDE: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "identity": lambda z, alpha: z,
    "sigmoid": lambda z, alpha: scipy.special.expit(z),
    "tanh": lambda z, alpha: np.tanh(z),
    "relu": lambda z, alpha: np.where(z > 0, z, 0 * np.minimum(z, 1)),
    "leaky_relu": lambda z, alpha: np.where(z > 0, z, alpha * z),
    "elu": _wide_elu,
    "softplus": lambda z, alpha: np.logaddexp(z, 0),
    # Φ from its logarithm is accurate only to |log Φ| ulp of float64, which is nothing beside float32.
    "gelu": lambda z, alpha: z * scipy.special.ndtr(z),
    "silu": lambda z, alpha: z * scipy.special.expit(z),
    "step": lambda z, alpha: np.where(np.isnan(z), z, z > 0),
}

_LIMITS = {  # at minus infinity, at plus infinity
    "identity": (-np.inf, np.inf),
    "sigmoid": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "relu": (0.0, np.inf),
    "leaky_relu": (-np.inf, np.inf),
    "elu": (None, np.inf),  # -alpha
    "softplus": (0.0, np.inf),
    "gelu": (-0.0, np.inf),
    "silu": (-0.0, np.inf),
    "step": (0.0, 1.0),
}


def limit(name: str, sign: int, alpha: float) -> float:
    """The activation at minus (sign -1) or plus infinity."""
    value = _LIMITS[name][sign > 0]
    return -alpha if value is None else value


def wide(name: str, z: np.ndarray, alpha: float) -> np.ndarray:
    """The activation of float32 arguments, in float64."""
    with np.errstate(all="ignore"):
        y = np.asarray(WIDE[name](z.astype(np.float64), alpha))
    y = np.where(z == -np.inf, limit(name, -1, alpha), y)
    return np.where(z == np.inf, limit(name, 1, alpha), y)


def _mp_sigmoid(z: mpmath.mpf) -> mpmath.mpf:
    return 1 / (1 + mpmath.exp(-z))


def _mp_gelu(z: mpmath.mpf, alpha: mpmath.mpf) -> mpmath.mpf:
    if abs(z) > 1000:  # mpmath cannot go much farther, and Φ is 0 or 1 to more than 200,000 digits
        return max(z, mpmath.mpf(0))
    return z * mpmath.erfc(-z / mpmath.sqrt(2)) / 2


EXACT: dict[str, Callable[[mpmath.mpf, mpmath.mpf], mpmath.mpf]] = {
    "identity": lambda z, alpha: z,
    "sigmoid": lambda z, alpha: _mp_sigmoid(z),
    "tanh": lambda z, alpha: mpmath.tanh(z),
    "relu": lambda z, alpha: max(z, mpmath.mpf(0)),
    "leaky_relu": lambda z, alpha: z if z > 0 else alpha * z,
    "elu": lambda z, alpha: z if z > 0 else alpha * mpmath.expm1(z),
    "softplus": lambda z, alpha: z + mpmath.log1p(mpmath.exp(-z)) if z > 0 else mpmath.log1p(mpmath.exp(z)),
    "gelu": _mp_gelu,
    "silu": lambda z, alpha: z * _mp_sigmoid(z),
    "step": lambda z, alpha: mpmath.mpf(1 if z > 0 else 0),
}


def exact(name: str, z: Iterable[float], alpha: float) -> list[mpmath.mpf]:
    """The activation of finite float64 arguments to 50 digits."""
    with mpmath.workdps(DIGITS):
        return [EXACT[name](mpmath.mpf(float(value)), mpmath.mpf(alpha)) for value in z]


def ulps_wide(got: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Distance of float32 results from float64 truths in units of the last place, at least the smallest denormal."""
    info = np.finfo(np.float32)
    with np.errstate(all="ignore"):
        exponent = np.maximum(np.frexp(np.abs(truth))[1], info.minexp + 1)
        unit = np.ldexp(1.0, exponent - info.nmant - 1)
        error = np.abs(got.astype(np.float64) - truth) / unit
    # A truth beyond the largest float32 may be rounded to infinity.
    overflow = np.isinf(got) & (np.abs(truth) >= info.max) & (np.sign(got) == np.sign(truth))
    error = np.where(overflow | (np.isnan(got) & np.isnan(truth)), 0.0, error)
    return np.where(np.isnan(got) != np.isnan(truth), np.inf, error)


def ulps_exact(got: np.ndarray, truth: list[mpmath.mpf]) -> np.ndarray:
    """Distance of float64 results from mpmath truths in units of the last place, at least the smallest denormal."""
    info = np.finfo(np.float64)
    result = np.empty(len(truth))
    with mpmath.workdps(DIGITS):
        for i, (value, wanted) in enumerate(zip(got.tolist(), truth, strict=True)):
            if not np.isfinite(value):
                result[i] = 0.0 if np.isinf(value) and abs(wanted) >= float(info.max) and value * wanted > 0 else np.inf
                continue
            exponent = mpmath.frexp(abs(wanted))[1] if wanted else info.minexp
            unit = mpmath.ldexp(1, max(int(exponent), info.minexp + 1) - info.nmant - 1)
            result[i] = float(abs(mpmath.mpf(value) - wanted) / unit)
    return result
