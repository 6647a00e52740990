"""Arrays in every kind of memory: what is accepted gives the bits of a plain array, what is shared is told or copied.

What the ops refuse is in test_bad_input; `MLP` converts, so here is what it converts and what it cannot.
"""

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from backends import on_both, on_both_ops
from layouts import good, memory_mapped, misaligned, read_only, shifted, strided, subclassed, swapped
from opcases import CASES

from fastnn import MLP, SGD, Adam

RNG = np.random.default_rng

# --- Ops --------------------------------------------------------------------------------------------------------------

# What an op takes as it takes a plain array: (its name, how to make it).
TAKEN: list[tuple[str, Callable[..., np.ndarray]]] = [
    ("read-only", lambda a, _: read_only(a)),
    ("memory-mapped", memory_mapped),
    ("subclass", lambda a, _: subclassed(a)),
    ("shifted", lambda a, _: shifted(a)),
]


@pytest.mark.parametrize("name", CASES)
def test_ops_read_from_any_memory(name: str, implementation: ModuleType, dtype: str, tmp_path: Path) -> None:
    case = CASES[name]
    arguments = {key: value for key, value in good(case, dtype).items() if key not in case.outputs}
    want = case.run(implementation, arguments)
    for key, a in arguments.items():
        if not isinstance(a, np.ndarray) or key in case.updated:
            continue
        for what, change in TAKEN:
            got = case.run(implementation, {**arguments, key: change(a, tmp_path / "array")})
            for result in want:
                np.testing.assert_array_equal(got[result], want[result], f"{name}: {result} with {what} {key}")
                assert type(got[result]) is type(want[result]), f"{name}: {result} with {what} {key}"


@pytest.mark.parametrize("name", CASES)
def test_ops_write_to_any_memory(name: str, implementation: ModuleType, dtype: str, tmp_path: Path) -> None:
    case = CASES[name]
    arguments = good(case, dtype)
    want = {key: a.copy() for key, a in arguments.items() if isinstance(a, np.ndarray)}
    with np.errstate(all="ignore"):
        getattr(implementation, name)(**{**arguments, **want})
    for key in (*case.outputs, *case.updated):
        a = arguments.get(key)
        if not isinstance(a, np.ndarray):
            continue
        file = np.memmap(tmp_path / key, a.dtype, "w+", shape=a.shape)
        for out in (shifted(a), subclassed(a), file):
            out[...] = a
            own = {other: b.copy() for other, b in arguments.items() if isinstance(b, np.ndarray)}
            with np.errstate(all="ignore"):
                getattr(implementation, name)(**{**arguments, **own, key: out})
            np.testing.assert_array_equal(out, want[key], f"{name}: {key} into a {type(out).__name__}")


@on_both_ops
def test_an_empty_array_shares_no_memory(ops: ModuleType) -> None:
    w = np.ones((4, 4), np.float32)
    for start in (0, 1, 4):
        out = w[start:start]
        assert ops.affine_forward(np.ones((0, 4), np.float32), w, None, out=out) is out


# --- MLP --------------------------------------------------------------------------------------------------------------

# What `MLP` takes in the place of a plain array, to the bit.
CONVERTED: list[tuple[str, Callable[..., Any]]] = [
    *TAKEN,
    ("list", lambda a, _: a.tolist()),
    ("strided", lambda a, _: strided(a)),
    ("reversed", lambda a, _: a[::-1].copy()[::-1]),
    ("Fortran order", lambda a, _: np.asfortranarray(a)),
    ("misaligned", lambda a, _: misaligned(a)),
    ("byte-swapped", lambda a, _: swapped(a)),
    ("long double", lambda a, _: a.astype(np.longdouble)),
    ("without a mask", lambda a, _: np.ma.MaskedArray(a, mask=False)),
    ("matrix", lambda a, _: a.view(np.matrix) if a.ndim == 2 else a),
]
REFUSED: list[tuple[str, type[Exception], Callable[[np.ndarray], Any]]] = [
    ("objects", TypeError, lambda a: a.astype(object)),
    ("0-d", ValueError, lambda a: a.ravel()[0]),
    ("0-d objects", TypeError, lambda a: np.array(None)),
    ("masked", ValueError, lambda a: np.ma.MaskedArray(a, mask=np.arange(a.size).reshape(a.shape) == 1)),
    ("complex", TypeError, lambda a: a.astype(complex)),
    ("strings", TypeError, lambda a: a.astype(str)),
    ("dates", TypeError, lambda a: a.astype("datetime64[s]")),
    ("records", TypeError, lambda a: np.zeros(a.shape, [("x", a.dtype)])),
]
ARGUMENTS = ("X", "y", "sample_weight")
LOSSES = ("softmax_cross_entropy", "sigmoid_cross_entropy", "squared_error", "labels")


def network(backend: str, dtype: str, loss: str) -> MLP:
    loss = "softmax_cross_entropy" if loss == "labels" else loss
    return MLP([5, 7, 4], "tanh", loss=loss, seed=1, dtype=dtype, backend=backend)


