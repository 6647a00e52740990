"""Arguments as users bring them, beside those that the engine reads as they are: ``python bench/arguments.py``.

Each block is a call with one argument of another dtype or layout, over the same call without. Both give the same
numbers, as is asserted before the timing. Rounds alternate between the two, and of each the fastest counts: differences
are small, and noise only ever adds.
"""

import argparse
from collections.abc import Callable, Iterator

import environment

if __name__ == "__main__":  # before NumPy is imported: its BLAS reads the environment once
    PARSER = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    PARSER.add_argument("--rounds", type=int, default=15)
    ARGUMENTS = PARSER.parse_args()
    environment.start_again_with(1)

import numpy as np
from peers import OURS, Contender
from races import Race
from timing import interleaved
from verdicts import Limits, Measured, Rows, closing, opening, report
from workloads import ROWS, STEPS, Workload, sgd

from fastnn import _core

NATIVE = "native"
# The bars: of targets, and of what has to be converted number by number.
TARGET, NUMBERS = 1.15, 1.5
ROW_SECONDS = 1e-6
WORKLOADS = [
    *(workload for bar in ("V1", "V3", "V4", "V5") for workload in STEPS[bar]),
    Workload((4, 8, 3), 32, "relu", "softmax", sgd),
    Workload((64, 100, 10), 200, "relu", "softmax", sgd),
    Workload((784, 10), 128, "relu", "softmax", sgd),
    Workload((784, 1), 128, "relu", "sigmoid", sgd),
]
Call = Callable[[], object]


def steps(workload: Workload) -> Iterator[tuple[str, float, Call, Call]]:
    """(what is brought, bar, the call with it, the native call) of a training step."""
    X, y = workload.data("float32")
    weight = np.ones(len(X), "float32")
    net, optimizer = workload.network("float32", "compiled"), sgd()

    def pair(what: str, bar: float, given: dict[str, np.ndarray], **more: np.ndarray) -> tuple[str, float, Call, Call]:
        native = {"X": X, "y": y, **more}
        brought = {**native, **given}
        losses = {
            workload.network("float32", "compiled").train_step(**batch, optimizer=sgd()) for batch in (native, brought)
        }
        assert len(losses) == 1, what
        return (
            f"{workload.name}, {what}",
            bar,
            lambda: net.train_step(**brought, optimizer=optimizer),
            lambda: net.train_step(**native, optimizer=optimizer),
        )

    if workload.output == "softmax":
        for kind in ("uint8", "int32", "uint64", "bool" if workload.sizes[-1] == 2 else "int16"):
            yield pair(f"{kind} labels", TARGET, {"y": y.astype(kind)})
    elif workload.sizes[-1] == 1:
        yield pair("float32 targets (n,)", TARGET, {"y": y[:, 0].copy()})
        for kind in ("float64", "int64", "bool"):
            yield pair(f"{kind} targets (n,)", TARGET, {"y": y[:, 0].astype(kind)})
        yield pair("int64 targets (n, 1)", TARGET, {"y": y.astype("int64")})
    yield pair("float64 X", NUMBERS, {"X": X.astype("float64")})
    yield pair("X in Fortran order", NUMBERS, {"X": np.asfortranarray(X)})
    yield pair("float64 weights", NUMBERS, {"sample_weight": weight.astype("float64")}, sample_weight=weight)


def rows(workload: Workload) -> Iterator[tuple[str, Call, Call]]:
    """(what is brought, the call with it, the native call) of a prediction of one row."""
    net = workload.network("float32", "compiled")
    x = np.arange(workload.sizes[0], dtype="float32")
    for kind in ("float64", "int64", "float16"):
        brought = x.astype(kind)
        assert (net.predict(brought) == net.predict(x)).all()
        yield f"predict {workload.network_name}, a {kind} row", lambda b=brought: net.predict(b), lambda: net.predict(x)


def judged(what: str, brought: Call, native: Call, rounds: int, limits: Limits) -> Rows:
    """Times the pair, and prints it."""
    calls = {OURS: brought, NATIVE: native}
    times = {name: timing.best for name, timing in interleaved(calls, rounds=rounds, seconds=0.01).items()}
    pair = Race(what, tuple(calls), lambda sides: ({side: Contender(calls[side]) for side in sides}, {}))
    return report("", pair, Measured(times, _core.isa()), limits)


def main(arguments: argparse.Namespace) -> int:
    found: Rows = []
    opening(environment.facts())
    for what, brought, native in rows(ROWS["V6"]):
        found += judged(what, brought, native, arguments.rounds, {OURS: ("s", ROW_SECONDS)})
    for workload in WORKLOADS:
        for what, bar, brought, native in steps(workload):
            found += judged(what, brought, native, arguments.rounds, {NATIVE: ("<=", bar)})
    closing(found)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(ARGUMENTS))
