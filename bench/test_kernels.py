"""Every kernel beside its NumPy twin: one group an op, shape and dtype, from the tests' table of cases.

Both sides get the same arguments and, where the op takes them, buffers for the results. That they agree is asserted
before the timing. FASTNN_ISA and FASTNN_GEMM choose what the compiled side is made of.
"""

import math
from collections.abc import Callable, Collection, Iterator
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
from opcases import CASES, Arguments, Case, assert_close, widened
from peers import OURS, Contender
from races import Lineup, Race

from fastnn import kernels, reference

SIDES = (OURS, "NumPy")
MODULES: dict[str, ModuleType] = dict(zip(SIDES, (kernels, reference), strict=True))


def _arguments(case: Case, dtype: str) -> Arguments:
    """Of the case's first variant at the size that is worth timing."""
    settings = {name: value for name, value in case.variants[0].items() if name != "shapes"}
    return case.make(np.random.default_rng(0), case.bench_shape, dtype, **settings)


def _arrays(values: dict[str, Any]) -> dict[str, np.ndarray]:
    return {name: value for name, value in values.items() if isinstance(value, np.ndarray)}


def _workloads() -> Iterator[tuple[str, str]]:
    """Op and dtype; an op whose arguments hold no real numbers is timed once."""
    for name, case in CASES.items():
        yield name, "float32"
        if _arrays(_arguments(case, "float32")):
            yield name, "float64"


def _buffers(case: Case, results: dict[str, Any]) -> Arguments:
    """Room for the results, so that allocating is not what is timed; ops that work in place need none."""
    if case.updated:
        return {}
    named = {name: results[name] for name in case.outputs if name in results}
    if not named and case.outputs:  # a loss: its gradient is returned, the buffer has another name
        named = {case.outputs[0]: results["gradient"]}
    return {name: np.empty_like(value) for name, value in named.items()}


# Operations an element: +, −, ×, ÷, √, exp and a comparison count one each. Of others there is no agreed count.
_OPERATIONS = {
    "relu_forward": 1,
    "relu_backward": 2,
    "sigmoid_forward": 3,
    "sigmoid_backward": 3,
    "softmax_forward": 5,
    "sgd_update": 2,
    "momentum_update": 4,
    "adam_update": 12,
}


def _flop(case: Case) -> int | None:
    """Multiplications and additions of the matrix products, or operations on all elements; None where unknown."""
    size = math.prod(case.bench_shape)
    products = {"affine_forward": 1, "affine_backward": 2}.get(case.name)
    return 2 * products * size if products else size * _OPERATIONS[case.name] if case.name in _OPERATIONS else None


def _race(name: str, dtype: str) -> Race:
    case = CASES[name]
    arguments = _arguments(case, dtype)
    got = case.run(kernels, arguments)

    def make(sides: Collection[str]) -> tuple[Lineup, dict[str, str]]:
        assert_close(case, dtype, arguments, got, case.run(reference, widened(arguments)))
        lineup = {}
        for side in sides:
            own = {**_arguments(case, dtype), **_buffers(case, got)}  # which an update in place writes to
            lineup[side] = Contender(partial(getattr(MODULES[side], name), **own))
        return lineup, {}

    touched = sum(a.nbytes for a in (*_arrays(arguments).values(), *_arrays(got).values()))
    title = f"{name} {'×'.join(map(str, case.bench_shape))}"
    return Race(title, SIDES, make, dtype, _flop(case), touched, {"op": name, "shape": case.bench_shape})


RACES = [_race(name, dtype) for name, dtype in _workloads()]


def test_kernel(race: Race, side: str, timed: Callable[[Race, str], None]) -> None:
    timed(race, side)