def data(dtype: str, loss: str, rows: int = 12) -> dict[str, np.ndarray]:
    rng = RNG(0)
    y = rng.integers(0, 4, rows) if loss == "labels" else np.eye(4, dtype=dtype)[rng.integers(0, 4, rows)]
    X = rng.normal(size=(rows, 5)).astype(dtype)
    return {"X": X, "y": y, "sample_weight": rng.uniform(1, 2, rows).astype(dtype)}


def results(backend: str, dtype: str, loss: str, given: dict[str, Any]) -> list[Any]:
    """Of everything that a network can be asked, the bits."""
    net = network(backend, dtype, loss)
    found: list[Any] = [net.predict(given["X"]), *net.activations(given["X"]), net.loss(**given)]
    found += [net.loss_and_gradients(**given)[0], net.gradients.copy()]
    sgd = SGD(0.1, momentum=0.9)
    found += [net.train_step(given["X"], given["y"], sgd, given["sample_weight"]), net.parameters.copy()]
    history = net.fit(**given, optimizer=sgd, epochs=2, batch_size=5, validation_data=tuple(given.values()))
    return [*found, history.loss, history.val_loss, net.parameters]


@on_both
@pytest.mark.parametrize("loss", LOSSES)
def test_networks_convert_to_the_same_bits(backend: str, dtype: str, loss: str, tmp_path: Path) -> None:
    plain = data(dtype, loss)
    want = results(backend, dtype, loss, plain)
    for argument in ARGUMENTS:
        for what, change in CONVERTED:
            if (loss, argument, what) == ("labels", "y", "long double"):
                continue
            got = results(backend, dtype, loss, {**plain, argument: change(plain[argument], tmp_path / "array")})
            for one, wanted in zip(got, want, strict=True):
                np.testing.assert_array_equal(one, wanted, f"{what} {argument}")


@on_both
@pytest.mark.parametrize("loss", LOSSES)
def test_networks_refuse_before_they_change(backend: str, loss: str) -> None:
    net, plain, sgd = network(backend, "float32", loss), data("float32", loss), SGD(0.1)
    before = net.parameters.copy()
    for argument in ARGUMENTS:
        for what, error, change in REFUSED:
            given = {**plain, argument: change(plain[argument])}
            for call in (
                lambda given=given: net.loss(**given),
                lambda given=given: net.loss_and_gradients(**given),
                lambda given=given: net.fit(**given),
                lambda given=given: net.train_step(given["X"], given["y"], sgd, given["sample_weight"]),
                *([lambda given=given: net.predict(given["X"])] if argument == "X" else []),
            ):
                with pytest.raises(error) as raised:
                    call()
                assert re.match(rf"{argument}: .*(wanted|row)", str(raised.value)), f"{what}: {raised.value}"
    np.testing.assert_array_equal(net.parameters, before)
    assert net.history is None


@on_both
def test_no_rows_give_no_rows(backend: str) -> None:
    net = network(backend, "float32", "squared_error")
    none = np.zeros((0, 5))
    assert [a.shape for a in (net.predict(none), *net.activations(none))] == [(0, 4), (0, 7), (0, 4)]
    assert net.input_gradient(none, np.zeros((0, 4))).shape == (0, 5)
    assert net.jacobian(none).shape == (0, 4, 5)


@on_both
@pytest.mark.parametrize("argument", ["X", "y"])
@pytest.mark.parametrize("vector", ["parameters", "gradients"])
def test_a_batch_that_is_the_network_itself(backend: str, dtype: str, vector: str, argument: str) -> None:
    """Training writes the parameters while it reads the batch: one of their own views must not change under it."""
    n = 90  # several stripes of weights

    def trained(copied: bool) -> list[Any]:
        net = MLP([n, n], loss="squared_error", seed=2, dtype=dtype, backend=backend)
        other = RNG(1).normal(size=(n, n))
        net.loss_and_gradients(other, other)
        view = net.spec.layer_views(getattr(net, vector))[0][0]
        assert np.shares_memory(view, getattr(net, vector))
        batch = {"X": other, "y": other, argument: view}

        def given() -> dict[str, np.ndarray]:
            return {key: a.copy() for key, a in batch.items()} if copied else batch

        found: list[Any] = [net.loss_and_gradients(**given())[0], net.gradients.copy()]
        found += [net.train_step(**given(), optimizer=SGD(0.1)), net.parameters.copy()]
        return [*found, net.fit(**given(), optimizer=Adam(0.01), epochs=2, batch_size=32).loss, net.parameters]

    for got, want in zip(trained(False), trained(True), strict=True):
        np.testing.assert_array_equal(got, want)


@on_both
def test_outputs_may_not_be_the_network_itself(backend: str) -> None:
    net = MLP([6, 6], seed=0, backend=backend)
    before = net.parameters.copy()
    X = np.ones((6, 6), np.float32)
    for out in (net.weights[0], net.parameters[3:39].reshape(6, 6)):
        with pytest.raises(ValueError, match=r"out: wanted memory of its own, got an array that overlaps .*parameters"):
            net.predict(X, out)
    np.testing.assert_array_equal(net.parameters, before)
