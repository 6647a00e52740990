"""The speed bars beside their rivals: ``python bench/bars.py [V1 V3 …] [--threads N] [--rounds N] [--json FILE]``.

Every rival of a bar is in this process, on the same number of threads (one unless said), and gets the same numbers;
that results agree is asserted before the timing. Rounds alternate between the contenders; the figure is the median.
"""

import argparse
import gc
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

BARS = ("V1", "V2", "V3", "V4", "V5", "V6", "V7", "V8", "V9", "V10", "V12", "V13")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("bars", nargs="*", metavar="BAR", help=f"of {' '.join(BARS)}; default all")
    parser.add_argument("--threads", type=int, default=1, help="of every contender; default 1")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    arguments = parser.parse_args()
    unknown = set(arguments.bars) - set(BARS)
    if unknown:
        parser.error(f"no such bar: {', '.join(sorted(unknown))}")
    return arguments


def _environment(threads: int) -> dict[str, str]:
    """Equal threads for everybody; has to be set before any of the libraries is imported."""
    n = str(threads)
    variables = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "FASTNN_NUM_THREADS", "NPROC")
    single = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    return {**dict.fromkeys(variables, n), "XLA_FLAGS": single if threads == 1 else "", "JAX_PLATFORMS": "cpu"}


if __name__ == "__main__":  # before NumPy and the rivals are imported: they read the environment once
    ARGUMENTS = _arguments()
    wanted = _environment(ARGUMENTS.threads)
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **wanted})

import machine
import numpy as np
import peers
from workloads import ROWS, STEPS, Workload

import fastnn
from fastnn import _core, kernels
from fastnn.bench import PLAIN, duration, medians, plain_predict

Call = Callable[[], Any]
# A bar's condition: our time over the rival's at most, the rival's over ours at least, or our seconds at most.
Limit = tuple[str, float]
STEP_LIMITS: dict[str, list[dict[str, Limit]]] = {
    "V1": [{"products": ("<=", 0.93), "JAX": (">=", 1.3), "PyTorch": (">=", 1.9)}] * 2,
    "V2": [{"JAX": (">=", 1.25), "PyTorch": (">=", 1.7)}] * 2,
    "V3": [{"products": ("<=", 0.6), "JAX": (">=", 4), "JAX scan": (">=", 1.6), "PyTorch": (">=", 25)}],
    "V4": [{"JAX": (">=", 8), "JAX scan": (">=", 1.5), "NumPy": (">=", 10), "PyTorch": (">=", 50)}],
    "V5": [{"JAX": (">=", 2.5), "PyTorch": (">=", 6)}],
    "V8": [{"products": ("<=", 0.98)}, {"products": ("<=", 1.03)}],
}
ROW_LIMITS: dict[str, dict[str, Limit]] = {
    "V6": {"ours": ("s", 0.6e-6), "onnxruntime": (">=", 10), "onnxruntime bound": (">=", 10), "NumPy": (">=", 12),
           "PyTorch": (">=", 40)},
    "V7": {"onnxruntime": (">=", 2), "onnxruntime bound": (">=", 2)},
}  # fmt: skip
OPS = [("relu", 1000, 1.1), ("tanh", 1000, 3.5), ("sigmoid", 1000, 3.5), ("softmax", 10, 4), ("softmax", 1000, 4),
       ("gelu", 1000, 6)]  # fmt: skip


@dataclass
class Race:
    """Contenders of one piece of work, ours under "ours"; ``flop`` or ``stream`` (bytes) for the share of the limit."""

    bar: str
    work: str
    calls: dict[str, Call]
    limits: dict[str, Limit]
    steps: dict[str, int] = field(default_factory=dict)
    flop: int | None = None
    stream: str | None = None  # the contender that only moves the bytes


def races(bar: str) -> Iterator[Race]:
    if bar in STEPS:
        yield from (_steps(bar, *pair) for pair in zip(STEPS[bar], STEP_LIMITS[bar], strict=True))
    elif bar in ROWS:
        yield _row(bar, ROWS[bar])
    elif bar == "V9":
        yield from (_op(*op) for op in OPS)
    elif bar == "V10":
        yield from (_adam(1 << 20, False), _adam(32 << 20, True))
    elif bar == "V12":
        yield _many_callers()


