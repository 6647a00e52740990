"""Every op with every kind of bad argument: a stated error that names the argument, and no output buffer touched."""

import inspect
import re
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from layouts import good, misaligned, read_only, strided
from opcases import CASES
from oprecord import Arguments, Case

from fastnn import reference

# Arguments of any length: their own shape cannot be wrong, the others are held against it.
ANY_LENGTH = ("z", "dy", "p", "x", "y", "a")


def longer(a: np.ndarray) -> np.ndarray:
    return np.concatenate([a, a[-1:]])


def is_labels(name: str, a: np.ndarray) -> bool:
    return name == "target" and a.dtype.kind in "iu"


Change = tuple[str, type[Exception], Callable[[np.ndarray], Any]]
ANY_ARRAY: list[Change] = [
    ("a list", TypeError, lambda a: a.tolist()),
    ("objects", TypeError, lambda a: a.astype(object)),
    ("complex", TypeError, lambda a: a.astype(complex)),
    ("float16", TypeError, lambda a: a.astype(np.float16)),
    ("a string", TypeError, lambda a: "weights"),
    ("strings", TypeError, lambda a: a.astype(str)),
    # Subclasses that compute otherwise: their own arithmetic would be used, or their mask be ignored.
    ("a matrix", TypeError, lambda a: a.view(np.matrix)),
    ("masked", TypeError, lambda a: a.view(np.ma.MaskedArray)),
]
# Labels are read as they are, whatever their layout.
REAL_ARRAY: list[Change] = [
    ("integers", TypeError, lambda a: a.astype(np.int16)),
    ("byte-swapped", TypeError, lambda a: a.astype(a.dtype.newbyteorder())),
    ("strided", ValueError, strided),
    ("misaligned", ValueError, misaligned),
    ("Fortran order", ValueError, np.asfortranarray),
]


def corruptions(case: Case, arguments: Arguments) -> Iterator[tuple[str, str, type[Exception], Arguments]]:
    """(argument, what is wrong with it, error, arguments) for every array argument."""
    written = (*case.outputs, *case.updated)
    first = next((name for name, a in arguments.items() if isinstance(a, np.ndarray)), None)
    for name, a in arguments.items():
        if not isinstance(a, np.ndarray) or (name == "z" and case.name == "affine_forward"):
            continue
        changes = ANY_ARRAY + ([] if is_labels(name, a) else REAL_ARRAY)
        if name in written:
            changes = [*changes, ("read-only", ValueError, read_only)]
        if name != first or name not in ANY_LENGTH:
            changes = [*changes, ("too long", ValueError, longer)]
            if a.dtype.kind == "f":
                other = np.float32 if a.dtype == np.float64 else np.float64
                changes.append(("the other float", TypeError, lambda a, other=other: a.astype(other)))
        if name != first or (len(case.bench_shape) > 1 and "forward" not in case.name and "backward" not in case.name):
            changes.append(("one dimension more", ValueError, lambda a: a[None].copy()))
        for what, error, change in changes:
            if what == "Fortran order" and a.ndim < 2:
                continue
            if (case.name, name, what) == ("softmax_cross_entropy", "target", "integers"):
                error = ValueError  # integers are labels, and those have one dimension
            yield name, what, error, {**arguments, name: change(a)}


def overlaps(case: Case, arguments: Arguments) -> Iterator[tuple[str, str, type[Exception], Arguments]]:
    """Every written array one element away from every other array, in the same memory."""
    arrays = {name: a for name, a in arguments.items() if isinstance(a, np.ndarray)}
    for name in (*case.outputs, *case.updated):
        for other, b in arrays.items():
            a = arrays.get(name)
            if other == name or a is None or b.dtype != a.dtype:
                continue
            memory = np.zeros(1 + max(a.size, b.size), a.dtype)
            inside = memory[1 : 1 + b.size].reshape(b.shape)
            inside[...] = b
            yield (
                name,
                f"overlaps {other}",
                ValueError,
                {
                    **arguments,
                    other: inside,
                    name: memory[: a.size].reshape(a.shape),
                },
            )


