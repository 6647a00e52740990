"""What was chosen for this process: instruction set, BLAS or own products, threads, treatment of denormals.

The one extension that links the kernels and the thread pool; the others reach them through its pxd.
"""

import os

import re

from libc.stdlib cimport malloc

from fastnn._cpus import cpu_count, default_threads
from fastnn._scalars import integer

from fastnn.fnn cimport (
    FNN_F32, FNN_F64, FNN_MAX_THREADS, FNN_N_ISAS, fnn_isa_available, fnn_isa_best, fnn_isa_name, fnn_kernels_for,
    fnn_parallel)
from fastnn.gemm cimport (
    FNN_FORWARD, FNN_INPUT_GRADIENT, FNN_N_VENDORS, FNN_WEIGHT_GRADIENT, fnn_choice, fnn_choose, fnn_cpu, fnn_cpu_read,
    fnn_family_name, fnn_find_limits, fnn_maker, fnn_vendors)

parallel = fnn_parallel
_ISAS = {fnn_isa_name(isa).decode(): isa for isa in range(FNN_N_ISAS)}
_GEMM_MODES = ("auto", "own", "blas")  # in the order of fnn.h
_PRODUCTS = {
    "forward": FNN_FORWARD, "input gradient": FNN_INPUT_GRADIENT, "weight gradient": FNN_WEIGHT_GRADIENT}
_DENORMALS = ("flush", "keep")  # in the order of cpu/fpenv.h


def available_isas():
    """Names of the instruction sets that this CPU can run, weakest first."""
    return tuple(name for name, isa in _ISAS.items() if fnn_isa_available(isa))


def isa():
    """Name of the instruction set in use."""
    return fnn_isa_name(settings.isa).decode()


def set_isa(name):
    """Use the kernels of this instruction set from now on; ValueError where it is not available."""
    if name not in available_isas():
        raise ValueError(f"isa: wanted one of {', '.join(available_isas())} (what this CPU can run), got {name!r}")
    settings.isa = _ISAS[name]
    active[FNN_F32] = fnn_kernels_for(settings.isa, FNN_F32)
    active[FNN_F64] = fnn_kernels_for(settings.isa, FNN_F64)


def _number(choice, mode, modes):
    """Where ``mode`` stands among ``modes``; ValueError where it does not."""
    if mode not in modes:
        raise ValueError(f"{choice}: wanted one of {', '.join(modes)}, got {mode!r}")
    return modes.index(mode)


def gemm():
    """How products are made: "auto", "own" or "blas"."""
    return _GEMM_MODES[settings.gemm]


def set_gemm(mode):
    """Make products by own kernels, BLAS, or the faster of the two ("auto") from now on."""
    settings.gemm = _number("gemm", mode, _GEMM_MODES)


def denormals():
    """What calls of a network do with denormals: "flush" or "keep"."""
    return _DENORMALS[settings.denormals]


def set_denormals(mode):
    """From now on calls of a network take denormals for zero ("flush"), or as the calling thread does ("keep")."""
    settings.denormals = _number("denormals", mode, _DENORMALS)


_VENDORS = {fnn_vendors[i].decode(): i for i in range(FNN_N_VENDORS)}
_CACHES = ("l1", "l2", "l3")
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20}


def cpu():
    """The facts that products are divided by: vendor, family and model, bytes of the caches, whose limits they give."""
    cdef const fnn_cpu *c = settings.cpu
    return {
        "vendor": fnn_vendors[c.vendor].decode(), "family": c.family, "model": c.model,
        "l1": c.l1, "l2": c.l2, "l3": c.l3, "limits": fnn_family_name(c).decode()}


def set_cpu(text):
    """Take the facts of ``text`` from now on, "vendor=intel,family=6,l2=2M": this machine's where it names none.

    A network keeps those with which it was made.
    """
    cdef fnn_cpu *c = <fnn_cpu *> malloc(sizeof(fnn_cpu))  # never freed: some network may have it
    if c == NULL:
        raise MemoryError("no room for the facts of a CPU")
    fnn_cpu_read(c)
    for part in text.split(",") if text else []:
        key, _, value = part.strip().partition("=")
        if key == "vendor" and value in _VENDORS:
            c.vendor = _VENDORS[value]
        elif key in ("family", "model") and re.fullmatch("[0-9]{1,4}", value):
            if key == "family":
                c.family = int(value)
            else:
                c.model = int(value)
        elif key in _CACHES and (size := re.fullmatch("([0-9]{1,13})([KM]?)", value)):
            bytes_ = int(size[1]) * _UNITS[size[2]]
            if not (0 if key == "l3" else 4096) <= bytes_ <= 1 << 40:
                raise ValueError(f"cpu: wanted caches of 4 KB and more, got {part.strip()!r}")
            if key == "l1":
                c.l1 = bytes_
            elif key == "l2":
                c.l2 = bytes_
            else:
                c.l3 = bytes_
        else:
            raise ValueError(
                f"cpu: wanted vendor={'|'.join(_VENDORS)}, family=, model= and sizes as l1=48K, l2=2M, l3=32M, "
                f"got {part.strip()!r}")
    fnn_find_limits(c)
    settings.cpu = c


def way(product, dtype, Py_ssize_t M, Py_ssize_t K, Py_ssize_t N):
    """How the choices in force make a product of (M, K) and (K, N): "blas", "flipped", "packed" or "in place"."""
    number = {"float32": FNN_F32, "float64": FNN_F64}[dtype]
    cdef fnn_maker maker = fnn_maker(
        active[number], NULL, settings.cpu, number, settings.isa, settings.gemm, True)
    cdef fnn_choice choice = fnn_choose(&maker, _PRODUCTS[product], M, K, N)
    if choice.blas:
        return "blas"
    return "flipped" if choice.flipped else "packed" if choice.blocking.packed else "in place"


def num_threads():
    """Threads that one call may use."""
    return settings.n_threads


def set_num_threads(n):
    """Use up to n threads a call from now on."""
    if isinstance(n, bool):
        raise TypeError(f"threads: wanted an integer, got {n}")
    settings.n_threads = integer("threads", n, 1, FNN_MAX_THREADS)


def _thread_count(text):
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"wanted an integer from 1 to {FNN_MAX_THREADS}") from None


def _from_environment(variable, setter, default, convert=str):
    """Apply the variable, or the default where it is not set, with the variable's name in the error."""
    text = os.environ.get(variable)
    if not text:
        setter(default)
        return
    try:
        setter(convert(text))
    except ValueError as error:
        raise ImportError(f"{variable}={text}: {error}") from None


_from_environment("FASTNN_CPU", set_cpu, "")
_from_environment("FASTNN_ISA", set_isa, fnn_isa_name(fnn_isa_best()).decode())
_from_environment("FASTNN_GEMM", set_gemm, "auto")
_from_environment("FASTNN_DENORMALS", set_denormals, "flush")
_from_environment("FASTNN_NUM_THREADS", set_num_threads,
                  min(default_threads(os.environ, cpu_count()), FNN_MAX_THREADS), _thread_count)
