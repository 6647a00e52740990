"""Checks of single numbers, for every module that takes them. A message says what was wanted and what came."""

import math
import operator
import reprlib
from typing import Any


def number(name: str, value: Any) -> float:
    """The value as a float.

    Raises
    ------
    TypeError
        It is no real number; a boolean is none.
    ValueError
        It is an integer beyond float64.
    """
    if isinstance(value, (bool, str, bytes)):
        raise TypeError(f"{name}: wanted a number, got {reprlib.repr(value)}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name}: wanted a number that float64 can hold, got a larger integer") from None
    except (TypeError, ValueError):
        raise TypeError(f"{name}: wanted a number, got {reprlib.repr(value)}") from None


def positive(name: str, value: Any, *, zero: bool = False) -> float:
    """The value as a finite float above zero, or from zero on.

    Raises
    ------
    TypeError
        It is no real number.
    ValueError
        It is out of that range.
    """
    result = number(name, value)
    if not math.isfinite(result) or result < 0 or (result == 0 and not zero):
        raise ValueError(f"{name}: wanted a finite number {'>=' if zero else '>'} 0, got {value}")
    return result


def integer(name: str, value: Any, low: int | None = None, high: int | None = None) -> int:
    """The value as an int.

    Raises
    ------
    TypeError
        It is no integer; a float is none, whatever its value.
    ValueError
        It is not within low <= value <= high.
    """
    try:
        index = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: wanted an integer, got {reprlib.repr(value)}") from None
    if low is not None and index < low:
        raise ValueError(f"{name}: wanted at least {low}, got {reprlib.repr(index)}")
    if high is not None and index > high:
        raise ValueError(f"{name}: wanted at most {high}, got {reprlib.repr(index)}")
    return index
