"""What the compiled part chose, and how to force another choice. Settings are those of the whole process."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fastnn import _core
from fastnn._cpus import cpu_count

# Which environment variable forces each choice at import.
VARIABLES = {
    "isa": "FASTNN_ISA",
    "gemm": "FASTNN_GEMM",
    "cpu": "FASTNN_CPU",
    "denormals": "FASTNN_DENORMALS",
    "threads": "FASTNN_NUM_THREADS",
}


@contextlib.contextmanager
def _within(get: Callable[[], Any], put: Callable[[Any], None], value: Any) -> Iterator[None]:
    """A choice of the whole process for a block of code."""
    before = get()
    put(value)
    try:
        yield
    finally:
        put(before)


def _facts_in_force() -> str:
    return ",".join(f"{name}={value}" for name, value in _core.cpu().items() if name != "limits")


@contextlib.contextmanager
def isa(name: str) -> Iterator[None]:
    """Within the ``with`` block use the kernels of instruction set ``name``.

    Parameters
    ----------
    name : str
        One of ``fastnn.show_config()["isa_available"]``, such as "base", "avx2" or "avx512".

    Yields
    ------
    None
        Behind the block, also where an exception ends it, the choice is what it was before.

    Raises
    ------
    ValueError
        Not available on this CPU; the message says which are.

    Examples
    --------
    >>> with fastnn.isa("base"):
    ...     y = kernels.relu_forward(np.array([-1.0, 2.0]))
    >>> y
    array([0., 2.])
    """
    with _within(_core.isa, _core.set_isa, name):
        yield


@contextlib.contextmanager
def gemm(mode: str) -> Iterator[None]:
    """Within the ``with`` block multiply matrices by ``mode``: "own" kernels, "blas", or "auto", the faster of the two.

    Parameters
    ----------
    mode : {"own", "blas", "auto"}
        Of all matrix products but those of a network with ``deterministic=True``, which are "own".

    Yields
    ------
    None
        Behind the block, also where an exception ends it, the choice is what it was before.

    Raises
    ------
    ValueError
        Another mode.

    Examples
    --------
    >>> with fastnn.gemm("own"):
    ...     y = kernels.affine_forward(np.ones((1, 2)), np.eye(2), None)
    >>> y
    array([[1., 1.]])
    """
    with _within(_core.gemm, _core.set_gemm, mode):
        yield


@contextlib.contextmanager
def denormals(mode: str) -> Iterator[None]:
    """Within the ``with`` block networks take denormals for zero, "flush", or as the calling thread does, "keep".

    Denormals are the numbers too small for all digits: below 1.2e-38 in float32, 2.2e-308 in float64. Some CPUs take a
    hundred times as long for an operation on one, and weights that only decay end among them.

    Parameters
    ----------
    mode : {"flush", "keep"}
        Of every call of a compiled network or estimator, in all its threads; the caller's own arithmetic is left alone.
        `fastnn.kernels`, `fastnn.reference` and ``backend="reference"`` never flush by themselves.

    Yields
    ------
    None
        Behind the block, also where an exception ends it, the choice is what it was before.

    Raises
    ------
    ValueError
        Another mode.

    Examples
    --------
    >>> net = MLP([1, 1], init="zeros")
    >>> net.weights[0] = 1
    >>> with fastnn.denormals("keep"):
    ...     net.predict([1e-40]) == np.float32(1e-40)
    array([ True])
    >>> with fastnn.denormals("flush"):
    ...     net.predict([1e-40])
    array([0.], dtype=float32)
    """
    with _within(_core.denormals, _core.set_denormals, mode):
        yield


@contextlib.contextmanager
def threads(n: int) -> Iterator[None]:
    """Within the ``with`` block use at most ``n`` threads. Results are the same to the bit for every number.

    Parameters
    ----------
    n : int
        1 to 256, the calling thread included; it may exceed the number of CPUs.

    Yields
    ------
    None
        Behind the block, also where an exception ends it, the choice is what it was before.

    Raises
    ------
    TypeError
        Not an integer.
    ValueError
        Not 1 to 256.

    Examples
    --------
    >>> with fastnn.threads(1):
    ...     y = kernels.tanh_forward(np.zeros(3))
    >>> y
    array([0., 0., 0.])
    """
    with _within(_core.num_threads, _core.set_num_threads, n):
        yield


@contextlib.contextmanager
def cpu(facts: str) -> Iterator[None]:
    """Within the ``with`` block divide work as on a CPU with these facts; a network keeps those it was made with.

    For tests of what another machine would do. Results may differ in the last bits from those with other facts.

    Parameters
    ----------
    facts : str
        Some of "vendor=intel,family=6,model=207,l1=48K,l2=2M,l3=32M": family and model as x86's CPUID counts them,
        sizes of the caches that one core sees. What is not named is as on this machine.

    Yields
    ------
    None
        Behind the block, also where an exception ends it, the facts are what they were before.

    Raises
    ------
    ValueError
        Another name, or no size.

    Examples
    --------
    >>> with fastnn.cpu("vendor=intel,family=6,l2=2M"):
    ...     net = fastnn.MLP([784, 2048, 10])
    """
    with _within(_facts_in_force, _core.set_cpu, facts):
        yield


def show_config() -> dict[str, Any]:
    """Print and return what was chosen: version, instruction set, matrix products, BLAS, denormals, threads.

    Returns
    -------
    dict
        "version", "isa", "isa_available", "gemm", "blas" (name and version of SciPy's), "cpu" (its facts, and whose
        measured limits it goes by), "denormals", "threads", "cpus", and "environment": for each variable that forces a
        choice its value, or None where it is not set.

    Examples
    --------
    >>> config = fastnn.show_config()  # doctest: +ELLIPSIS
    fastnn ...
    >>> config["isa"] in config["isa_available"]
    True
    """
    from fastnn import __version__

    config: dict[str, Any] = {
        "version": __version__,
        "isa": _core.isa(),
        "isa_available": tuple(_core.available_isas()),
        "gemm": _core.gemm(),
        "blas": _blas(),
        "cpu": _core.cpu(),
        "denormals": _core.denormals(),
        "threads": _core.num_threads(),
        "cpus": cpu_count(),
        "environment": {variable: os.environ.get(variable) for variable in VARIABLES.values()},
    }
    lines = [
        f"fastnn {config['version']}",
        _line("instruction set", f"{config['isa']} of {', '.join(config['isa_available'])}", "isa"),
        _line("matrix products", config["gemm"], "gemm"),
        _line("BLAS", config["blas"]),
        _line("CPU", _facts(config["cpu"]), "cpu"),
        _line("denormals", config["denormals"], "denormals"),
        _line("threads", f"{config['threads']} of {config['cpus']} CPUs", "threads"),
    ]
    print("\n".join(lines))
    return config


def _line(title: str, value: str, choice: str | None = None) -> str:
    if choice is None:
        return f"  {title:16} {value}"
    variable = VARIABLES[choice]
    setting = os.environ.get(variable)
    return f"  {title:16} {value:32} {variable}{'=' + setting if setting is not None else ' is not set'}"


def _facts(cpu: dict[str, Any]) -> str:
    caches = ", ".join(f"{cpu[level] >> 10} KB" for level in ("l1", "l2", "l3"))
    return f"{cpu['limits']}; caches {caches}"


def _blas() -> str:
    """The BLAS that SciPy was built with, whose `cython_blas` the compiled part calls."""
    import scipy

    found = scipy.show_config(mode="dicts") or {}
    blas = found.get("Build Dependencies", {}).get("blas", {})
    return f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip() + f" (SciPy {scipy.__version__})"


def get_include() -> str:
    """The folder of ``fnn.h``, for compiling code that cimports `fastnn.kernels`.

    Returns
    -------
    str
        ``include`` in the installed package, or ``src_c`` in a source folder.

    Examples
    --------
    >>> import os
    >>> os.path.exists(os.path.join(fastnn.get_include(), "fnn.h"))
    True
    """
    package = Path(__file__).parent
    # Beside the package in a source folder, inside it once installed.
    folders = (package / "include", package.parent / "src_c")
    return str(next(folder for folder in folders if (folder / "fnn.h").exists()))
