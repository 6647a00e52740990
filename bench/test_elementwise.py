"""Activations and Adam's update: compiled beside NumPy as one writes it for speed and, with --peers, PyTorch."""

from collections.abc import Callable

import races
from workloads import ADAMS, OPS

RACES = [*(races.activation(*op) for op in OPS), *(races.adam(n) for n in ADAMS)]


def test_elementwise(race: races.Race, side: str, timed: Callable[[races.Race, str], None]) -> None:
    timed(race, side)
