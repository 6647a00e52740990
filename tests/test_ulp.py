"""Every activation within 4 units in the last place of a more precise truth, over its whole range, on every ISA."""

from collections.abc import Iterator
from functools import cache
from types import ModuleType

import numpy as np
import pytest

mpmath = pytest.importorskip("mpmath", reason="mpmath is not installed")

import truths
from opcases import CASES, forward
from oprecord import ULPS, Arguments, special_values

from fastnn import kernels
from fastnn.reference import ACTIVATIONS

ELEMENTWISE = [name for name, row in ACTIVATIONS.items() if not row.rowwise]


@cache
def float32_arguments() -> np.ndarray:
    """Bit patterns of all exponents and signs, a grid where the functions bend, and the special values."""
    # An odd stride goes through all low bits; 2**32 / 6007 leaves 715,000 patterns, 2,800 for each exponent and sign.
    patterns = np.arange(0, 2**32, 6007, dtype=np.uint64).astype(np.uint32).view(np.float32)
    grid = np.linspace(-110, 110, 400_001, dtype=np.float32)
    small = np.random.default_rng(0).uniform(-10, 10, 400_000).astype(np.float32)
    return np.concatenate([patterns, grid, small, special_values("float32")])


@cache
def float64_arguments() -> np.ndarray:
    """Some thousand numbers: all exponents, where the functions bend, and where results become denormal."""
    rng = np.random.default_rng(1)
    powers = np.ldexp(rng.uniform(1, 2, 2000), rng.integers(-1074, 1024, 2000)) * rng.choice([-1, 1], 2000)
    ranges = ((-3, 3, 1500), (-40, 40, 1500), (-750, 750, 1000), (-746, -700, 500), (-38.7, -36, 500), (-1, 0, 500))
    return np.concatenate([powers, *(rng.uniform(low, high, n) for low, high, n in ranges)])


@cache
def float32_truth(name: str, alpha: float) -> np.ndarray:
    return truths.wide(name, float32_arguments(), alpha)


@cache
def float64_truth(name: str, alpha: float) -> list[mpmath.mpf]:
    return truths.exact(name, float64_arguments(), alpha)


