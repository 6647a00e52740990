"""Whatever comes in: the reference's result, or its TypeError or ValueError with nothing changed.

Hypothesis draws the shapes, layouts, dtypes and values; what an op takes is in `opcases`.
"""

from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opcases import CASES
from oprecord import Arguments, assert_close, describe, widened
from strategies import drawn_arguments, examples, spoiled

from fastnn import _core, config, kernels, reference


def kept(arguments: Arguments) -> dict[str, bytes]:
    """The bytes of every array."""
    return {key: a.tobytes() for key, a in arguments.items() if isinstance(a, np.ndarray) and a.dtype != object}


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
