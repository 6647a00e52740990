"""Under which conditions a figure was measured: equal threads for every library, and the facts beside each JSON.

Imports only the standard library, and what does so too: the thread counts have to be in the environment before anything
reads it.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import cpus

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


def add_output(parser: argparse.ArgumentParser) -> None:
    """The two options of every command that measures: where the figures go beside the screen."""
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    parser.add_argument("--save", action="store_true", help="write them to bench/results/<this CPU> too")


def parsed(parser: argparse.ArgumentParser, *free: str) -> argparse.Namespace:
    """The command's arguments; with --save only if what it measures is the whole, to which the ``free`` ones belong.

    The file of a part, or of another instruction set than the CPU's best, would replace that of all.
    """
    arguments = parser.parse_args()
    if arguments.save:
        given = (name for name, value in vars(arguments).items() if value != parser.get_default(name))
        parts = [f"--{name}" for name in given if name not in ("save", "json", *free)]
        parts += [name for name in ("FASTNN_ISA", "FASTNN_GEMM", "FASTNN_CPU") if os.environ.get(name)]
        if parts:
            parser.error(
                f"--save is for the whole on this CPU's best instruction set, got {', '.join(parts)}: see --json"
            )
    return arguments


def outputs(arguments: argparse.Namespace, name: str) -> list[Path]:
    """Where those options want the figures; ``name`` is that of the file among the results."""
    saved = [cpus.folder() / f"{name}.json"] if arguments.save else []
    return saved + ([Path(arguments.json)] if arguments.json else [])


def versions() -> dict[str, str]:
    """Of Python, this library and every rival; "absent" for what is not installed."""
    import fastnn

    found = {"python": platform.python_version(), "fastnn": fastnn.__version__}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return {**found, "OpenBLAS": _openblas()}


def _openblas() -> str:
    """Whose kernels it takes for this CPU: of one that it does not know, others than the CPU could have."""
    from threadpoolctl import threadpool_info

    found = {
        f"{library['version']} with kernels for {library['architecture']}"
        for library in threadpool_info()
        if library["internal_api"] == "openblas"
    }
    return " and ".join(sorted(found)) or "absent"


def facts() -> dict[str, Any]:
    """What every JSON says before its figures."""
    from fastnn import _core

    return {
        "cpu": cpus.name(),
        "kind": cpus.kind(),
        "isa": _core.isa(),
        "gemm": _core.gemm(),
        "cpu facts": _core.cpu(),
        "threads": threads(),
        "date": time.strftime("%Y-%m-%d"),
        "load": os.getloadavg()[0],
        "versions": versions(),
    }


def write_json(targets: Iterable[Path], found: Mapping[str, Any], rows: Iterable[Any]) -> None:
    """Facts, then one row a line under "rows": short enough to commit, and a changed row is a changed line."""
    head = json.dumps(dict(found), indent=1, ensure_ascii=False).removesuffix("\n}")
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    for target in targets:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(f'{head},\n "rows": [\n{lines}\n ]\n}}\n', "utf-8")
        print(f"written: {target}")
