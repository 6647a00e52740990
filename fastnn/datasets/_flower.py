"""The two-class flower: a small problem that no straight line solves. Computed, nothing is read."""

import numpy as np
import numpy.typing as npt

from fastnn._scalars import integer
from fastnn.datasets._data import Array, real_dtype


def make_flower(
    n: int = 400, seed: int | np.random.Generator = 0, *, dtype: npt.DTypeLike = "float32"
) -> tuple[Array, Array]:
    """Points on the petals of a rose curve, half of it class 0 and half class 1.

    Class c has t = (c + u)·π + 0.2·N(0, 1) with u evenly spaced over [0, 1], r = 4 sin 4t + 0.2·N(0, 1), and the point
    (r sin t, r cos t).

    Parameters
    ----------
    n : int
        Number of points, at least 2; ``n // 2`` of them belong to class 0 and come first.
    seed : int or numpy.random.Generator
        For the noise.
    dtype : {"float32", "float64"}
        Of the coordinates.

    Returns
    -------
    X : ndarray, shape (n, 2)
        The points, about 4 units around the origin.
    y : ndarray of intp, shape (n,)
        0 or 1.

    Raises
    ------
    TypeError
        ``n`` is no integer, or ``dtype`` no dtype.
    ValueError
        ``n`` is below 2, or another dtype.

    Examples
    --------
    >>> X, y = make_flower(400, seed=1)
    >>> X.shape, np.bincount(y)
    ((400, 2), array([200, 200]))
    """
    real = real_dtype(dtype)
    n = integer("n", n)
    if n < 2:
        raise ValueError(f"n: wanted at least 2 points, got {n}")
    rng = np.random.default_rng(seed)
    counts = (n // 2, n - n // 2)
    angle = np.concatenate([np.linspace(c * np.pi, (c + 1) * np.pi, counts[c]) for c in (0, 1)])
    angle += 0.2 * rng.standard_normal(n)
    radius = 4 * np.sin(4 * angle) + 0.2 * rng.standard_normal(n)
    X = np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=1)
    return X.astype(real), np.repeat(np.array([0, 1], dtype=np.intp), counts)
