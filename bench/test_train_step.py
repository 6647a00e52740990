"""One training step of whole networks: compiled beside NumPy and, with --peers, its rivals."""

from collections.abc import Callable

import races
from workloads import STEPS

RACES = [races.step(w, dtype) for found in STEPS.values() for w in found for dtype in ("float32", "float64")]


def test_train_step(race: races.Race, side: str, timed: Callable[[races.Race, str], None]) -> None:
    timed(race, side)
