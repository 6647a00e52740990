"""The speed bars beside their rivals: ``python bench/bars.py [V1 V3 …] [--threads N] [--rounds N] [--save]``.

Every rival of a bar is in this process, on the same number of threads (one unless said), and gets the same numbers;
that results agree is asserted before the timing. Rounds alternate between the contenders; the figure is the median.
What the multiply-add units can do is measured between those rounds: the share of it is that of our fastest round.
V11 compares threads: it has a process of its own, with two for everybody, and needs two CPUs.
What a bar races and asks is in bench/heats.py.
"""

import argparse
import contextlib
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import environment

TWO_THREADS, IMPORT = "V11", "V13"  # each is measured in its own way
BARS = tuple(f"V{k}" for k in range(1, 19))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("bars", nargs="*", default=[], metavar="BAR", help=f"of {' '.join(BARS)}; default all")
    parser.add_argument("--threads", type=int, default=1, help="of every contender; default 1; V11 always has two")
    parser.add_argument("--rounds", type=int, default=21)
    environment.add_output(parser)
    arguments = environment.parsed(parser, "rounds")
    unknown = set(arguments.bars) - set(BARS)
    if unknown:
        parser.error(f"no such bar: {', '.join(sorted(unknown))}")
    if arguments.bars == [TWO_THREADS]:
        arguments.threads = 2
    return arguments


if __name__ == "__main__":  # before NumPy and the rivals are imported: they read the environment once
    ARGUMENTS = _arguments()
    environment.start_again_with(ARGUMENTS.threads)

import heats
import machine
import two_threads
import workloads
from heats import Heat
from peers import OURS
from races import COPY, STREAM, Race
from timing import interleaved
from verdicts import Measured, closing, opening, report, report_line

from fastnn import _core
from fastnn._cpus import cpu_count

# Seconds of a contender's share of a round; less where there are many shapes.
SECONDS, BRIEF = 0.02, 0.004


def measured(heat: Heat, rounds: int, seconds: float) -> Measured:
    """Times of all that can take part, and the multiply-add limit from the same rounds."""
    race = heat.race
    isa, gemm = heats.settings(heat)
    with isa, gemm:
        lineup, absent = race.make(race.sides)
        calls = {side: contender.call for side, contender in lineup.items()}
        limit = machine.Limit(_core.isa(), race.dtype)
        switch = two_threads.switch() if heat.switched else lambda side: None

        def before(side: str) -> None:
            limit.sample()
            switch(side)

        found = interleaved(calls, rounds=rounds, seconds=seconds, before=before)
        times = {side: timing.median / lineup[side].steps for side, timing in found.items()}
        share = limit.share(race.flop, found[OURS].best / lineup[OURS].steps, environment.threads())
        return Measured(times, _core.isa(), share, limit.speed, absent)


def _import_time(runs: int = 15) -> float:
    code = "import time, numpy, scipy.linalg; t = time.perf_counter(); import fastnn; print(time.perf_counter() - t)"
    with tempfile.TemporaryDirectory() as folder:
        # From bytecode, as pip installs it, even where the environment forbids writing it: else this times Python's
        # compiler. The first run writes it, and does not count.
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": folder}
        done = [
            subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
            for _ in range(runs)
        ]
    return statistics.median([float(run.stdout) for run in done][1:])


def _report_bits(workload: workloads.Workload) -> dict[str, Any]:
    """A network that BLAS multiplies for has the same bits only where ``deterministic`` keeps it away."""
    met = two_threads.same_bits(workload, deterministic=False)
    assert met or two_threads.same_bits(workload, deterministic=True), workload.name
    print(f"     {two_threads.BITS:43}{'met' if met else 'MISSED: only with deterministic=True'}")
    row = {"bar": TWO_THREADS, "work": workload.name, "side": two_threads.BITS, "threads": 2, "seconds": None}
    return {**row, "limit": "equal", "met": met}


def _copied(race: Race, times: dict[str, float]) -> str:
    """How near to a copy of as many bytes a race comes that does not multiply; the copy is in it as a side."""
    copy = times.get(COPY) or times.get(STREAM)
    return f"{copy / times[OURS]:.0%} of copy speed" if copy else ""


def _elsewhere(bar: str, rounds: int) -> list[dict[str, Any]]:
    """The rows of a bar that needs another environment than this process has."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rows.json")
        sys.stdout.flush()
        subprocess.run([sys.executable, __file__, bar, "--rounds", str(rounds), "--json", str(path)], check=True)
        return json.loads(path.read_text("utf-8"))["rows"]


def _rows(bar: str, rounds: int) -> Iterator[dict[str, Any]]:
    if bar == IMPORT:
        race = Race("import fastnn after NumPy and SciPy", (OURS,), lambda sides: ({}, {}))
        yield from report(bar, race, Measured({OURS: _import_time()}, _core.isa()), {OURS: ("s", 0.025)})
    elif bar == TWO_THREADS and cpu_count() < 2:
        print(f"\n{bar:4} left out: this process may use one CPU only")
    elif bar == TWO_THREADS and environment.threads() != 2:
        yield from _elsewhere(bar, rounds)
    else:
        for heat in heats.BARS[bar]():
            with two_threads.a_cpu_taken() if heat.taken else contextlib.nullcontext():
                found = measured(heat, rounds, BRIEF if heat.brief else SECONDS)
            limits = heats.asked(heat, found.times)
            if heat.brief:
                yield from report_line(bar, heat.race, found, limits)
            else:
                yield from report(bar, heat.race, found, limits, _copied(heat.race, found.times))
            if two_threads.ONE in heat.race.sides and not heat.taken:
                yield _report_bits(next(workload for workload in heats.TWO_STEPS if workload.name == heat.race.name))
            gc.collect()


def main(arguments: argparse.Namespace) -> int:
    facts = environment.facts()
    fma = machine.fma_limit(facts["isa"])
    opening(facts, f"{fma / 1e9:.0f} GFLOP/s a thread" if fma else "no multiply-add limit")
    rows = [row for bar in arguments.bars or BARS for row in _rows(bar, arguments.rounds)]
    closing(rows)
    environment.write_json(environment.outputs(arguments, "bars"), {**facts, "fma_limit": fma}, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main(ARGUMENTS))
