"""Arrays of every real dtype and layout as arguments of `MLP`: the same bits as the native ones, or the same error.

The compiled engine checks and converts them by itself; the reference does so in `fastnn._network`, with NumPy.
"""

import re
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from backends import on_both
from layouts import misaligned, read_only, strided, swapped

from fastnn import MLP, SGD

RNG = np.random.default_rng
DTYPES = ("?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "l", "L", "q", "Q", "f2", "f4", "f8", "g")
ROWS = 421  # more elements than are converted at a time, and no multiple of anything


def every_second_row(a: np.ndarray) -> np.ndarray:
    return np.repeat(a, 2, axis=0)[::2]


def one_byte_off(a: np.ndarray) -> np.ndarray:
    return a if a.itemsize == 1 else misaligned(a)


LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "plain": lambda a: a,
    "read-only": read_only,
    "strided": strided,
    "strided rows": every_second_row,
    "reversed": lambda a: a[::-1].copy()[::-1],
    "columns reversed": lambda a: a[..., ::-1].copy()[..., ::-1],
    "Fortran order": np.asfortranarray,
    "part of Fortran order": lambda a: np.asfortranarray(np.repeat(a, 2, axis=0))[::2],
    "misaligned": one_byte_off,
    "byte-swapped": swapped,
    "byte-swapped, strided": lambda a: strided(swapped(a)),
    "byte-swapped, Fortran order": lambda a: np.asfortranarray(swapped(a)),
    "misaligned, reversed": lambda a: one_byte_off(a[::-1])[::-1],
}
# (loss, outputs, form of the targets)
FORMS = [
    ("softmax_cross_entropy", 2, "labels"),
    ("softmax_cross_entropy", 2, "rows"),
    ("sigmoid_cross_entropy", 1, "flat"),
    ("sigmoid_cross_entropy", 1, "column"),
    ("sigmoid_cross_entropy", 3, "rows"),
    ("squared_error", 1, "flat"),
    ("squared_error", 3, "rows"),
]


def network(loss: str, outputs: int, dtype: str, backend: str = "compiled", width: int = 5) -> MLP:
    return MLP([width, 6, outputs], "tanh", loss=loss, seed=1, dtype=dtype, backend=backend)


def numbers(outputs: int, form: str) -> dict[str, np.ndarray]:
    """Zeros and ones, which every dtype has."""
    rng = RNG(0)
    X, w = rng.integers(0, 2, (ROWS, 5)), np.ones(ROWS, int)
    if form in ("labels", "flat"):
        y = rng.integers(0, 2, ROWS)
    elif outputs == 2:
        y = np.eye(2, dtype=int)[rng.integers(0, 2, ROWS)]
    else:
        y = rng.integers(0, 2, (ROWS, outputs))
    return {"X": X, "y": y, "sample_weight": w}


def as_engines_take_them(given: dict[str, np.ndarray], form: str, dtype: str) -> dict[str, np.ndarray]:
    y = given["y"]
    native = y.astype(np.intp) if form == "labels" else y.astype(dtype).reshape(len(y), -1)
    return {"X": given["X"].astype(dtype), "y": native, "sample_weight": given["sample_weight"].astype(dtype)}


def results(net: MLP, given: dict[str, np.ndarray]) -> list[Any]:
    sgd = SGD(0.1, momentum=0.9)
    found = [net.predict(given["X"]), net.predict(given["X"][3]), net.loss(**given)]
    found += [net.loss_and_gradients(**given)[0], net.gradients.copy()]
    for _ in range(2):  # the second time there is room of the first one's
        found.append(net.train_step(given["X"], given["y"], sgd, given["sample_weight"]))
    return [*found, net.fit(**given, optimizer=sgd, epochs=1, batch_size=50).loss, net.parameters]


