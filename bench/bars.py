"""The speed bars beside their rivals: ``python bench/bars.py [V1 V3 …] [--threads N] [--rounds N] [--json FILE]``.

Every rival of a bar is in this process, on the same number of threads (one unless said), and gets the same numbers;
that results agree is asserted before the timing. Rounds alternate between the contenders; the figure is the median.
V11 compares threads: it has a process of its own, with two for everybody, and needs two CPUs.
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
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import environment

TWO_THREADS = "V11"
BARS = ("V1", "V2", "V3", "V4", "V5", "V6", "V7", "V8", "V9", "V10", TWO_THREADS, "V12", "V13", "V14")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("bars", nargs="*", metavar="BAR", help=f"of {' '.join(BARS)}; default all")
    parser.add_argument("--threads", type=int, default=1, help="of every contender; default 1; V11 always has two")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    arguments = parser.parse_args()
    unknown = set(arguments.bars) - set(BARS)
    if unknown:
        parser.error(f"no such bar: {', '.join(sorted(unknown))}")
    if arguments.bars == [TWO_THREADS]:
        arguments.threads = 2
    return arguments


if __name__ == "__main__":  # before NumPy and the rivals are imported: they read the environment once
    ARGUMENTS = _arguments()
    environment.start_again_with(ARGUMENTS.threads)

import machine
import numpy as np
import races
import two_threads
import workloads
from peers import OURS, Contender
from races import COPY, STREAM, Race
from timing import interleaved
from verdicts import Limits, closing, opening, report

from fastnn._cpus import cpu_count

STEP_LIMITS: dict[str, list[Limits]] = {
    "V1": [{"products": ("<=", 0.93), "JAX": (">=", 1.3), "PyTorch": (">=", 1.9)}] * 2,
    "V2": [{"JAX": (">=", 1.25), "PyTorch": (">=", 1.7)}] * 2,
    "V3": [{"products": ("<=", 0.6), "JAX": (">=", 4), "JAX scan": (">=", 1.6), "PyTorch": (">=", 25)}],
    "V4": [{"JAX": (">=", 8), "JAX scan": (">=", 1.5), "NumPy": (">=", 10), "PyTorch": (">=", 50)}],
    "V5": [{"JAX": (">=", 2.5), "PyTorch": (">=", 6)}],
    "V8": [{"products": ("<=", 0.98)}, {"products": ("<=", 1.03)}],
}
ROW_LIMITS: dict[str, Limits] = {
    "V6": {OURS: ("s", 0.6e-6), "onnxruntime": (">=", 10), "onnxruntime bound": (">=", 10), "NumPy": (">=", 12),
           "PyTorch": (">=", 40)},
    "V7": {"onnxruntime": (">=", 2), "onnxruntime bound": (">=", 2)},
}  # fmt: skip
# Our time over a copy's, by activation.
COPIES = {"relu": 1.1, "tanh": 3.5, "sigmoid": 3.5, "softmax": 4, "gelu": 6}
TWO_LIMITS: Limits = {two_threads.ONE: (">=", 1.7), "JAX": (">=", 1.0), "PyTorch": (">=", 1.0)}
TAKEN_LIMITS: Limits = {two_threads.ONE: ("<=", 1.1)}
TWO_STEPS = (*workloads.STEPS["V1"], *workloads.STEPS["V5"], *workloads.STEPS["V8"])


def heats(bar: str) -> Iterator[tuple[Race, Limits]]:
    if bar in STEP_LIMITS:
        yield from zip(map(races.step, workloads.STEPS[bar]), STEP_LIMITS[bar], strict=True)
    elif bar in ROW_LIMITS:
        yield races.prediction(workloads.ROWS[bar]), ROW_LIMITS[bar]
    elif bar == "V9":
        for op, columns in workloads.OPS:
            limits: Limits = {COPY: ("<=", COPIES[op]), "NumPy": (">=", 1.0), "PyTorch": (">=", 1.0)}
            yield races.activation(op, columns), limits
    elif bar == "V10":
        for n in workloads.ADAMS:
            far = {STREAM: ("<=", 1.15)} if n == max(workloads.ADAMS) else {}  # smaller ones are in the caches
            yield races.adam(n), {"PyTorch": (">=", 1.0), **far}
    elif bar == TWO_THREADS:
        yield from ((two_threads.scaling(workload), TWO_LIMITS) for workload in TWO_STEPS)
        yield from ((two_threads.taken(workload), TAKEN_LIMITS) for workload in TWO_STEPS)
        yield from ((two_threads.race(workload), TWO_LIMITS) for workload in TWO_STEPS)
    elif bar == "V12":
        yield _many_callers(), {"one caller": (">=", 1.7)}
    elif bar == "V14":
        yield races.decay(), {races.FIRST: ("<=", 1.1)}


def _many_callers(callers: int = 8, each: int = 4) -> Race:
    n = callers * each

    def make(sides: object) -> tuple[races.Lineup, dict[str, str]]:
        net = workloads.STEPS["V1"][0].network("float32", "compiled")
        X = np.random.default_rng(0).standard_normal((1000, 784), np.float32)
        outs = [np.empty((1000, 10), np.float32) for _ in range(callers)]
        pool = ThreadPoolExecutor(callers)

        def some(out: np.ndarray) -> np.ndarray:
            for _ in range(each):
                net.predict(X, out)
            return out

        def one() -> list[np.ndarray]:
            return [some(out) for out in outs]

        def many() -> list[np.ndarray]:
            return list(pool.map(some, outs))

        assert all((out == net.predict(X)).all() for out in many())
        return {OURS: Contender(many, n), "one caller": Contender(one, n)}, {}

    work = f"predict 1000 rows 784-100-100-10, {callers} callers on {cpu_count()} CPUs"
    return Race(work, (OURS, "one caller"), make)


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


def _share(race: Race, times: dict[str, float], fma: float | None) -> str:
    if race.flop and fma:
        return f"{race.flop / times[OURS] / (fma * environment.threads()):.0%} of the multiply-add limit"
    moved = next((times[name] for name in (COPY, STREAM) if name in times), None)
    return f"{moved / times[OURS]:.0%} of copy speed" if moved else ""


def _timed(race: Race, bar: str, rounds: int) -> dict[str, float]:
    lineup = race.lineup()
    calls = {name: contender.call for name, contender in lineup.items()}
    before = two_threads.switch() if bar == TWO_THREADS else lambda name: None
    found = interleaved(calls, rounds=rounds, seconds=0.02, before=before)
    return {name: timing.median / lineup[name].steps for name, timing in found.items()}


def _elsewhere(bar: str, rounds: int) -> list[dict[str, Any]]:
    """The rows of a bar that needs another environment than this process has."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rows.json")
        sys.stdout.flush()
        subprocess.run([sys.executable, __file__, bar, "--rounds", str(rounds), "--json", str(path)], check=True)
        return json.loads(path.read_text("utf-8"))["rows"]


