"""Under which conditions a figure was measured: equal threads for every library, and the facts beside each JSON.

Imports only the standard library at the top: the thread counts have to be in the environment before anything reads it.
"""

import json
import os
import platform
import sys
import time
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

LIBRARIES = ("numpy", "scipy", "torch", "jax", "optax", "scikit-learn", "onnxruntime")


# As on a processor without AVX-512, nearly: onnxruntime has no such switch, and with ATen's (ATEN_CPU_CAPABILITY)
# torch.compile gives NaN in 2.13.
AVX2_FOR_ALL = {
    "OPENBLAS_CORETYPE": "Haswell",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
}


def variables(threads: int) -> dict[str, str]:
    """Equal threads and, where FASTNN_ISA says avx2, equal instructions for everybody; to be set before any import."""
    names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "FASTNN_NUM_THREADS", "NPROC")
    single = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    xla, instructions = [single] if threads == 1 else [], {}
    if os.environ.get("FASTNN_ISA") == "avx2":
        xla, instructions = [*xla, "--xla_cpu_max_isa=AVX2"], AVX2_FOR_ALL
    return {
        **dict.fromkeys(names, str(threads)),
        **instructions,
        "XLA_FLAGS": " ".join(xla),
        "JAX_PLATFORMS": "cpu",
    }


def start_again_with(threads: int) -> None:
    """Replace this process by one with the environment for ``threads``, unless it has that already."""
    wanted = variables(threads)
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **wanted})


def threads() -> int:
    """The number that `variables` set, for rivals that are told by a call."""
    return int(os.environ["OMP_NUM_THREADS"])


def cpu_name() -> str:
    """The processor as Linux names it, with family and model, which some names leave out; else the architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").partition("\n\n")[0].splitlines()
    except OSError:
        lines = []
    found = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    if "model name" not in found:
        return platform.processor() or platform.machine()
    numbers = [f"{short} {found[key]}" for key, short in (("cpu family", "family"), ("model", "model")) if key in found]
    return found["model name"] + (f" ({', '.join(numbers)})" if numbers else "")


def versions() -> dict[str, str]:
    """Of Python, this library and every rival; "absent" for what is not installed."""
    import fastnn

    found = {"python": platform.python_version(), "fastnn": fastnn.__version__}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def facts() -> dict[str, Any]:
    """What every JSON says before its figures."""
    from fastnn import _core

    return {
        "cpu": cpu_name(),
        "isa": _core.isa(),
        "gemm": _core.gemm(),
        "threads": threads(),
        "date": time.strftime("%Y-%m-%d"),
        "load": os.getloadavg()[0],
        "versions": versions(),
    }


def write_json(path: str | os.PathLike[str], found: Mapping[str, Any], rows: Iterable[Any]) -> None:
    """Facts, then one row a line under "rows": short enough to commit, and a changed row is a changed line."""
    head = json.dumps(dict(found), indent=1, ensure_ascii=False).removesuffix("\n}")
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(f'{head},\n "rows": [\n{lines}\n ]\n}}\n', "utf-8")
    print(f"written: {target}")
