"""Good arguments for every op, and the same numbers in other memory, for the layout tests. Not a test itself."""

from pathlib import Path

import numpy as np
from oprecord import Arguments, Case

from fastnn import reference

SHAPES = {1: (6,), 2: (4, 6), 3: (4, 5, 6)}


def good(case: Case, dtype: str) -> Arguments:
    """Arguments that are accepted, with a buffer for every output and sample weights where they are taken."""
    variant = next((v for v in case.variants if v.get("weighted")), case.variants[0])
    settings = {key: value for key, value in variant.items() if key != "shapes"}
    if "affine" in case.name:
        settings["activation"] = "silu"
    arguments = case.make(np.random.default_rng(0), SHAPES[len(case.bench_shape)], dtype, **settings)
    results = case.run(reference, arguments)
    for name, value in zip(case.outputs, results.values(), strict=False):
        if case.name in ("softmax_cross_entropy", "sigmoid_cross_entropy", "squared_error", "kl_sparsity"):
            value = results[case.results[1]]
        arguments[name] = np.full(value.shape, 7, value.dtype)
    if case.name == "affine_forward":
        arguments["out"] = np.full_like(arguments["z"], 7)
    return arguments


def misaligned(a: np.ndarray) -> np.ndarray:
    """The same numbers one byte off."""
    raw = np.zeros(a.nbytes + 1, np.uint8)[1:]
    b = raw.view(a.dtype).reshape(a.shape)
    b[...] = a
    assert not b.flags.aligned
    return b


def strided(a: np.ndarray) -> np.ndarray:
    wide = np.repeat(a, 2, axis=-1)
    return wide[..., ::2]


def read_only(a: np.ndarray) -> np.ndarray:
    b = a.copy()
    b.flags.writeable = False
    return b


def memory_mapped(a: np.ndarray, file: Path) -> np.memmap:
    """The same numbers in a file, mapped for reading."""
    a.tofile(file)
    return np.memmap(file, a.dtype, "r", shape=a.shape)


class Subclass(np.ndarray):
    """An array by another name."""


def subclassed(a: np.ndarray) -> np.ndarray:
    return a.copy().view(Subclass)


def shifted(a: np.ndarray) -> np.ndarray:
    """The same numbers one element behind where an allocator would put them: aligned for NumPy, for no vector."""
    raw = np.empty(a.size + 1, a.dtype)
    raw[1:] = a.ravel()
    return raw[1:].reshape(a.shape)


def swapped(a: np.ndarray) -> np.ndarray:
    return a.astype(a.dtype.newbyteorder())
