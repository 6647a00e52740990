"""What all suites share: equal threads, rounds that alternate between the sides, and the facts beside each figure."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain
from typing import Any

import cpus
import environment
import machine
import pytest
from peers import ADAM, OPS, OURS, PREDICTIONS, STEPS
from races import COPY, STREAM, Race
from threadpoolctl import threadpool_limits
from timing import Timing, interleaved

import fastnn
from fastnn import _core

# Who takes part unless --peers says more.
ALWAYS = (OURS, "NumPy")
RIVALS = {*STEPS, *PREDICTIONS, *OPS, *ADAM, COPY, STREAM}
# Rounds of a side, and seconds of a round; where a call takes long, few.
ROUNDS, SECONDS = 15, 0.01
LONG, FEW = 0.05, 5


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--threads", type=int, default=1, help="of every side (1)")
    parser.addoption(
        "--peers", default="", help="rivals beside NumPy: names such as PyTorch,JAX, or all; a missing one is skipped"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Before the rivals are imported; the BLAS that NumPy has loaded already is limited by `equal_threads`."""
    os.environ.update(environment.variables(config.getoption("--threads")))
    unknown = _wanted(config) - RIVALS - {"all", ""}
    if unknown:
        raise pytest.UsageError(f"--peers: no such rival: {', '.join(sorted(unknown))}; all, or {sorted(RIVALS)}")


def _wanted(config: pytest.Config) -> set[str]:
    return {name.strip() for name in config.getoption("--peers").split(",")}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test a race and side, for the races of a module's ``RACES`` and the sides that --peers lets in."""
    if "race" not in metafunc.fixturenames:
        return
    wanted = {*ALWAYS, *_wanted(metafunc.config)}
    cases = []
    for race in metafunc.module.RACES:
        chosen = replace(race, sides=tuple(side for side in race.sides if side in wanted or "all" in wanted))
        name = f"{race.name}, {race.dtype}".replace("×", "x")  # the ids are ASCII
        cases += [pytest.param(chosen, side, id=f"{name}, {side}") for side in chosen.sides]
    metafunc.parametrize(("race", "side"), cases)


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """What bench/figures.py draws beside the figures; the machine is named by its CPU, not by its host name."""
    for name in ("node", "release", "cpu"):
        machine_info.pop(name, None)
    machine_info["limits"] = {"fma": machine.fma_limit(_core.isa()), **machine.copy_speeds()}
    machine_info["facts"] = environment.facts()


def pytest_benchmark_update_json(config: pytest.Config, benchmarks: list[Any], output_json: dict[str, Any]) -> None:
    """Short enough to commit: without every single round, of which the quartiles tell enough, and without objects."""
    for name in ("project", "branch"):
        output_json["commit_info"].pop(name, None)
    for benchmark in output_json["benchmarks"]:
        benchmark["stats"].pop("data", None)
        for name in ("params", "options"):
            benchmark.pop(name, None)


@pytest.fixture(autouse=True)
def equal_threads(request: pytest.FixtureRequest) -> Iterator[int]:
    """All sides on the same number of threads for the length of a bench."""
    n = request.config.getoption("--threads")
    with fastnn.threads(n), threadpool_limits(n, user_api="blas"):
        yield n


@cache
def _versions() -> dict[str, str]:
    return environment.versions()


class Replay:
    """A clock that tells measured rounds again: pytest-benchmark reads it before and after each of its rounds."""

    def __init__(self) -> None:
        self.readings: Iterator[float] = iter(())

    def __call__(self) -> float:
        return next(self.readings)

    def load(self, rounds: Iterable[float]) -> None:
        self.readings = chain.from_iterable((0.0, seconds) for seconds in rounds)


@pytest.fixture
def replay(request: pytest.FixtureRequest) -> Replay:
    """The clock of the fixture ``benchmark``, which has to be requested after this one."""
    clock = Replay()
    request.node.add_marker(pytest.mark.benchmark(timer=clock))
    return clock


@dataclass(frozen=True)
class Measured:
    """What the sides of a race took, the steps that a call of each makes, and why others are not there."""

    timings: dict[str, Timing]
    steps: dict[str, int]
    absent: dict[str, str]
    limit: machine.Limit  # of one thread's multiply-add units, from between the rounds


# Only of the last race: its sides come one after another.
_measured: dict[Race, Measured] = {}


def _measure(race: Race) -> Measured:
    if race not in _measured:
        _measured.clear()
        lineup, absent = race.make(race.sides)
        calls = {side: contender.call for side, contender in lineup.items()}
        rounds = FEW if any(_seconds_of(call) > LONG for call in calls.values()) else ROUNDS
        limit = machine.Limit(_core.isa(), race.dtype)
        before = (lambda side: limit.sample()) if race.flop else (lambda side: None)
        timings = interleaved(calls, rounds=rounds, seconds=SECONDS, before=before) if calls else {}
        steps = {side: contender.steps for side, contender in lineup.items()}
        _measured[race] = Measured(timings, steps, absent, limit)
    return _measured[race]


def _seconds_of(call: Callable[[], Any]) -> float:
    return interleaved({"": call}, rounds=1, seconds=0)[""].best


@pytest.fixture
def timed(replay: Replay, benchmark: Any, equal_threads: int) -> Callable[[Race, str], None]:
    """Reports one side of a race; all its sides are made and timed when the first of them asks.

    pytest-benchmark times test after test, so that a slow minute of the machine would fall on one side alone. Here the
    rounds of all sides alternate, and the test of each side then reports its own.
    """

    def report(race: Race, side: str) -> None:
        benchmark.group = f"{race.name} {race.dtype}"
        if benchmark.disabled:  # results are compared, nothing is timed
            lineup, absent = race.make((side,))
            if side in absent:
                pytest.skip(absent[side])
            benchmark.pedantic(lineup[side].call)
            return
        measured = _measure(race)
        if side in measured.absent:
            pytest.skip(measured.absent[side])
        timing, steps = measured.timings[side], measured.steps[side]
        replay.load(timing.rounds)
        benchmark.pedantic(lambda: None, rounds=len(timing.rounds), iterations=timing.calls * steps)
        share = measured.limit.share(race.flop, timing.best / steps, equal_threads)
        benchmark.extra_info.update(
            side=side,
            dtype=race.dtype,
            **race.shapes,
            flop=race.flop,
            bytes=race.bytes,
            share_of_fma_limit=share and round(share, 4),
            cpu=cpus.name(),
            isa=_core.isa(),
            gemm=_core.gemm(),
            threads=equal_threads,
            **_versions(),
        )

    return report
