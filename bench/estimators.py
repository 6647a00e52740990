"""`fastnn.sklearn` beside scikit-learn: ``python bench/estimators.py [--threads N] [--rounds N] [--save]``.

Whole fits and predictions by the same number of threads, in one process; that both reach the same loss is asserted
before the timing. Rounds alternate between the two; the figure is the median. MNIST is left out unless FASTNN_DATA is
the folder of its four files. It takes less than two minutes.
"""

import argparse
import gc
import sys
import time
from collections.abc import Iterator
from typing import Any

import environment


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--threads", type=int, default=1, help="of both; default 1")
    parser.add_argument("--rounds", type=int, default=7)
    environment.add_output(parser)
    return environment.parsed(parser, "threads", "rounds")


if __name__ == "__main__":  # before NumPy and scikit-learn are imported
    ARGUMENTS = _arguments()
    environment.start_again_with(ARGUMENTS.threads)

from estimator_races import RACES, THEIRS
from timing import interleaved
from verdicts import Measured, closing, opening, report

from fastnn import _core

# How many times as fast as scikit-learn, on one thread and on more.
LIMITS: dict[str, tuple[float, float]] = {
    "digits": (5, 6), "lbfgs": (2.5, 3), "adam": (2, 2.5), "sgd": (1.8, 2.5), "row": (3, 3), "unchecked": (50, 50),
    "rows": (1.5, 1.5),
}  # fmt: skip
# Seconds until the threads of the other side's BLAS, which wait for work by spinning, have gone to sleep.
SETTLE = 0.15


def _settle(_: str) -> None:
    if environment.threads() > 1:
        time.sleep(SETTLE)


def _rows(rounds: int) -> Iterator[dict[str, Any]]:
    for bar, races in RACES.items():
        for race in races:
            lineup, absent = race.make(race.sides)
            if absent:
                print(f"\n{bar:4} {race.name}: left out, {next(iter(absent.values()))}")
                continue
            calls = {side: contender.call for side, contender in lineup.items()}
            found = interleaved(calls, rounds=rounds, seconds=0.02, before=_settle)
            times = {side: timing.median for side, timing in found.items()}
            limits = {THEIRS: (">=", LIMITS[bar][environment.threads() > 1])} if bar in LIMITS else {}
            yield from report(bar, race, Measured(times, _core.isa()), limits)
            del lineup, calls
            gc.collect()


def main(arguments: argparse.Namespace) -> int:
    facts = {**environment.facts(), "dtype": "float32 or float64 as named"}
    opening(facts)
    rows = list(_rows(arguments.rounds))
    closing(rows)
    environment.write_json(environment.outputs(arguments, f"estimators-{arguments.threads}"), facts, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main(ARGUMENTS))
