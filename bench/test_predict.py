"""Predictions of one row and of batches: compiled beside NumPy and, with --peers, its rivals."""

from collections.abc import Callable

import races
from workloads import BATCHES, ROWS

RACES = [races.prediction(workload) for workload in (*ROWS.values(), *BATCHES)]


def test_predict(race: races.Race, side: str, timed: Callable[[races.Race, str], None]) -> None:
    timed(race, side)
