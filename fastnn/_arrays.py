"""Turns what callers pass into real arrays, once, at the boundary of `MLP`, or refuses it before anything has changed.

A *real array* is a C-contiguous, aligned ndarray of native byte order whose dtype is the network's.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_LINE = 64  # bytes of a cache line, and of the longest vector


def lines_of_zeros(shape: int | tuple[int, ...], dtype: str) -> Array:
    """Zeros from the start of a cache line on: a vector of a row that is a multiple of it then never takes two lines.

    A view, which cannot be resized: engines keep its address.

    Examples
    --------
    >>> lines_of_zeros((2, 100), "float32").ctypes.data % 64
    0
    """
    size = np.dtype(dtype).itemsize
    n = math.prod(shape) if isinstance(shape, tuple) else shape
    with_rest = np.zeros(n + _LINE // size, dtype)
    start = -with_rest.__array_interface__["data"][0] % _LINE // size
    return with_rest[start : start + n].reshape(shape)


def numbers(name: str, value: Any) -> Array:
    """``value`` as an array of real numbers, in whatever dtype and layout it has: what a shape can be asked of.

    Raises
    ------
    TypeError
        It holds something other than real numbers, integers or booleans.
    ValueError
        It is ragged, or some of its entries are masked.
    """
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(
            f"{name}: wanted a rectangular array of numbers, got {type(value).__name__}: {error}"
        ) from None
    if array.dtype.kind not in "fiub":
        what = (
            f"dtype {array.dtype}"
            if isinstance(value, np.ndarray)
            else f"{type(value).__name__} of dtype {array.dtype}"
        )
        raise TypeError(f"{name}: wanted an array of real numbers, got {what}")
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise ValueError(f"{name}: wanted a number in every place, got an array with masked entries; use filled()")
    return array


def real_array(array: Array, dtype: np.dtype[Any]) -> Array:
    """What `numbers` gave as a real array of ``dtype``: itself where it is one already, otherwise a copy.

    Numbers that the dtype cannot hold become infinite, without a warning; `require_finite` finds them.
    """
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return np.require(array, dtype, ["C", "A"])


def rows(name: str, value: Any, dtype: np.dtype[Any], width: int) -> Array:
    """``value`` as a real array of shape (rows, width); ValueError where it has another shape."""
    array = numbers(name, value)
    if array.ndim != 2 or array.shape[1] != width:
        hint = f"; for a single row use {name}[None, :]" if array.shape == (width,) else ""
        raise ValueError(f"{name}: wanted shape (n, {width}), got {array.shape}{hint}")
    return real_array(array, dtype)


def require_finite(name: str, array: Array) -> None:
    """ValueError that names the first row of ``array`` that holds a NaN or an infinity."""
    # Minimum and maximum carry a NaN through and need no temporary array of the size of the data.
    if array.size == 0 or (math.isfinite(array.min()) and math.isfinite(array.max())):
        return
    row = int(np.argmin(np.isfinite(array).reshape(len(array), -1).all(axis=1)))
    bad = array[row].reshape(-1)
    raise ValueError(f"{name}: row {row} holds {bad[~np.isfinite(bad)][0]}, wanted finite {array.dtype} numbers")