def _rows(bar: str, rounds: int, fma: float | None) -> Iterator[dict[str, Any]]:
    if bar == "V13":
        times = {OURS: _import_time()}
        yield from report(bar, "import fastnn after NumPy and SciPy", times, {OURS: ("s", 0.025)}, "")
    elif bar == TWO_THREADS and cpu_count() < 2:
        print(f"\n{bar:4} left out: this process may use one CPU only")
    elif bar == TWO_THREADS and environment.threads() != 2:
        yield from _elsewhere(bar, rounds)
    else:
        for race, limits in heats(bar):
            is_taken = race.name.endswith(two_threads.TAKEN)
            with two_threads.a_cpu_taken() if is_taken else contextlib.nullcontext():
                times = _timed(race, bar, rounds)
            yield from report(bar, race.name, times, limits, _share(race, times, fma))
            if two_threads.ONE in race.sides and not is_taken:
                yield _report_bits(next(workload for workload in TWO_STEPS if workload.name == race.name))
            gc.collect()


def main(arguments: argparse.Namespace) -> int:
    fma, facts = machine.fma_limit(), environment.facts()
    opening(facts, f"limit of one {fma / 1e9:.0f} GFLOP/s" if fma else "limit of one unknown")
    rows = [row for bar in arguments.bars or BARS for row in _rows(bar, arguments.rounds, fma)]
    closing(rows)
    if arguments.json:
        environment.write_json(arguments.json, {**facts, "fma_limit": fma}, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main(ARGUMENTS))
