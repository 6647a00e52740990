"""How long until so many test digits are right: ``python bench/accuracy.py [--seeds N] [--only digits] [--save]``.

Everybody trains the same network from the same parameters with Adam at the same rate in batches of the same size, on
one thread. The clock runs during epochs only: not while data is loaded, something is compiled (JAX), or the accuracy
measured, which is after each epoch. The sides alternate seed by seed; the figures are medians of the seeds, each with
its own parameters and orders of rows. MNIST is left out unless FASTNN_DATA is the folder of its four files.
"""

import argparse
import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import environment


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--threads", type=int, default=1, help="of every side; default 1")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", choices=("digits", "MNIST"), help="default both")
    environment.add_output(parser)
    return environment.parsed(parser, "seeds")


if __name__ == "__main__":  # before NumPy and the rivals are imported
    ARGUMENTS = _arguments()
    environment.start_again_with(ARGUMENTS.threads)

import cpus
from peers import LEARNERS, OURS, Learner
from races import made

import fastnn
from fastnn.bench import duration
from fastnn.datasets import ImageData, load_digits, load_mnist


def _mnist() -> ImageData | None:
    folder = os.environ.get("FASTNN_DATA")
    return load_mnist(folder) if folder else None


@dataclass(frozen=True)
class Goal:
    """A share of the test digits that has to be right, and the training that leads there."""

    data: str
    load: Callable[[], ImageData | None]
    least: float
    sizes: tuple[int, ...]
    batch: int
    rate: float
    most_epochs: int

    @property
    def work(self) -> str:
        """For table and JSON."""
        return f"{self.data} to {self.least:.0%}, {'-'.join(map(str, self.sizes))}, B {self.batch}, Adam {self.rate:g}"


GOALS = (
    Goal("digits", load_digits, 0.98, (64, 100, 100, 10), 32, 3e-3, 60),
    Goal("MNIST", _mnist, 0.97, (784, 100, 100, 10), 128, 1e-3, 20),
)
Reached = tuple[float, int]


def learn(learner: Learner, goal: Goal, data: ImageData) -> Reached | None:
    """Seconds and epochs until the goal is reached; None where it is not."""
    seconds = 0.0
    for epoch in range(1, goal.most_epochs + 1):
        start = time.perf_counter()
        learner.epoch()
        seconds += time.perf_counter() - start
        if (learner.classes(data.X_test) == data.y_test).mean() >= goal.least:
            return seconds, epoch
    return None


def rows(goal: Goal, data: ImageData, seeds: int) -> Iterator[dict[str, Any]]:
    """One a side, and prints it."""
    reached: dict[str, list[Reached | None]] = {side: [] for side in LEARNERS}
    for seed in range(seeds):
        for side in list(reached):
            net = fastnn.MLP(goal.sizes, "relu", "softmax", seed=seed)
            arguments = (net, data.X_train, data.y_train, goal.batch, goal.rate, seed)
            found, absent = made(LEARNERS, [side], *arguments)
            if absent:
                print(f"     {side:20}{'left out':>12}  {absent[side]}")
                del reached[side]
            else:
                reached[side].append(learn(found[side], goal, data))
    medians = {side: _median(runs) for side, runs in reached.items()}
    ours = medians[OURS]
    for side, runs in reached.items():
        median, missed = medians[side], runs.count(None)
        seconds, epochs = median or (None, None)
        shown = f"{duration(seconds):>12}{epochs:>6g} epochs" if seconds else f"{'never':>12}{'':13}"
        ratio = f"{seconds / ours[0]:9.2f}" if seconds and ours else ""
        print(f"     {side:20}{shown}{ratio}{f'  not reached by {missed} of {seeds} seeds' if missed else ''}")
        yield {"work": goal.work, "side": side, "seconds": seconds, "epochs": epochs, "seeds": seeds, "missed": missed}


def _median(reached: list[Reached | None]) -> tuple[float, float] | None:
    """Of seconds and of epochs; None where half of the seeds or more did not reach it."""
    never = (math.inf, math.inf)
    seconds, epochs = map(statistics.median, zip(*(one or never for one in reached), strict=True))
    return (seconds, epochs) if math.isfinite(seconds) else None


def main(arguments: argparse.Namespace) -> int:
    facts, found = environment.facts(), []
    print(f"{cpus.title(facts['kind'])}: {facts['cpu']}; {facts['isa']}, {facts['threads']} thread(s)")
    for goal in (goal for goal in GOALS if arguments.only in (None, goal.data)):
        data = goal.load()
        print(f"\n{goal.work}{'' if data else ': left out, FASTNN_DATA does not name a folder of MNIST files'}")
        if data:
            found += rows(goal, data, arguments.seeds)
    environment.write_json(environment.outputs(arguments, "accuracy"), facts, found)
    return 0


if __name__ == "__main__":
    sys.exit(main(ARGUMENTS))