@pytest.fixture
def no_second_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Arguments that come to the checks written in Python, which would convert them, or to those that make an error."""

    def fail(*arguments: object, **options: object) -> None:
        raise AssertionError("not taken by the engine")

    for name in ("numbers", "rows", "prepare_target", "prepare_weight"):
        monkeypatch.setattr(f"fastnn._network.{name}", fail)
    monkeypatch.setattr("fastnn.reference._check.array", fail)


@pytest.mark.parametrize("kind", DTYPES)
@pytest.mark.parametrize(("loss", "outputs", "form"), FORMS)
def test_every_dtype_and_layout_gives_the_same_bits(
    loss: str, outputs: int, form: str, kind: str, dtype: str, no_second_look: None
) -> None:
    plain = numbers(outputs, form)
    native = as_engines_take_them(plain, form, dtype)
    want = results(network(loss, outputs, dtype), native)
    for argument, a in plain.items():
        if form == "labels" and argument == "y" and kind in ("f2", "f4", "f8", "g"):
            continue
        for layout, change in LAYOUTS.items():
            given = {**native, argument: change(a.astype(kind))}
            got = results(network(loss, outputs, dtype), given)
            for one, wanted in zip(got, want, strict=True):
                np.testing.assert_array_equal(one, wanted, f"{argument}, {kind}, {layout}")
            np.testing.assert_array_equal(given[argument], a.astype(kind), f"{argument}, {kind}, {layout}: changed")


@pytest.mark.parametrize(("loss", "outputs", "form"), FORMS)
def test_the_reference_takes_the_same(loss: str, outputs: int, form: str, dtype: str) -> None:
    plain = numbers(outputs, form)
    native = as_engines_take_them(plain, form, dtype)
    want = results(network(loss, outputs, dtype, "reference"), native)
    for kind in ("?", "u1", "i4", "f2", "f8"):
        y = plain["y"].astype("i4" if form == "labels" and kind.startswith("f") else kind)
        given = {"X": strided(plain["X"].astype(kind)), "y": y, "sample_weight": plain["sample_weight"].astype(kind)}
        for one, wanted in zip(results(network(loss, outputs, dtype, "reference"), given), want, strict=True):
            np.testing.assert_array_equal(one, wanted, kind)


def test_many_rows(dtype: str, no_second_look: None) -> None:
    """From some thousand elements on the GIL is released."""
    net, other = (network("squared_error", 3, dtype) for _ in range(2))
    X, y = RNG(0).normal(size=(9000, 5)).astype("f4"), RNG(1).normal(size=(9000, 3)).astype("f4")
    for change in (np.asfortranarray, lambda a: a.astype("f8"), lambda a: a.astype(">f8")):
        assert net.train_step(change(X), change(y), SGD(0.1)) == other.train_step(
            X.astype(dtype), y.astype(dtype), SGD(0.1)
        )
    np.testing.assert_array_equal(net.parameters, other.parameters)


# --- Numbers ----------------------------------------------------------------------------------------------------------


def special(kind: str) -> np.ndarray:
    """Numbers of a dtype that are hard to convert: bounds, halves between neighbours, denormals, overflows."""
    if kind == "f2":
        return np.arange(65536, dtype="u2").view("f2")
    if kind == "?":
        return np.array([0, 1, 1, 0, 1], bool)
    if np.dtype(kind).kind in "iu":
        info = np.iinfo(kind)
        powers = [2**k + d for k in range(info.bits) for d in (-1, 0, 1)]
        odd = [2**k + 2**j + d for k in (40, 62) for j in (k - 24, k - 53) if j > 0 for d in (-1, 0, 1)]
        all_of_them = [0, info.min, info.max, *powers, *(-p for p in powers), *odd]
        return np.array([n for n in all_of_them if info.min <= n <= info.max], kind)
    info = np.finfo(kind)
    ends = [info.max, info.tiny, info.smallest_subnormal, info.eps, np.inf, np.nan]
    single = np.finfo("f4")
    between = [float(single.max) * (1 + 2.0**-26), 1 + 2.0**-24, 1 + 2.0**-24 + 2.0**-50, float(single.tiny) / 3]
    between += [float(single.smallest_subnormal) * f for f in (0.49, 0.5, 0.51, 1.5)]
    between += [float(single.max) * 1.01, 1e300, 1e-300]
    with np.errstate(all="ignore"):
        values = np.concatenate([np.array(ends, kind), np.array(between, "f8").astype(kind)])
        return np.concatenate([values, -values, RNG(0).normal(size=999).astype("f8").astype(kind) ** 9])


@pytest.mark.parametrize("kind", DTYPES)
def test_every_number_is_rounded_as_by_numpy(kind: str, isa: str, dtype: str) -> None:
    values = special(kind)
    with np.errstate(all="ignore"):
        wanted = values.astype(dtype)
    good = np.isfinite(wanted)
    net = network("squared_error", 1, dtype, width=1)
    X = values[:, None]
    got = net._engine.try_batch(X[good], wanted[good], None)[0]
    assert got.dtype == dtype
    np.testing.assert_array_equal(got[:, 0].view(f"u{got.itemsize}"), wanted[good].view(f"u{got.itemsize}"))
    # What is not finite goes through a prediction like its native twin.
    np.testing.assert_array_equal(net.predict(X[~good]), net.predict(wanted[~good][:, None]))
    for one in values[~good][:10]:
        assert net._engine.try_batch(np.array([[1], [one]], kind), np.ones(2, dtype), None) is None


def test_truth_values_may_be_any_byte() -> None:
    odd = np.array([0, 1, 2, 255, 0], "u1").view(bool)
    net, other = (network("softmax_cross_entropy", 2, "float32", width=1) for _ in range(2))
    assert net.train_step(odd[:, None], odd, SGD(0.1)) == other.train_step(
        (odd.view("u1") > 0)[:, None].astype("f4"), np.array([0, 1, 1, 1, 0]), SGD(0.1)
    )
    np.testing.assert_array_equal(net.parameters, other.parameters)


@on_both
def test_sums_that_miss_1_by_rounding(backend: str) -> None:
    net, X = network("softmax_cross_entropy", 3, "float32", backend), np.ones((2, 5))
    for off, good in ((0.0, True), (0.00099, True), (-0.00099, True), (0.00101, False), (-0.00101, False)):
        y = np.array([[0.2, 0.3, 0.5], [0.2, 0.3, 0.5 + off]])
        if good:
            assert np.isfinite(net.train_step(X, y, SGD(0.1)))
        else:
            with pytest.raises(ValueError, match=r"y: row 1 is .*, wanted a sum of 1"):
                net.train_step(X, y, SGD(0.1))


@on_both
def test_zeros_with_a_sign_are_zeros(backend: str) -> None:
    net, other = (network("sigmoid_cross_entropy", 1, "float32", backend) for _ in range(2))
    X, zeros = np.ones((3, 5)), np.array([0.0, -0.0, 1.0])
    assert net.train_step(X, zeros, SGD(0.1), zeros) == other.train_step(X, abs(zeros), SGD(0.1), abs(zeros))


# --- Refused ----------------------------------------------------------------------------------------------------------


def put(a: np.ndarray, index: Any, value: Any) -> np.ndarray:
    b = a.copy()
    b[index] = value
    return b


def bad_arguments(loss: str, outputs: int, form: str) -> list[tuple[str, Any]]:
    """(argument, value) that a network refuses."""
    good = numbers(outputs, form)
    X, y, w = (a.astype("f8") for a in good.values())
    found: list[tuple[str, Any]] = [
        ("X", X[:, :4]),
        ("X", X[0]),
        ("X", X[None]),
        ("X", X[:0]),
        ("X", X[:-1]),
        ("X", put(X, (7, 2), np.nan)),
        ("X", put(X, (420, 4), 1e300)),
        ("X", put(X, (0, 0), -np.inf).astype("f2")),
        ("X", np.asfortranarray(put(X, (7, 2), np.nan))),
        ("X", put(X, (7, 2), np.inf).astype(">f4")),
        ("X", X.astype(complex)),
        ("X", X.astype(object)),
        ("sample_weight", w[:-1]),
        ("sample_weight", w[:, None]),
        ("sample_weight", w[0]),
        ("sample_weight", 0 * w),
        ("sample_weight", put(w, 3, -1)),
        ("sample_weight", put(w, 3, -1).astype("i1")),
        ("sample_weight", put(w, 3, np.nan)),
        ("sample_weight", put(w, 3, np.inf).astype("f2")),
        ("sample_weight", put(w, 3, 1e300)),
        ("sample_weight", w.astype("datetime64[s]")),
        ("y", y[:-1]),
        ("y", y[None]),
        ("y", y.astype(complex)),
        ("y", y.astype(str)),
        ("y", np.array(1.0)),
    ]
    if form == "labels":
        found += [("y", put(good["y"], 5, label).astype(kind)) for label in (2, 100) for kind in DTYPES[1:9]]
        found += [("y", put(good["y"], 5, -1).astype(kind)) for kind in (*DTYPES[1:9], ">i4")]
        found += [("y", put(good["y"].astype("u8"), 420, number)) for number in (2**32, 2**63, 2**64 - 1)]
        found += [("y", strided(put(good["y"], 5, 2))), ("y", y), ("y", y[:, None])]
    else:
        found += [("y", put(y, 5, number).astype(kind)) for number in (np.nan, np.inf) for kind in ("f2", ">f4", "f8")]
        found += [("y", put(y, 5, 1e300)), ("y", np.repeat(y.reshape(ROWS, -1), 5, axis=1))]
    if loss == "sigmoid_cross_entropy":
        found += [("y", put(y, 5, number)) for number in (1 + 1e-6, -1e-6, 2)]
        found += [("y", put(y, 5, number).astype("i2")) for number in (2, -1)]
    if form == "rows" and outputs == 2:
        found += [("y", put(y, 5, number)) for number in ([0.5, 0.4], [1, 1], [0, 0], [1.5, -0.5])]
        found += [("y", put(y, 5, 1).astype("u1")), ("y", put(y, 5, 0).astype(bool))]
    return found


@pytest.mark.parametrize(("loss", "outputs", "form"), FORMS)
def test_both_backends_refuse_with_the_same_words(loss: str, outputs: int, form: str) -> None:
    native = as_engines_take_them(numbers(outputs, form), form, "float32")
    nets = [network(loss, outputs, "float32", backend) for backend in ("compiled", "reference")]
    before = nets[0].parameters.copy()
    for argument, value in bad_arguments(loss, outputs, form):
        given = {**native, argument: value}
        for name in ("loss", "loss_and_gradients", "train_step", "fit"):
            said = []
            for net in nets:
                more = {"optimizer": SGD(0.1)} if name == "train_step" else {}
                with pytest.raises((TypeError, ValueError)) as raised:
                    getattr(net, name)(**given, **more)
                said.append((raised.type, str(raised.value)))
            assert said[0] == said[1]
            assert re.match(rf"({argument}|X|y)\b.*: ", said[0][1]), said[0][1]
    for net in nets:
        np.testing.assert_array_equal(net.parameters, before)


@on_both
def test_predictions_are_refused_with_the_same_words(backend: str) -> None:
    net, X = network("squared_error", 3, "float32", backend), np.ones((4, 5))
    for bad, error, message in (
        (X[:, :4], ValueError, r"X: wanted shape \(n, 5\) or \(5,\), got \(4, 4\)"),
        (X[None], ValueError, r"got \(1, 4, 5\)"),
        (np.array(1), ValueError, r"got \(\)"),
        (X.astype(complex), TypeError, "X: wanted an array of real numbers, got dtype complex128"),
        (X.astype("m8[s]"), TypeError, "real numbers"),
        (np.ma.MaskedArray(X, mask=X > 0), ValueError, "masked entries"),
    ):
        with pytest.raises(error, match=message):
            net.predict(bad)
    out = np.full((4, 3), 7, "f4")
    for bad_out in (out.astype("f8"), out[:3], out[:, :2], out.T, read_only(out), swapped(out), misaligned(out), [1]):
        with pytest.raises((TypeError, ValueError), match="out: wanted"):
            net.predict(X, bad_out)
    assert net.predict(X.astype("i1"), out) is out
    np.testing.assert_array_equal(out, net.predict(X.astype("f4")))


# --- Memory -----------------------------------------------------------------------------------------------------------


@on_both
def test_out_beside_inputs_that_are_converted(backend: str) -> None:
    net = MLP([4, 4], seed=0, backend=backend)
    memory = np.ones(160, "f4")
    X = memory[120:56:-1].reshape(16, 4)[::-2]  # from memory[57] to memory[116]
    for start in (26, 57, 85, 116):
        with pytest.raises(ValueError, match=r"out: wanted memory of its own, got an array that overlaps"):
            net.predict(X, memory[start : start + 32].reshape(8, 4))
    assert (memory == 1).all()
    wanted = net.predict(X.copy())
    for start, rows in ((117, 8), (25, 8)):
        out = memory[start : start + 4 * rows].reshape(rows, 4)
        assert net.predict(X[-rows:], out) is out
        np.testing.assert_array_equal(out, wanted[-rows:])


def test_targets_of_one_step_are_not_those_of_the_next(no_second_look: None) -> None:
    """A step's converted targets leave room for the next one's."""
    rng, net, other = RNG(0), *(network("sigmoid_cross_entropy", 1, "float32") for _ in range(2))
    X, kept = rng.normal(size=(60, 5)).astype("f4"), None
    for step in range(20):
        y = rng.integers(0, 2, (60, 1) if step % 6 < 3 else 60)
        if step % 4 == 1 or kept is None:  # what somebody else holds
            kept, values = net._batch(X, y, None)[1], y.reshape(-1, 1).astype("f4")
        rows = X[: 60 if step < 10 else 60 - step]
        y = y[: len(rows)]
        native = y.reshape(-1, 1).astype("f4")
        assert net.train_step(rows, y, SGD(0.1)) == other.train_step(rows, native, SGD(0.1))
        np.testing.assert_array_equal(kept, values)
    np.testing.assert_array_equal(net.parameters, other.parameters)


def test_a_callers_array_is_never_room() -> None:
    net, X = network("squared_error", 1, "float32"), np.ones((8, 5), "f4")
    flat, column, weight = np.full(8, 2.0, "f4"), np.full((8, 1), 3.0, "f4"), np.ones(8)
    for _ in range(2):
        for y in (flat, np.arange(8), column, np.arange(8)[:, None]):
            net.train_step(X, y, SGD(0.0), weight)
    assert (flat == 2).all()
    assert (column == 3).all()


def test_threads_that_convert_at_once(no_second_look: None) -> None:
    """Of one network: each prediction has its own room, and a step is right or refused."""
    net = network("softmax_cross_entropy", 2, "float32")
    wide = [RNG(i).normal(size=(300, 5)) for i in range(4)]
    want = [net.predict(x.astype("f4")) for x in wide]
    labels = [RNG(i).integers(0, 2, 300).astype("u1") for i in range(4)]
    losses = [net.train_step(x.astype("f4"), y.astype(np.intp), SGD(0.0)) for x, y in zip(wide, labels, strict=True)]

    def work(i: int) -> int:
        done = 0
        for _ in range(200):
            np.testing.assert_array_equal(net.predict(wide[i]), want[i])
            try:
                loss = net.train_step(wide[i], labels[i], SGD(0.0))
            except RuntimeError:  # another thread is at it
                continue
            assert loss == losses[i]
            done += 1
        return done

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(4) as pool:
            assert sum(pool.map(work, range(4))) > 0
    finally:
        sys.setswitchinterval(interval)