def _steps(bar: str, workload: Workload, limits: dict[str, Limit]) -> Race:
    found = {"ours": peers.our_step(workload), "products": peers.products(workload)}
    found["NumPy"] = peers.numpy_step(workload)
    found |= peers.jax_steps(workload)
    if torch := peers.torch_step(workload):
        found["PyTorch"] = torch
    for name, contender in found.items():
        if contender.losses:
            np.testing.assert_allclose(contender.losses, found["ours"].losses, rtol=2e-4, err_msg=name)
    calls, steps = ({n: getattr(c, what) for n, c in found.items()} for what in ("call", "steps"))
    return Race(bar, workload.name, calls, limits, steps, workload.flop)


def _agree(calls: dict[str, Call], tolerance: float = 1e-4) -> None:
    """All give what ours gives."""
    expected = np.array(calls["ours"]())
    for name, call in calls.items():
        np.testing.assert_allclose(np.asarray(call()), expected, rtol=tolerance, atol=1e-6, err_msg=name)


def _row(bar: str, workload: Workload) -> Race:
    net = workload.network("float32", "compiled")
    X, _ = workload.data("float32")
    calls: dict[str, Call] = {"ours": partial(net.predict, X, np.empty((1, net.sizes[-1]), np.float32))}
    calls["NumPy"] = plain_predict(net, X)
    calls |= peers.onnx_predict(workload, net, X)
    others = {"JAX": peers.jax_predict(workload, net, X), "PyTorch": peers.torch_predict(workload, net, X)}
    calls |= {name: call for name, call in others.items() if call}
    _agree(calls)
    flop = 2 * sum(i * o for i, o in zip(net.sizes, net.sizes[1:], strict=False))
    return Race(bar, f"one row {'-'.join(map(str, net.sizes))}", calls, ROW_LIMITS[bar], flop=flop)