def apply(module: ModuleType, name: str, z: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return getattr(module, f"{name}_forward")(z)


def assert_within(errors: np.ndarray, z: np.ndarray, y: np.ndarray, name: str) -> None:
    worst = int(np.argmax(errors))
    assert errors[worst] <= ULPS, f"{name}({z[worst]!r}) = {y[worst]!r} is {errors[worst]:.2f} ulp off"


def measured(module: ModuleType, name: str, dtype: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Errors in units of the last place, arguments and results of an elementwise activation."""
    alpha = ACTIVATIONS[name].alpha or 0.0
    if dtype == "float32":
        z = float32_arguments()
        y = apply(module, name, z)
        return truths.ulps_wide(y, float32_truth(name, alpha)), z, y
    z = float64_arguments()
    y = apply(module, name, z)
    return truths.ulps_exact(y, float64_truth(name, alpha)), z, y


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise(name: str, implementation: ModuleType, dtype: str) -> None:
    assert_within(*measured(implementation, name, dtype), name)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_infinities_and_nan(name: str, implementation: ModuleType, dtype: str) -> None:
    alpha = ACTIVATIONS[name].alpha or 0.0
    y = apply(implementation, name, np.array([-np.inf, np.inf, np.nan], dtype))
    np.testing.assert_array_equal(y, [truths.limit(name, -1, alpha), truths.limit(name, 1, alpha), np.nan])


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_result_does_not_depend_on_position(name: str, implementation: ModuleType, dtype: str) -> None:
    # Vectors of full width and their tails must compute the same.
    z = np.random.default_rng(2).uniform(-20, 20, 67).astype(dtype)
    whole = apply(implementation, name, z)
    for start in (1, 5, 13, 64, 66):
        part = apply(implementation, name, z[start:].copy())
        if implementation.__name__ == "fastnn.kernels":
            np.testing.assert_array_equal(part, whole[start:])
        else:  # NumPy promises no such thing
            np.testing.assert_allclose(part, whole[start:], rtol=8 * np.finfo(dtype).eps)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_result_and_slope_do_not_depend_on_neighbours(name: str, isa: str, dtype: str) -> None:
    # Where a lane is out of the usual range, a kernel may go another way, to the same bits for the other lanes.
    case = CASES.get(f"{name}_backward")
    z = np.random.default_rng(3).uniform(-8, 8, 100).astype(dtype)
    arguments: Arguments = {"dy": np.full_like(z, 1.25), "y": forward(name, z)}
    if ACTIVATIONS[name].needs_z:
        arguments["z"] = z
    whole = apply(kernels, name, z), case and case.run(kernels, arguments)["out"]
    for i in range(len(z)):
        np.testing.assert_array_equal(apply(kernels, name, z[i : i + 1]), whole[0][i : i + 1])
        if case:
            alone = {key: value[i : i + 1] for key, value in arguments.items()}
            np.testing.assert_array_equal(case.run(kernels, alone)["out"], whole[1][i : i + 1])


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_result_does_not_depend_on_denormals_beside_it(name: str, isa: str, dtype: str) -> None:
    # Where denormals are, a kernel may take another way to the same bits.
    z = float32_arguments() if dtype == "float32" else float64_arguments()
    tiny = np.finfo(dtype).tiny
    normal = z[~(np.abs(z) < tiny)]
    beside = np.full((len(normal), 2), tiny / 4, dtype)
    beside[:, 0] = normal
    y, y_beside = apply(kernels, name, normal), apply(kernels, name, beside.ravel())[::2]
    np.testing.assert_array_equal(y_beside.view(f"u{y.itemsize}"), y.view(f"u{y.itemsize}"))
    # One denormal at a time is met by a vector's tail alone; a run of them is not.
    denormals = z[np.abs(z) < tiny]
    alone = np.concatenate([apply(kernels, name, denormals[i : i + 1]) for i in range(500)])
    np.testing.assert_array_equal(
        apply(kernels, name, denormals)[:500].view(f"u{y.itemsize}"), alone.view(f"u{y.itemsize}")
    )


def softmax_truth(shifted: np.ndarray) -> list[list[mpmath.mpf]]:
    with mpmath.workdps(truths.DIGITS):
        rows = [[mpmath.exp(mpmath.mpf(float(v))) for v in row] for row in shifted]
        return [[e / mpmath.fsum(row) for e in row] for row in rows]


SOFTMAX_SCALES, SOFTMAX_COLUMNS = (1, 30, 300), (1, 2, 10, 33, 128, 129)


def measured_softmax(module: ModuleType, scale: int, dtype: str) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Errors, arguments and results row by row, of rows of several lengths."""
    # On a grid of 1/64 the shift by the row's maximum is exact, so that only the softmax itself is measured.
    rng = np.random.default_rng(scale)
    for columns in SOFTMAX_COLUMNS:
        z = (np.round(rng.uniform(-scale, scale, size=(20, columns)) * 64) / 64).astype(dtype)
        y = apply(module, "softmax", z)
        for row, got, wanted in zip(z, y, softmax_truth(z), strict=True):
            if dtype == "float64":
                yield truths.ulps_exact(got, wanted), row, got
            else:
                yield truths.ulps_wide(got, np.array([float(v) for v in wanted])), row, got


@pytest.mark.parametrize("scale", SOFTMAX_SCALES)
def test_softmax(scale: int, implementation: ModuleType, dtype: str) -> None:
    for row in measured_softmax(implementation, scale, dtype):
        assert_within(*row, "softmax")


def test_truths_agree_with_each_other() -> None:
    # The two sources of truth are written apart: for float32 arguments both are known to more than float32's digits.
    z = np.concatenate([np.linspace(-100, 100, 401), np.linspace(-1e-3, 1e-3, 11)]).astype(np.float32)
    for name in ELEMENTWISE:
        alpha = ACTIVATIONS[name].alpha or 0.0
        wide = truths.wide(name, z, alpha)
        exact = np.array([float(v) for v in truths.exact(name, z, alpha)])
        np.testing.assert_allclose(wide, exact, rtol=1e-11, atol=1e-300, err_msg=name)


def test_measure_sees_an_error() -> None:
    # A result that is wrong in the last places is found, in the normal range and among the denormals.
    z = np.array([-95.0, 1.0], np.float32)
    y = forward("silu", z)
    truth = truths.wide("silu", z, 0.0)
    assert (truths.ulps_wide(y, truth) <= 0.51).all()
    for steps in (5, -5):
        spoiled = (y.view(np.int32) + steps).view(np.float32)
        assert (truths.ulps_wide(spoiled, truth) > ULPS).all()
