"""Whatever comes in: the reference's result, or its TypeError or ValueError with nothing changed.

Hypothesis draws the shapes, layouts, dtypes and values; what an op takes is in `opcases`. The examples are the same in
every run, so that none fails by chance; FASTNN_EXAMPLES=1000 draws others, and so many for each test.
"""

import os
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from layouts import misaligned, read_only, shifted, strided, subclassed, swapped
from networks import HIDDEN, OUTPUTS
from opcases import CASES
from oprecord import Arguments, assert_close, describe, widened

from fastnn import _core, config, kernels, reference

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


def kept(arguments: Arguments) -> dict[str, bytes]:
    """The bytes of every array."""
    return {key: a.tobytes() for key, a in arguments.items() if isinstance(a, np.ndarray) and a.dtype != object}


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


# --- Ops --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
@examples(20)
@given(data=st.data())
def test_ops_agree_for_any_shape(name: str, data: st.DataObject) -> None:
    case, dtype = CASES[name], data.draw(st.sampled_from(("float32", "float64")))
    arguments = drawn_arguments(data, name, dtype)
    with config.isa(data.draw(st.sampled_from(_core.available_isas()))):
        got = case.run(kernels, arguments)
    assert_close(case, dtype, arguments, got, case.run(reference, widened(arguments)))


def outcome(module: ModuleType, name: str, arguments: Arguments) -> type[Exception] | None:
    """The error by which an op refuses its arguments, which then are as before."""
    own = {key: a.copy() if key in CASES[name].updated and type(a) is np.ndarray else a for key, a in arguments.items()}
    before = kept(own)
    try:
        with np.errstate(all="ignore"):
            getattr(module, name)(**own)
    except (TypeError, ValueError) as error:
        assert kept(own) == before, f"{name}: refused, but an array was changed"
        return type(error)
    return None


@pytest.mark.parametrize("name", CASES)
@examples(30)
@given(data=st.data())
def test_ops_refuse_the_same(name: str, data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(("float32", "float64")))
    arguments = spoiled(data, drawn_arguments(data, name, dtype))
    assert outcome(kernels, name, arguments) == outcome(reference, name, arguments), describe(arguments)


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