def _op(op: str, columns: int, at_most: float) -> Race:
    z = np.random.default_rng(0).standard_normal((1_000_000 // columns, columns), np.float32)
    outs = iter([np.empty_like(z) for _ in range(4)])
    calls: dict[str, Call] = {"ours": partial(getattr(kernels, f"{op}_forward"), z, out=next(outs))}
    calls["NumPy"] = partial(PLAIN[op], z, next(outs))
    if found := peers.imported("torch"):
        aten = found[0].ops.aten
        x, y = (found[0].from_numpy(a) for a in (z, next(outs)))
        into: dict[str, Call] = {
            "relu": lambda: aten.clamp_min.out(x, 0, out=y),  # twice as fast as its relu.out
            "tanh": lambda: aten.tanh.out(x, out=y),
            "sigmoid": lambda: aten.sigmoid.out(x, out=y),
            "softmax": lambda: aten._softmax.out(x, 1, False, out=y),
            "gelu": lambda: aten.gelu.out(x, out=y),
        }
        calls["PyTorch"] = into[op]
    _agree(calls)
    calls["copy"] = partial(np.copyto, next(outs), z)
    limits = {"copy": ("<=", at_most), "NumPy": (">=", 1.0), "PyTorch": (">=", 1.0)}
    return Race("V9", f"{op} {z.shape[0]} × {columns}", calls, limits, stream="copy")


def _adam(n: int, large: bool) -> Race:
    rng = np.random.default_rng(0)
    p, g = rng.standard_normal(n, np.float32), rng.standard_normal(n, np.float32)
    m, v = np.zeros_like(p), np.zeros_like(p)
    theirs = p.copy()
    calls: dict[str, Call] = {"ours": lambda: kernels.adam_update(p, g, m, v, 1e-3, 3)}
    for t in (1, 2):
        kernels.adam_update(p, g, m, v, 1e-3, t)
    if found := peers.imported("torch"):
        parameter = found[0].nn.Parameter(found[0].from_numpy(theirs))
        parameter.grad = found[0].from_numpy(g)
        optimizer = found[0].optim.Adam([parameter], lr=1e-3, fused=True)
        for _ in range(2):
            optimizer.step()
        np.testing.assert_allclose(theirs, p, rtol=1e-5, atol=1e-6)
        calls["PyTorch"] = optimizer.step
    # Four arrays are read and three written: as many bytes as three and a half copies move.
    a, b, half = g.copy(), np.zeros_like(g), n // 2

    def stream() -> None:
        for _ in range(3):
            np.copyto(b, a)
        np.copyto(b[:half], a[:half])

    calls["stream"] = stream
    limits: dict[str, Limit] = {"PyTorch": (">=", 1.0), **({"stream": ("<=", 1.15)} if large else {})}
    return Race("V10", f"Adam, {n >> 20} Mi parameters", calls, limits, stream="stream")


def _many_callers(callers: int = 8, each: int = 4) -> Race:
    net = STEPS["V1"][0].network("float32", "compiled")
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
    n = callers * each
    work = f"predict 1000 rows 784-100-100-10, {callers} callers on {_core.cpu_count()} CPUs"
    return Race(
        "V12", work, {"ours": many, "one caller": one}, {"one caller": (">=", 1.7)}, {"ours": n, "one caller": n}
    )


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


# --- Table ------------------------------------------------------------------------------------------------------------


def _judge(ours: float, rival: float, limit: Limit) -> tuple[str, bool]:
    """How the bar reads, and whether it is met."""
    kind, value = limit
    if kind == "s":
        return f"≤ {duration(value)}", ours <= value
    met = ours / rival <= value if kind == "<=" else rival / ours >= value
    return f"{'≤' if kind == '<=' else '≥'} {value:g} ×", met


def _report(bar: str, work: str, times: dict[str, float], limits: dict[str, Limit], share: str) -> list[dict[str, Any]]:
    """Prints a block of lines; ratio is ours/theirs where a bar asks "at most", theirs/ours elsewhere."""
    ours = times["ours"]
    print(f"\n{bar:4} {work}")
    rows = []
    for name, seconds in times.items():
        limit = limits.get(name)
        text, met = _judge(ours, seconds, limit) if limit else ("", None)
        at_most = (limit and limit[0] == "<=") or name in ("products", "copy", "stream")
        ratio = ours / seconds if at_most else seconds / ours
        shown = "" if name == "ours" else f"{ratio:.2f}"
        verdict = "" if met is None else "met" if met else "MISSED"
        print(
            f"     {name:20}{duration(seconds):>12}{shown:>9}  {text:10} {verdict:7}{share if name == 'ours' else ''}"
        )
        rows.append({"bar": bar, "work": work, "side": name, "seconds": seconds, "limit": text or None, "met": met})
    return rows


def _share(race: Race, times: dict[str, float], fma: float | None, threads: int) -> str:
    if race.flop and fma:
        return f"{race.flop / times['ours'] / (fma * threads):.0%} of the multiply-add limit"
    if race.stream:
        return f"{times[race.stream] / times['ours']:.0%} of copy speed"
    return ""


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "fastnn": fastnn.__version__}
    for name in ("numpy", "scipy", "torch", "jax", "optax", "onnxruntime"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def main(arguments: argparse.Namespace) -> int:
    fma = machine.fma_limit()
    load = os.getloadavg()[0]
    print(" ".join(f"{name} {number}" for name, number in _versions().items()))
    limit = f"{fma / 1e9:.0f} GFLOP/s" if fma else "unknown"
    print(f"{_core.isa()}, {arguments.threads} thread(s), limit of one {limit}, load before the start {load:.2f}")
    print(f"     {'':20}{'median':>12}{'ratio':>9}  bar")
    rows: list[dict[str, Any]] = []
    for bar in arguments.bars or BARS:
        if bar == "V13":
            rows += _report(
                bar, "import fastnn after NumPy and SciPy", {"ours": _import_time()}, {"ours": ("s", 0.025)}, ""
            )
        for race in races(bar):
            found = medians(race.calls, rounds=arguments.rounds, seconds=0.02)
            times = {name: seconds / race.steps.get(name, 1) for name, seconds in found.items()}
            rows += _report(bar, race.work, times, race.limits, _share(race, times, fma, arguments.threads))
            del race
            gc.collect()
    missed = sum(row["met"] is False for row in rows)
    print(f"\n{sum(row['met'] is True for row in rows)} met, {missed} missed; load at the end {os.getloadavg()[0]:.2f}")
    if arguments.json:
        facts = {"isa": _core.isa(), "threads": arguments.threads, "fma_limit": fma, "load": load, **_versions()}
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump({**facts, "rows": rows}, file, indent=1, ensure_ascii=False)
    return 0


if __name__ == "__main__":
    sys.exit(main(ARGUMENTS))
