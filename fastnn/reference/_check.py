"""Argument checks shared by every op of the reference. Each runs before anything is written.

A message starts with the argument's name and says what was wanted and what came.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fastnn._scalars import integer, number, positive

Shape = Sequence["int | str"]  # a letter stands for any length

REAL = (np.dtype(np.float32), np.dtype(np.float64))
ROW: Shape = ("...", "n")  # at least one dimension


def _shape_text(shape: Shape) -> str:
    return "(" + ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "") + ")"


def _fits(got: tuple[int, ...], wanted: Shape) -> bool:
    if wanted is ROW:
        return len(got) >= 1
    return len(got) == len(wanted) and all(isinstance(w, str) or g == w for g, w in zip(got, wanted, strict=True))


def plain(name: str, a: np.ndarray) -> None:
    """Refuse arrays whose arithmetic is another: * of a matrix is @, and a masked array computes around its mask."""
    if isinstance(a, (np.matrix, np.ma.MaskedArray)):
        raise TypeError(f"{name}: wanted a plain NumPy array, got {type(a).__name__}; use np.asarray or filled()")


def array(name: str, a: Any, dtype: np.dtype | None = None, shape: Shape | None = None) -> np.ndarray:
    """Refuse `a` unless it is a C-contiguous, aligned array of the dtype (None: float32 or float64) and shape."""
    if not isinstance(a, np.ndarray):
        raise TypeError(f"{name}: wanted a NumPy array, got {type(a).__name__}")
    plain(name, a)
    if dtype is None:
        if a.dtype not in REAL:
            raise TypeError(f"{name}: wanted dtype float32 or float64 in native byte order, got {a.dtype}")
    elif a.dtype != dtype:
        raise TypeError(f"{name}: wanted dtype {dtype} in native byte order, got {a.dtype}")
    if shape is not None and not _fits(a.shape, shape):
        raise ValueError(f"{name}: wanted shape {_shape_text(shape)}, got {_shape_text(a.shape)}")
    if not a.flags.c_contiguous:
        raise ValueError(f"{name}: wanted a C-contiguous array, got strides {a.strides} for shape {a.shape}")
    if not a.flags.aligned:
        raise ValueError(f"{name}: wanted an aligned array, got one that is misaligned")
    return a


def writable(name: str, a: Any, dtype: np.dtype, shape: Shape) -> np.ndarray:
    """Refuse `a` unless it can be written and is as `array` asks."""
    array(name, a, dtype, shape)
    if not a.flags.writeable:
        raise ValueError(f"{name}: wanted an array that can be written, got a read-only one")
    return a


def apart(name: str, a: np.ndarray, other_name: str, other: np.ndarray | None, same: bool = False) -> None:
    """Refuse an output that shares memory with another argument; `same` allows exactly the same memory."""
    # Both are contiguous, so that comparing the bounds is exact.
    if other is None or not np.may_share_memory(a, other):
        return
    if same and a.nbytes == other.nbytes and a.ctypes.data == other.ctypes.data:
        return
    raise ValueError(f"{name}: wanted memory of its own, got an array that overlaps {other_name}")


def output(name: str, a: Any, dtype: np.dtype, shape: tuple[int, ...], /, **inputs: np.ndarray | None) -> np.ndarray:
    """A new array where `a` is None, else `a`, refused if it cannot be written or overlaps one of the inputs."""
    if a is None:
        return np.empty(shape, dtype)
    writable(name, a, dtype, shape)
    for other_name, other in inputs.items():
        apart(name, a, other_name, other)
    return a


def in_place(name: str, a: Any, dtype: np.dtype, shape: tuple[int, ...], /, **inputs: np.ndarray | None) -> np.ndarray:
    """As `output`, but `a` may be exactly one of the inputs: for ops that go element by element or row by row."""
    if a is None:
        return np.empty(shape, dtype)
    writable(name, a, dtype, shape)
    for other_name, other in inputs.items():
        if other is not a:
            apart(name, a, other_name, other, same=True)
    return a


def lengths(itemsize: int, **lengths: Any) -> list[int]:
    """The lengths of an array's axes, refused unless they are integers >= 0 whose product memory can address."""
    size = itemsize
    for name, value in lengths.items():
        # A length of zero makes the array empty, but not the other lengths acceptable to NumPy.
        size *= max(integer(name, value, 0), 1)
        if size > sys.maxsize:
            raise ValueError(
                f"{name}: wanted an array that memory can hold, got {' x '.join(map(str, lengths.values()))}"
            )
    return [int(value) for value in lengths.values()]


def decay(name: str, value: Any) -> float:
    """The value as a float from 0 to below 1: at 1 Adam's corrections would divide by zero."""
    result = number(name, value)
    if not 0 <= result < 1:
        raise ValueError(f"{name}: wanted 0 <= {name} < 1, got {result}")
    return result


def alpha(activations: Mapping[str, Any], name: str, value: Any) -> float:
    """The activation's parameter, or its default where `value` is None; ignored (0) where it has none."""
    row = activations[name]
    if row.alpha is None:
        return 0.0
    return positive("alpha", row.alpha if value is None else value, zero=row.alpha_zero)


def weights(name: str, a: Any, dtype: np.dtype, rows: int) -> np.ndarray | None:
    """Sample weights: None, or finite non-negative reals, one a row, not all zero."""
    if a is None:
        return None
    array(name, a, dtype, (rows,))
    if not np.isfinite(a).all():
        raise ValueError(f"{name}: wanted finite weights, got {a[~np.isfinite(a)][0]}")
    if (a < 0).any():
        raise ValueError(f"{name}: wanted weights >= 0, got {a[a < 0][0]}")
    if not (a > 0).any():
        raise ValueError(f"{name}: wanted at least one weight > 0, got only zeros")
    return a


def some_rows(name: str, a: np.ndarray) -> None:
    """Refuse a batch without rows, which has no mean."""
    if a.shape[0] == 0:
        raise ValueError(f"{name}: wanted at least one row to take the mean over, got shape {a.shape}")


def some_classes(name: str, a: np.ndarray) -> None:
    """Refuse logits without columns."""
    if a.shape[1] == 0:
        raise ValueError(f"{name}: wanted at least one class, got shape {a.shape}")


def labels(name: str, target: Any, rows: int, classes: int) -> np.ndarray | None:
    """The target as checked labels of dtype intp, or None where it holds reals."""
    if not isinstance(target, np.ndarray) or target.dtype.kind not in "iu":
        return None
    plain(name, target)
    if target.shape != (rows,):
        raise ValueError(f"{name}: wanted integer labels of shape ({rows},), got shape {target.shape}")
    wrong = (target < 0) | (target >= classes)
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(f"{name}: wanted labels 0 to {classes - 1}, got {target[row]} in row {row}")
    return np.require(target, np.intp, ["C", "A"])
