"""The short benchmark: the compiled code beside NumPy on this machine, `python -m fastnn bench`.

Both sides do the same work on the same arrays, results are compared before anything is timed, rounds alternate between
the sides, and the figure is the median. NumPy's side of a training step is ``backend="reference"``, written to be read;
predictions and activations have plain NumPy with a buffer for every result. The full set of rivals is timed from a
checkout, by ``bench/bars.py``.
"""

import contextlib
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import erf

from fastnn import _core, config, kernels, plot
from fastnn._arrays import Array
from fastnn.mlp import MLP
from fastnn.optim import SGD, Adam, Optimizer

Call = Callable[[], object]
SIDES = ("compiled", "NumPy")
# sizes, batch, hidden activation, output, optimiser
_STEPS: list[tuple[tuple[int, ...], int, str, str, type[Optimizer]]] = [
    ((784, 100, 100, 10), 128, "relu", "softmax", SGD),
    ((784, 100, 100, 10), 128, "relu", "softmax", Adam),
    ((784, 512, 512, 10), 256, "relu", "softmax", Adam),
    ((4, 64, 64, 2), 32, "relu", "softmax", SGD),
    ((2, 4, 1), 400, "tanh", "sigmoid", SGD),
    ((4, 32, 16, 4), 10_000, "tanh", "identity", Adam),
]
_ROWS = [((4, 64, 64, 2), 1), ((784, 100, 100, 10), 1000)]
_KERNELS = ("relu", "tanh", "sigmoid", "gelu", "softmax")
_KERNEL_SHAPE = (10_000, 100)


class BenchError(RuntimeError):
    """The benchmark cannot write what it found; the message is one sentence."""


@dataclass(frozen=True)
class Result:
    """One line of the table: what was done, and the median seconds of each side."""

    work: str
    compiled: float
    numpy: float


def medians(calls: Mapping[str, Call], *, rounds: int = 15, seconds: float = 0.01) -> dict[str, float]:
    """Median seconds a call of each contender.

    Each round times every contender once, starting with another one each time, so that a slow moment of the machine
    falls on all of them. A contender's time in a round is that of as many calls as take about ``seconds``.

    Parameters
    ----------
    calls : mapping of str to callable
    rounds : int
    seconds : float

    Examples
    --------
    >>> sorted(medians({"sum": lambda: sum(range(9)), "pass": lambda: None}, rounds=3, seconds=1e-5))
    ['pass', 'sum']
    """
    counts = {name: _calls_in(call, seconds) for name, call in calls.items()}
    times: dict[str, list[float]] = {name: [] for name in calls}
    names = list(calls)
    for i in range(rounds):
        first = i % len(names)
        for name in names[first:] + names[:first]:
            times[name].append(_time(calls[name], counts[name]) / counts[name])
    return {name: statistics.median(values) for name, values in times.items()}


def _time(call: Call, n: int) -> float:
    start = time.perf_counter()
    for _ in range(n):
        call()
    return time.perf_counter() - start


def _calls_in(call: Call, seconds: float) -> int:
    """Calls that take about ``seconds``; finding it out warms up."""
    _time(call, 2)
    n = 1
    while (taken := _time(call, n)) < seconds / 2:
        n *= 2
    return max(1, round(n * seconds / taken))