def assert_refused(module: ModuleType, name: str, argument: str, what: str, error: type, arguments: Arguments) -> None:
    before = {key: a.tobytes() for key, a in arguments.items() if isinstance(a, np.ndarray)}
    with np.errstate(all="ignore"):
        try:
            getattr(module, name)(**arguments)
        except error as raised:
            message = str(raised)
        except Exception as raised:
            pytest.fail(f"{name}, {argument} {what}: {raised!r} instead of {error.__name__}")
        else:
            pytest.fail(f"{name}: {argument} {what} was accepted")
    named = re.search(rf"\b{re.escape(argument)}\b", message)
    # Which of two overlapping arrays is to blame is a matter of taste.
    if what.startswith("overlaps"):
        named = named or re.search(rf"\b{what.split()[1]}\b", message)
    assert named, f"{name}, {argument} {what}: the message does not name it: {message}"
    after = {key: a.tobytes() for key, a in arguments.items() if isinstance(a, np.ndarray)}
    assert before == after, f"{name}, {argument} {what}: refused, but an array was changed"


@pytest.mark.parametrize("name", CASES)
def test_good_arguments_are_accepted(name: str, implementation: ModuleType, dtype: str) -> None:
    case = CASES[name]
    results = case.run(implementation, good(case, dtype))
    assert set(results) == set(case.results)


@pytest.mark.parametrize("name", CASES)
def test_bad_arrays(name: str, implementation: ModuleType, dtype: str) -> None:
    case = CASES[name]
    tried = 0
    for argument, what, error, arguments in corruptions(case, good(case, dtype)):
        assert_refused(implementation, name, argument, what, error, arguments)
        tried += 1
    assert tried >= 8


@pytest.mark.parametrize("name", [n for n, c in CASES.items() if n not in ("random_words", "permutation")])
def test_overlapping_arrays(name: str, implementation: ModuleType, dtype: str) -> None:
    case = CASES[name]
    tried = 0
    for argument, what, error, arguments in overlaps(case, good(case, dtype)):
        assert_refused(implementation, name, argument, what, error, arguments)
        tried += 1
    assert tried >= 1


@pytest.mark.parametrize("name", ["affine_forward", "affine_backward"])
def test_dense_layers_do_not_work_in_place(name: str, implementation: ModuleType, dtype: str) -> None:
    case = CASES[name]
    arguments = case.make(np.random.default_rng(0), (5, 5, 5), dtype, activation="tanh")
    arrays = {key: a for key, a in arguments.items() if isinstance(a, np.ndarray) and a.ndim == 2}
    for output in case.outputs:
        for other, a in arrays.items():
            if a.ndim == 2 and output != "db":
                changed = {**arguments, output: a}
                assert_refused(implementation, name, output, f"overlaps {other}", ValueError, changed)


NAN, INF = float("nan"), float("inf")
SEEDS = [(-1, ValueError), (2**64, ValueError), (1.5, TypeError), ("1", TypeError), (None, TypeError)]
KEEPS = [(0, ValueError), (-0.5, ValueError), (1.5, ValueError), (NAN, ValueError), ("half", TypeError)]
ALPHAS = [(NAN, ValueError), (INF, ValueError), (-1.0, ValueError), ("steep", TypeError)]
RATES = ("lr", "momentum", "beta1", "beta2", "epsilon", "weight_decay", "l2", "scale")
NUMBERS: dict[str, list[tuple[Any, type[Exception]]]] = {
    "alpha": ALPHAS,
    "activation": [("swish", ValueError), ("", ValueError), (None, TypeError), (3, TypeError)],
    "keep": KEEPS,
    "seed": SEEDS,
    "step": [(0.5, TypeError), ("1", TypeError)],
    "layer": [(0.5, TypeError), ("1", TypeError)],
    "rows": [(-1, ValueError), (2.0, TypeError), (2**62, ValueError), (2**70, ValueError)],
    "cols": [(-1, ValueError), (2.0, TypeError), (2**62, ValueError), (2**70, ValueError)],
    "n": [(-1, ValueError), (2.0, TypeError), (2**62, ValueError), (2**70, ValueError)],
    "t": [(0, ValueError), (-3, ValueError), (1.5, TypeError)],
    "rho": [(0.0, ValueError), (1.0, ValueError), (NAN, ValueError), ("small", TypeError)],
    "beta": [("much", TypeError)],
    **{rate: [("much", TypeError), (None, TypeError), ([1.0, 2.0], TypeError), (True, TypeError)] for rate in RATES},
}
for beta in ("beta1", "beta2"):
    NUMBERS[beta] += [(value, ValueError) for value in (1, 2**70, -0.1, NAN)]


