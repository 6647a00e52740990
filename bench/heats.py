"""What each bar races, and what it asks of the times: the floors that hold on every CPU, and those of one. No timing.

A share is that of what one core's multiply-add units can do, measured in the same run. Ratios are ours over the other's
where "<=", the other's over ours where ">=".
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import cpus
import numpy as np
import races
import two_threads
import workloads
from peers import OURS, Contender
from races import COPY, STREAM, Race
from verdicts import SHARE, Limits
from workloads import Product, Workload

import fastnn
from fastnn import _core
from fastnn._cpus import cpu_count


@dataclass(frozen=True)
class Heat:
    """A race of a bar and what is asked; where it says so, under another instruction set or kind of products."""

    race: Race
    limits: Limits = field(default_factory=dict)
    isa: str | None = None
    gemm: str | None = None
    switched: bool = False  # each side on its own number of threads
    taken: bool = False  # while another process is busy on one of the CPUs
    brief: bool = False  # of many shapes: reported in one line


# As the lists of workloads.STEPS.
_WIDE: Limits = {SHARE: (">=", 0.75), "products": ("<=", 1.0), "JAX": (">=", 1.0), "PyTorch": (">=", 1.0)}
STEP_LIMITS: dict[str, list[Limits]] = {
    "V1": [
        {"products": ("<=", 0.75), "JAX": (">=", 1.8), "PyTorch": (">=", 2.6), SHARE: (">=", 0.8)},
        {"products": ("<=", 0.93), "JAX": (">=", 1.3), "PyTorch": (">=", 1.9), SHARE: (">=", 0.8)},
    ],
    "V2": [{"JAX": (">=", 1.25), "PyTorch": (">=", 1.7)}] * 2,
    "V3": [{"products": ("<=", 0.6), "JAX": (">=", 4), "JAX scan": (">=", 1.6), "PyTorch": (">=", 25)}],
    "V4": [{"JAX": (">=", 8), "JAX scan": (">=", 1.5), "NumPy": (">=", 10), "PyTorch": (">=", 50)}],
    "V5": [{"JAX": (">=", 2.5), "PyTorch": (">=", 6)}],
    "V8": [_WIDE] * 4,
}
# Seconds of one row's prediction, by CPU: what it took when these bars were set. On others they are only printed.
ROW_SECONDS = {
    "V6": {"amd-family-25-model-17": 0.49e-6, "intel-family-6-model-167": 0.36e-6},
    "V7": {"amd-family-25-model-17": 4.48e-6, "intel-family-6-model-167": 4.1e-6},
}
ROW_LIMITS: dict[str, Limits] = {
    "V6": {"onnxruntime": (">=", 10), "onnxruntime bound": (">=", 10), "NumPy": (">=", 12), "PyTorch": (">=", 40)},
    "V7": {"onnxruntime": (">=", 2), "onnxruntime bound": (">=", 2)},
}
# Our time over a copy's, by activation; where there is no figure, it is printed.
COPIES = {"relu": 1.1, "tanh": 3.5, "sigmoid": 3.5, "softmax": 4, "gelu": 6}
TWO_STEPS = (
    *workloads.STEPS["V1"], *workloads.STEPS["V5"], *workloads.STEPS["V8"],
    Workload((64, 100, 10), 200, "relu", "softmax", workloads.sgd),
    Workload((130, 130, 130, 10), 512, "relu", "softmax", workloads.sgd),
)  # fmt: skip
# Of a step that takes at least so long on one thread two are asked for more; a shorter one has little to share.
SHARED_FROM = 100e-6
SCALING: Limits = {two_threads.ONE: (">=", 1.8)}
TAKEN: Limits = {two_threads.ONE: ("<=", 1.1)}
TWO_RIVALS: Limits = {"JAX": (">=", 1.0), "PyTorch": (">=", 1.0)}
STEP_SHARES = {"avx512": 0.8, "avx2": 0.78}
PRODUCT_SHARES = {"forward": 0.85, "input gradient": 0.85, "weight gradient": 0.8}
PRODUCT_RIVALS: Limits = {"NumPy's BLAS": (">=", 0.97), "MKL": (">=", 0.97)}
AHEAD: Limits = {"onnxruntime": (">=", 1.0), "onnxruntime bound": (">=", 1.0), "PyTorch": (">=", 1.0)}
IN_CACHE = "train_step"


def _steps(bar: str) -> Iterator[Heat]:
    yield from map(Heat, map(races.step, workloads.STEPS[bar]), STEP_LIMITS[bar])


def _row(bar: str) -> Iterator[Heat]:
    known = ROW_SECONDS[bar].get(cpus.kind())
    yield Heat(races.prediction(workloads.ROWS[bar]), {**ROW_LIMITS[bar], **({OURS: ("s", known)} if known else {})})


def _activations() -> Iterator[Heat]:
    for op, columns in workloads.OPS:
        copy: Limits = {COPY: ("<=", COPIES[op])} if op in COPIES else {}
        yield Heat(races.activation(op, columns), {**copy, "NumPy": (">=", 1.0), "PyTorch": (">=", 1.0)})


def _updates() -> Iterator[Heat]:
    for n in workloads.ADAMS:
        far: Limits = {STREAM: ("<=", 1.15)} if n == max(workloads.ADAMS) else {}  # smaller ones are in the caches
        yield Heat(races.adam(n), {"PyTorch": (">=", 1.0), **far})


def _two_threads() -> Iterator[Heat]:
    yield from (Heat(two_threads.scaling(workload), SCALING, switched=True) for workload in TWO_STEPS)
    yield from (Heat(two_threads.taken(workload), TAKEN, switched=True, taken=True) for workload in TWO_STEPS)
    yield from (Heat(two_threads.race(workload), TWO_RIVALS, switched=True) for workload in TWO_STEPS)


def _many_callers(callers: int = 8, each: int = 4) -> Iterator[Heat]:
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
    yield Heat(Race(work, (OURS, "one caller"), make), {"one caller": (">=", 1.7)})


def _widths() -> Iterator[Heat]:
    """Ours alone, by each instruction set that this CPU has and that has a floor, in both dtypes."""
    for isa in (isa for isa in STEP_SHARES if isa in _core.available_isas()):
        limits: Limits = {SHARE: (">=", STEP_SHARES[isa])}
        for dtype in ("float32", "float64"):
            for workload in workloads.WIDTHS:
                yield Heat(races.step(workload, dtype, sides=(OURS,)), limits, isa, brief=True)


def _products() -> Iterator[Heat]:
    """Own kernels beside both BLAS."""
    for dtype in ("float32", "float64"):
        for name, share in PRODUCT_SHARES.items():
            limits: Limits = {SHARE: (">=", share), **PRODUCT_RIVALS}
            for shape in workloads.LAYERS:
                race = races.product(Product(name, *shape), dtype, (OURS, *PRODUCT_RIVALS))
                yield Heat(race, limits, gemm="own", brief=True)


def _batches() -> Iterator[Heat]:
    for workload in workloads.BATCHES:
        if workload.batch >= 64:
            yield Heat(races.prediction(workload), AHEAD)


def beyond_caches(batch: int, rows: int = 60_000) -> Race:
    """A step of a fit over shuffled data that no cache holds, beside one on a batch that is in it."""
    workload = Workload((784, 100, 100, 10), batch, "relu", "softmax", workloads.sgd)
    steps = rows // batch

    def make(sides: object) -> tuple[races.Lineup, dict[str, str]]:
        far = Workload(workload.sizes, steps * batch, "relu", "softmax", workloads.sgd)
        net = workload.network("float32", "compiled")
        fit = partial(net.fit, *far.data("float32"), optimizer=workloads.sgd(), epochs=1, batch_size=batch)
        near = partial(workload.network("float32", "compiled").train_step, *workload.data("float32"), workloads.sgd())
        return {OURS: Contender(fit, steps), IN_CACHE: Contender(near)}, {}

    name = f"a step of fit, {rows} × 784 shuffled, {workload.name.removeprefix('step ')}"
    return Race(name, (OURS, IN_CACHE), make, "float32", workload.flop)


def _beyond_caches() -> Iterator[Heat]:
    for batch in (128, 1024):
        yield Heat(beyond_caches(batch), {IN_CACHE: ("<=", 1.08)})


def _decay() -> Iterator[Heat]:
    yield Heat(races.decay(), {races.FIRST: ("<=", 1.1)})


# By name, in the order of the report. V13, the time of an import, is no race.
BARS: dict[str, Callable[[], Iterator[Heat]]] = {
    **{bar: partial(_steps, bar) for bar in ("V1", "V2", "V3", "V4", "V5")},
    **{bar: partial(_row, bar) for bar in ("V6", "V7")},
    "V8": partial(_steps, "V8"),
    "V9": _activations,
    "V10": _updates,
    two_threads.BAR: _two_threads,
    "V12": _many_callers,
    "V14": _widths,
    "V15": _products,
    "V16": _batches,
    "V17": _beyond_caches,
    "V18": _decay,
}


def asked(heat: Heat, times: dict[str, float]) -> Limits:
    """What the heat's limits are, now that it is known how long the work takes."""
    one = times.get(two_threads.ONE)
    if one is not None and one < SHARED_FROM and not heat.taken:
        return {side: limit for side, limit in heat.limits.items() if side != two_threads.ONE}
    return heat.limits


def settings(heat: Heat) -> tuple[Any, Any]:
    """The two context managers under which it is made and timed."""
    return fastnn.isa(heat.isa or _core.isa()), fastnn.gemm(heat.gemm or _core.gemm())
