"""What a case of an op is, how to run it, and how closely results must agree. The cases are in `opcases`."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

Array = np.ndarray
Arguments = dict[str, Any]
Shape = tuple[int, ...]

# Relative to the float64 reference, for sums of ordinary length; ULPS is for each activation over its whole range.
TOLERANCE = {"float32": 5e-6, "float64": 1e-12}
ULPS = 4.0


@dataclass(frozen=True)
class Case:
    """An op and how to exercise it.

    Attributes
    ----------
    name : str
        The function in `fastnn.reference` and `fastnn.kernels`.
    make : callable
        make(rng, shape, dtype, **variant) gives the keyword arguments of one call.
    shapes : tuple of tuple
        Sizes for every test; what the numbers mean is up to `make`.
    bench_shape : tuple
        One size that is worth timing.
    variants : tuple of mapping
        Settings for `make`.
    results : tuple of str
        Names of what comes back: the returned values, or the arguments updated in place.
    outputs : tuple of str
        Arguments that take a buffer for a result.
    updated : tuple of str
        Arguments that are written in place.
    magnitude : callable, optional
        magnitude(arguments) gives for each result what rounding errors are proportional to besides the result itself.
    """

    name: str
    make: Callable[..., Arguments]
    shapes: tuple[Shape, ...]
    bench_shape: Shape
    variants: tuple[Mapping[str, Any], ...] = ({},)
    results: tuple[str, ...] = ("out",)
    outputs: tuple[str, ...] = ("out",)
    updated: tuple[str, ...] = ()
    magnitude: Callable[[Arguments], dict[str, Any]] | None = None

    def run(self, module: ModuleType, arguments: Arguments) -> dict[str, Any]:
        """Call the op in `module` and collect its results by name; in-place arguments are copied first."""
        own = {
            name: a.copy() if name in self.updated and isinstance(a, np.ndarray) else a for name, a in arguments.items()
        }
        # Infinities and NaN are part of the cases: NumPy's warnings about them are not.
        with np.errstate(all="ignore"):
            returned = getattr(module, self.name)(**own)
        if self.updated and returned is None:
            return {name: own[name] for name in self.results}
        values = returned if isinstance(returned, tuple) else (returned,)
        return dict(zip(self.results, values, strict=True))


def widened(arguments: Arguments) -> Arguments:
    """The arguments with every real array in float64."""
    return {
        name: a.astype(np.float64) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a
        for name, a in arguments.items()
    }


def every(case: Case) -> Iterator[tuple[Shape, Mapping[str, Any]]]:
    """All shapes and variants of a case."""
    for variant in case.variants:
        for shape in variant.get("shapes", case.shapes):
            yield shape, {name: value for name, value in variant.items() if name != "shapes"}


def assert_close(case: Case, dtype: str, arguments: Arguments, got: dict[str, Any], want: dict[str, Any]) -> None:
    """Fail unless every result is within the tolerance of the float64 result `want`."""
    scales = case.magnitude(widened(arguments)) if case.magnitude else {}
    floor = 8 * np.finfo(dtype).smallest_subnormal
    for name, wanted in want.items():
        value = got[name]
        if wanted is None:
            assert value is None, f"{case.name}: {name} came although it was not wanted"
            continue
        if isinstance(wanted, float):
            assert isinstance(value, float), f"{case.name}: {name} is {type(value)}, wanted float"
        else:
            assert value.shape == wanted.shape, f"{case.name}: {name} has shape {value.shape}, wanted {wanted.shape}"
            kind = dtype if wanted.dtype.kind == "f" else wanted.dtype
            assert value.dtype == kind, f"{case.name}: {name} has dtype {value.dtype}, wanted {kind}"
            if kind != dtype:
                np.testing.assert_array_equal(value, wanted, f"{case.name}: {name}; arguments {describe(arguments)}")
                continue
        bound = TOLERANCE[dtype] * (np.abs(wanted) + scales.get(name, 0.0)) + floor
        error = np.abs(np.subtract(value, wanted, dtype=np.float64))
        if not np.all(error <= bound):
            where = np.unravel_index(np.argmax(np.nan_to_num(error / bound, nan=np.inf)), np.shape(wanted))
            raise AssertionError(
                f"{case.name} {dtype}: {name}{list(map(int, where))} is {np.asarray(value)[where]!r}, wanted"
                f" {np.asarray(wanted)[where]!r}; arguments {describe(arguments)}"
            )


def describe(arguments: Arguments) -> str:
    """Shapes of the arrays and values of the rest, for messages."""
    return ", ".join(f"{k}: {v.shape if isinstance(v, np.ndarray) else v!r}" for k, v in arguments.items())


def special_values(dtype: str) -> Array:
    """NaN, infinities, zeros of both signs, denormals, the ends of the range, and ordinary numbers between."""
    info = np.finfo(dtype)
    positive = [0.0, info.smallest_subnormal, info.tiny / 4, info.tiny, 1e-30, info.eps, 0.5, 1.0, 20.0, 95.0, 1e15]
    positive += [info.max / 2, info.max, np.inf]
    return np.array([*positive, *(-np.array(positive)), np.nan], dtype)
