"""Rounds that alternate between contenders, kept one by one: for what needs more than `fastnn.bench.medians` tells."""

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass

# The same count and the same loop as in the package's own short benchmark.
from fastnn.bench import Call, _calls_in, _time


@dataclass(frozen=True)
class Timing:
    """Seconds of each round, and how many calls a round made."""

    rounds: list[float]
    calls: int

    @property
    def best(self) -> float:
        """Seconds a call in the fastest round: noise only ever adds."""
        return min(self.rounds) / self.calls

    @property
    def median(self) -> float:
        """Seconds a call in the middle round."""
        return statistics.median(self.rounds) / self.calls


def interleaved(
    calls: Mapping[str, Call], *, rounds: int, seconds: float, before: Callable[[str], object] = lambda name: None
) -> dict[str, Timing]:
    """Time every contender once a round, starting with another one each time; ``before(name)`` is not timed.

    A contender's share of a round is as many calls as take about ``seconds``. Finding out how many warms up.
    """
    counts = {}
    for name, call in calls.items():
        before(name)
        counts[name] = _calls_in(call, seconds)
    times: dict[str, list[float]] = {name: [] for name in calls}
    names = list(calls)
    for i in range(rounds):
        first = i % len(names)
        for name in names[first:] + names[:first]:
            before(name)
            times[name].append(_time(calls[name], counts[name]))
    return {name: Timing(times[name], counts[name]) for name in names}
