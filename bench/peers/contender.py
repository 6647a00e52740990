"""What a contender is, and how it says that it cannot take part."""

import importlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import fastnn

Call = Callable[[], Any]


class Unavailable(Exception):  # noqa: N818 - not an error: the message is why this contender is left out
    """This contender is not installed or cannot do this piece of work."""


@dataclass(frozen=True)
class Contender:
    """What is timed: a call and how many steps it makes; ``losses`` of the first steps, for the comparison.

    ``tolerance`` is for a contender whose formula is another one: how much its losses may differ in any dtype.
    """

    call: Call
    steps: int = 1
    losses: tuple[float, ...] = ()
    tolerance: float = 0.0


@dataclass(frozen=True)
class Learner:
    """A network that learns: a call that trains for one epoch, and one that gives the classes of rows."""

    epoch: Call
    classes: Callable[[np.ndarray], np.ndarray]


def need(*names: str) -> list[Any]:
    """The modules.

    Raises
    ------
    Unavailable
        One of them is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # theirs, not ours to mend
            return [importlib.import_module(name) for name in names]
    except ImportError as error:
        raise Unavailable(f"{error.name or names[0]} is not installed") from None


def layers(net: fastnn.MLP) -> list[tuple[np.ndarray, np.ndarray]]:
    """Copies of the weights and biases, the start of everybody."""
    return [(W.copy(), b.copy()) for W, b in zip(net.weights, net.biases, strict=True)]
