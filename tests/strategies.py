"""What hypothesis draws for the property tests: arguments of ops, networks, and what may come in instead. Not a test.

The examples are the same in every run, so that none fails by chance; FASTNN_EXAMPLES=1000 draws others, and so many for
each test.
"""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from layouts import misaligned, read_only, shifted, strided, subclassed, swapped
from networks import HIDDEN, OUTPUTS
from opcases import CASES
from oprecord import Arguments

from fastnn import MLP

EXAMPLES = int(os.environ.get("FASTNN_EXAMPLES", "0"))


def examples(count: int) -> Callable[[Any], Any]:
    """So many, or as many as the environment asks for."""
    slow = (HealthCheck.too_slow, HealthCheck.data_too_large)
    common: dict[str, Any] = {"deadline": None, "database": None, "suppress_health_check": slow}
    return settings(max_examples=EXAMPLES or count, derandomize=not EXAMPLES, **common)


# --- What can come in -------------------------------------------------------------------------------------------------

Change = Callable[[np.ndarray], Any]
# The same numbers, otherwise: taken by some, refused by others.
OTHERWISE: dict[str, Change] = {
    "read-only": read_only,
    "shifted": shifted,
    "subclass": subclassed,
    "strided": lambda a: strided(a) if a.ndim else a,
    "Fortran order": np.asfortranarray,
    "reversed": lambda a: np.flip(np.flip(a).copy()),
    "misaligned": lambda a: misaligned(a) if a.size else a,
    "byte-swapped": swapped,
    "other float": lambda a: a.astype(np.float32 if a.dtype == np.float64 else np.float64),
    "long double": lambda a: a.astype(np.longdouble),
    "list": lambda a: a.tolist(),
}
# Other things.
OTHER: dict[str, Change] = {
    "float16": lambda a: a.astype(np.float16),
    "integers": lambda a: a.astype(np.int64),
    "booleans": lambda a: a.astype(bool),
    "complex": lambda a: a.astype(complex),
    "objects": lambda a: a.astype(object),
    "strings": lambda a: a.astype(str),
    "masked": lambda a: np.ma.MaskedArray(a, mask=np.ones(a.shape, bool)),
    "None": lambda a: None,
    "a number": lambda a: 1.5,
    "one axis more": lambda a: a[None],
    "flat": np.ravel,
    "a row more": lambda a: np.concatenate([a, a[:1]]) if a.ndim else a,
    "a row less": lambda a: a[1:].copy() if a.ndim else a,
    "transposed": lambda a: a.T.copy(),
    "no rows": lambda a: a[:0].copy() if a.ndim else a,
}
CHANGES = {**OTHERWISE, **OTHER}
NUMBERS = (0, 1, -1, 0.5, 1.0, 2, 2**32, 2**63, 2**64, -(2**63) - 1, 10**400, 1e-300, 1e300, float("nan"), float("inf"))
OTHER_SCALARS = ("0.5", "relu", "softmax", "", b"1", None, True, [1.0], np.float32(0.5), np.int8(1))
SCALARS = st.sampled_from((*NUMBERS, *OTHER_SCALARS))
LENGTHS = st.one_of(st.integers(0, 9), st.sampled_from((15, 16, 17, 31, 33, 49, 64, 65, 100, 129)))
SEEDS = st.integers(0, 2**32 - 1)


def drawn_arguments(data: st.DataObject, name: str, dtype: str) -> Arguments:
    """Good arguments, of any shape that the op takes."""
    case = CASES[name]
    variant = data.draw(st.sampled_from(case.variants))
    least = 1 if case.results[0] in ("loss", "cost") else 0
    shape = tuple(max(least, data.draw(LENGTHS)) for _ in case.bench_shape)
    settings = {key: value for key, value in variant.items() if key != "shapes"}
    return case.make(np.random.default_rng(data.draw(SEEDS)), shape, dtype, **settings)


def spoiled(data: st.DataObject, arguments: Arguments) -> Arguments:
    """One of the arguments replaced: an array by another form of it or another thing, a number by any."""
    key = data.draw(st.sampled_from(list(arguments)))
    a = arguments[key]
    if not isinstance(a, np.ndarray):
        # A length of 2**32 is good, and takes all memory.
        possible = SCALARS.filter(lambda value: key not in ("rows", "cols", "n") or value != 2**32)
        return {**arguments, key: data.draw(possible)}
    with np.errstate(all="ignore"):
        return {**arguments, key: data.draw(st.sampled_from(list(CHANGES.values())))(a)}


# --- Networks ---------------------------------------------------------------------------------------------------------


@st.composite
def networks(draw: st.DrawFn) -> dict[str, Any]:
    """Arguments of an `MLP`."""
    sizes = draw(st.lists(st.integers(1, 40), min_size=2, max_size=5))
    output, loss = draw(st.sampled_from(OUTPUTS))
    return {
        "sizes": sizes,
        "activation": draw(st.lists(st.sampled_from(HIDDEN), min_size=len(sizes) - 2, max_size=len(sizes) - 2)),
        "output": output,
        "loss": loss,
        "dropout": draw(st.sampled_from((0.0, 0.3))),
        "l2": draw(st.sampled_from((0.0, 0.1))),
        "l2_form": draw(st.sampled_from(("mean", "sum"))),
        "seed": draw(st.integers(0, 2**64 - 1)),
    }


def batch(data: st.DataObject, net: MLP) -> Arguments:
    """X, y and sample_weight, good for the network."""
    rng, rows, n_out = np.random.default_rng(data.draw(SEEDS)), max(1, data.draw(LENGTHS)), net.sizes[-1]
    if net.spec.loss == "softmax_cross_entropy":
        y = rng.integers(0, n_out, rows) if data.draw(st.booleans()) else rng.dirichlet(np.ones(n_out), rows)
    else:
        y = rng.uniform(size=(rows, n_out))
    weight = rng.uniform(0.1, 2, rows) if data.draw(st.booleans()) else None
    return {"X": rng.normal(size=(rows, net.sizes[0])), "y": y, "sample_weight": weight}