@pytest.mark.parametrize("name", CASES)
def test_bad_numbers(name: str, implementation: ModuleType) -> None:
    case = CASES[name]
    arguments = good(case, "float32")
    for key in inspect.signature(getattr(reference, name)).parameters:
        if key not in NUMBERS or ("affine" in name and key == "alpha"):
            continue
        for value, error in NUMBERS[key]:
            assert_refused(implementation, name, key, f"is {value!r}", error, {**arguments, key: value})
    assert set(NUMBERS) >= {
        key
        for key, p in inspect.signature(getattr(reference, name)).parameters.items()
        if p.annotation in ("float", "int", "str", "float | None", float, int, str)
    }


@pytest.mark.parametrize("name", ["affine_forward", "affine_backward"])
def test_alpha_of_a_dense_layer(name: str, implementation: ModuleType) -> None:
    for activation in ("leaky_relu", "elu"):
        arguments = CASES[name].make(np.random.default_rng(0), (3, 4, 5), "float32", activation=activation)
        for value, error in ALPHAS + ([(0.0, ValueError)] if activation == "elu" else []):
            assert_refused(implementation, name, "alpha", f"is {value!r}", error, {**arguments, "alpha": value})


def test_elu_needs_a_positive_alpha_and_leaky_relu_may_have_none(implementation: ModuleType) -> None:
    z = np.array([-1.0, 1.0])
    assert_refused(implementation, "elu_forward", "alpha", "is 0", ValueError, {"z": z, "alpha": 0.0})
    assert implementation.leaky_relu_forward(z, 0.0)[1] == 1


def test_no_gradient_through_a_step(implementation: ModuleType) -> None:
    case = CASES["affine_backward"]
    arguments = {**case.make(np.random.default_rng(0), (3, 4, 5), "float32"), "activation": "step"}
    assert_refused(implementation, "affine_backward", "activation", "has no gradient", ValueError, arguments)


@pytest.mark.parametrize("activation", ["gelu", "silu"])
def test_missing_preactivations(activation: str, implementation: ModuleType) -> None:
    arguments = CASES["affine_backward"].make(np.random.default_rng(0), (3, 4, 5), "float32", activation=activation)
    del arguments["z"]
    assert_refused(implementation, "affine_backward", "z", "is missing", ValueError, arguments)


@pytest.mark.parametrize("kind", ["int8", "int32", "int64", "uint8", "uint64"])
def test_bad_labels(kind: str, implementation: ModuleType, dtype: str) -> None:
    case = CASES["softmax_cross_entropy"]
    arguments = case.make(np.random.default_rng(0), (4, 6), dtype, target=kind)
    arguments["dz"] = np.full((4, 6), 7, dtype)
    wrong = [6, 100, np.iinfo(kind).max] + ([-1, -100] if kind.startswith("i") else [])
    for value in wrong:
        target = arguments["target"].copy()
        target[2] = value
        changed = {**arguments, "target": target}
        assert_refused(implementation, "softmax_cross_entropy", "target", f"has {value}", ValueError, changed)
    for shape in ((3,), (4, 1), ()):
        changed = {**arguments, "target": np.zeros(shape, kind)}
        assert_refused(implementation, "softmax_cross_entropy", "target", f"{shape}", ValueError, changed)
    changed = {**arguments, "target": np.zeros(4, bool)}
    assert_refused(implementation, "softmax_cross_entropy", "target", "is bool", TypeError, changed)


WEIGHTED = [name for name, case in CASES.items() if any(v.get("weighted") for v in case.variants)]


@pytest.mark.parametrize("name", WEIGHTED)
def test_bad_weights(name: str, implementation: ModuleType, dtype: str) -> None:
    arguments = good(CASES[name], dtype)
    for value in (-1.0, NAN, INF, -INF):
        weight = np.ones(4, dtype)
        weight[3] = value
        changed = {**arguments, "sample_weight": weight}
        assert_refused(implementation, name, "sample_weight", f"has {value}", ValueError, changed)
    changed = {**arguments, "sample_weight": np.zeros(4, dtype)}
    assert_refused(implementation, name, "sample_weight", "is zero", ValueError, changed)


@pytest.mark.parametrize("name", WEIGHTED)
def test_no_mean_over_no_rows(name: str, implementation: ModuleType, dtype: str) -> None:
    arguments = CASES[name].make(np.random.default_rng(0), (0, 6), dtype)
    first = next(iter(arguments))
    assert_refused(implementation, name, first, "has no rows", ValueError, arguments)


def test_no_classes(implementation: ModuleType, dtype: str) -> None:
    z = np.zeros((3, 0), dtype)
    arguments = {"z": z, "target": z.copy()}
    assert_refused(implementation, "softmax_cross_entropy", "z", "has no columns", ValueError, arguments)