def run_bench(
    output: str | os.PathLike[str] = "fastnn-bench.json",
    *,
    threads: int = 1,
    rounds: int = 15,
    seconds: float = 0.01,
    largest: int | None = None,
) -> list[Result]:
    """Time everything, print the table, and write it as JSON and, where matplotlib is there, as a picture beside it.

    Parameters
    ----------
    output : path
        The JSON file; the picture has its name with ``.png``.
    threads : int
        Of the compiled side; of NumPy's BLAS too where threadpoolctl is installed.
    rounds, seconds : int, float
        As for `medians`.
    largest : int, optional
        Leave out work on more numbers than this (rows of a batch times the widest layer).

    Raises
    ------
    BenchError
        There is no such folder, a folder has the name of a file, or a file cannot be written.
    """
    path = Path(output)
    if not path.parent.is_dir():  # before the timing, not after it
        raise BenchError(f"{path}: there is no folder {path.parent} to write to")
    picture = path.parent / f"{path.stem}.png"
    for file in (path, picture):
        if file.is_dir():
            raise BenchError(f"{file}: wanted a file to write to, got a folder")
    results = []
    with config.threads(threads), _numpy_threads(threads) as numpy_threads:
        print(f"{_cpu()}; {_core.isa()}, {threads} thread(s), NumPy's BLAS {numpy_threads}; float32, medians")
        print(f"{'':46}{'compiled':>12}{'NumPy':>12}{'times':>8}")
        for work, numbers, calls in _works():
            if largest is None or numbers <= largest:
                found = medians(calls(), rounds=rounds, seconds=seconds)
                results.append(Result(work, *(found[side] for side in SIDES)))
                print(_line(results[-1]), flush=True)
    facts = {
        "cpu": _cpu(),
        "isa": _core.isa(),
        "gemm": _core.gemm(),
        "threads": threads,
        "numpy_threads": numpy_threads,
    }
    versions = {"python": platform.python_version(), "numpy": np.__version__}
    _write(path, {**facts, **versions, "seconds": [asdict(result) for result in results]})
    _draw(picture, results)
    return results


def _works() -> Iterator[tuple[str, int, Callable[[], dict[str, Call]]]]:
    """Name, size, and what makes the two calls."""
    for sizes, batch, activation, last, optimizer in _STEPS:
        name = f"step {'-'.join(map(str, sizes))}, batch {batch}, {optimizer.__name__}"
        yield name, batch * max(sizes), partial(_step, sizes, batch, activation, last, optimizer)
    for sizes, batch in _ROWS:
        name = f"predict {'-'.join(map(str, sizes))}, {batch} row{'s'[: batch > 1]}"
        yield name, batch * max(sizes), partial(_predict, sizes, batch)
    for op in _KERNELS:
        rows, columns = _KERNEL_SHAPE
        yield f"{op} {rows} × {columns}", rows * columns, partial(_kernel, op)


def _networks(sizes: tuple[int, ...], activation: Any, last: Any) -> dict[str, MLP]:
    backends = dict(zip(SIDES, ("compiled", "reference"), strict=True))
    return {side: MLP(sizes, activation, last, seed=0, backend=backend) for side, backend in backends.items()}


def _step(
    sizes: tuple[int, ...], batch: int, activation: str, last: str, optimizer: type[Optimizer]
) -> dict[str, Call]:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((batch, sizes[0])).astype(np.float32)
    labels = last == "softmax"
    y: Any = rng.integers(0, sizes[-1], batch) if labels else rng.random((batch, sizes[-1])).astype(np.float32)
    calls: dict[str, Call] = {}
    losses = {}
    for side, net in _networks(sizes, activation, last).items():
        chosen = optimizer(1e-3)
        calls[side] = partial(net.train_step, X, y, chosen)
        losses[side] = [net.train_step(X, y, chosen) for _ in range(3)]
    np.testing.assert_allclose(losses["compiled"], losses["NumPy"], rtol=1e-4)
    return calls


def _predict(sizes: tuple[int, ...], batch: int) -> dict[str, Call]:
    X = np.random.default_rng(0).standard_normal((batch, sizes[0])).astype(np.float32)
    net = MLP(sizes, "relu", "softmax", seed=0)
    compiled, plain = partial(net.predict, X, np.empty((batch, sizes[-1]), np.float32)), plain_predict(net, X)
    np.testing.assert_allclose(compiled(), plain(), rtol=1e-4, atol=1e-6)
    return {"compiled": compiled, "NumPy": plain}


def _kernel(op: str) -> dict[str, Call]:
    z = np.random.default_rng(0).standard_normal(_KERNEL_SHAPE).astype(np.float32)
    compiled = partial(getattr(kernels, f"{op}_forward"), z, out=np.empty_like(z))
    plain = partial(PLAIN[op], z, np.empty_like(z))
    np.testing.assert_allclose(compiled(), plain(), rtol=1e-4, atol=1e-6)
    return {"compiled": compiled, "NumPy": plain}


