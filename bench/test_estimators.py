"""Fits and predictions of the estimators: ours and, with --peers, scikit-learn's own."""

from collections.abc import Callable
from itertools import chain

import estimator_races
import races

RACES = list(chain.from_iterable(estimator_races.RACES.values()))


def test_estimators(race: races.Race, side: str, timed: Callable[[races.Race, str], None]) -> None:
    timed(race, side)