def plain_predict(net: MLP, X: Array) -> Callable[[], Array]:
    """Predictions of a ReLU and softmax network as one writes them for speed in NumPy: every result has its buffer."""
    layers = list(zip(net.weights, net.biases, strict=True))
    outs = [np.empty((len(X), len(b)), np.float32) for _, b in layers]

    def call() -> Array:
        x = X
        for (W, b), out in zip(layers, outs, strict=True):
            np.matmul(x, W, out=out)
            np.add(out, b, out=out)
            x = out if out is outs[-1] else np.maximum(out, 0, out=out)
        return _softmax(x, x)

    return call


def _sigmoid(z: Array, out: Array) -> Array:
    np.negative(z, out=out)
    np.exp(out, out=out)
    np.add(out, 1, out=out)
    return np.reciprocal(out, out=out)


def _softmax(z: Array, out: Array) -> Array:
    np.subtract(z, z.max(axis=-1, keepdims=True), out=out)
    np.exp(out, out=out)
    return np.divide(out, out.sum(axis=-1, keepdims=True), out=out)


def _gelu(z: Array, out: Array) -> Array:
    np.multiply(z, np.float32(0.5**0.5), out=out)
    erf(out, out=out)
    np.add(out, 1, out=out)
    np.multiply(out, z, out=out)
    return np.multiply(out, np.float32(0.5), out=out)


def _relu(z: Array, out: Array) -> Array:
    return np.maximum(z, np.float32(0), out=out)


# Activations as one writes them for speed in NumPy (and SciPy's erf); `fastnn.reference` is written for exactness.
PLAIN: dict[str, Callable[[Array, Array], Array]] = {
    "relu": _relu,
    "tanh": np.tanh,
    "sigmoid": _sigmoid,
    "gelu": _gelu,
    "softmax": _softmax,
}


@contextlib.contextmanager
def _numpy_threads(n: int) -> Iterator[str]:
    """NumPy's products on n threads; only threadpoolctl can do that, and it need not be there."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        yield "as many as it chooses"
        return
    with threadpool_limits(n, user_api="blas"):
        yield str(n)


def _cpu() -> str:
    """The processor's name as Linux gives it, else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def duration(seconds: float) -> str:
    """In the unit in which it has one to three digits before the point.

    Examples
    --------
    >>> duration(0.00012), duration(2.5)
    ('120.00 µs', '2.50 s')
    """
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.2f} {unit}"
    return f"{seconds / 1e-6:.2f} µs"


def _line(result: Result) -> str:
    times = f"{duration(result.compiled):>12}{duration(result.numpy):>12}"
    return f"{result.work:46}{times}{result.numpy / result.compiled:>8.1f}"


def _write(path: Path, found: dict[str, Any]) -> None:
    try:
        path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")
    except OSError as error:
        raise BenchError(f"{path}: cannot be written ({error.strerror or error})") from None
    print(f"Figures: {path.resolve()}")


def _draw(path: Path, results: list[Result]) -> None:
    """Bars of NumPy's time over ours, on a logarithmic axis; nothing without matplotlib."""
    try:
        from matplotlib.ticker import LogLocator

        figure = plot.new_figure(9, 1.2 + 0.32 * len(results))
    except ImportError:
        print('No picture: pictures need matplotlib: pip install "fastnn[plot]"')
        return
    axes = figure.add_subplot()
    axes.barh([r.work for r in results], [r.numpy / r.compiled - 1 for r in results], left=1, color="#0072B2")
    axes.invert_yaxis()
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("")
    axes.set_xlabel("times as fast as NumPy")
    try:
        figure.savefig(path, format="png")
    except OSError as error:
        raise BenchError(f"{path}: the picture cannot be written ({error.strerror or error})") from None
    print(f"Picture: {path.resolve()}")
