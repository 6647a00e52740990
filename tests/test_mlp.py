"""The network object: construction, views, prediction, single steps, copies, and what is refused."""

import copy
import pickle
import subprocess
import sys
import weakref

import numpy as np
import pytest
from backends import TOLERANCE, on_both

import fastnn
from fastnn import MLP, SGD, Adam

RNG = np.random.default_rng


def _net(backend: str, **options: object) -> MLP:
    return MLP([3, 4, 2], **{"activation": "tanh", "seed": 1, "backend": backend, **options})


# --- Construction -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"sizes": [3]}, ValueError, "at least two"),
        ({"sizes": [3, 0, 2]}, ValueError, "at least 1 unit"),
        ({"sizes": [3, 2.5]}, TypeError, "wanted an integer, got 2.5"),
        ({"sizes": 5}, TypeError, "wanted a sequence of integers"),
        ({"sizes": "32"}, TypeError, "wanted a sequence of integers"),
        ({"sizes": [2**40, 2**40]}, ValueError, "more than 2\\*\\*60 parameters"),
        ({"activation": "swish"}, ValueError, "wanted one of identity, .*got 'swish'"),
        ({"activation": ["relu", "tanh"]}, ValueError, "wanted 1 values, one per hidden layer, got 2"),
        ({"activation": ("tanh", 0.1)}, ValueError, "'tanh' takes no alpha"),
        ({"activation": ("leaky_relu", -0.1)}, ValueError, ">= 0, got -0.1"),
        ({"activation": ("elu", 0.0)}, ValueError, "> 0, got 0.0"),
        ({"activation": 3}, TypeError, "wanted one value or one per hidden layer"),
        ({"activation": [3]}, TypeError, "wanted a name or a pair"),
        ({"output": "nothing"}, ValueError, "got 'nothing'"),
        ({"loss": "hinge"}, ValueError, "wanted one of softmax_cross_entropy, .*got 'hinge'"),
        ({"loss": "softmax_cross_entropy", "output": "tanh"}, ValueError, "'softmax' or 'identity' .*got 'tanh'"),
        ({"task": "ranking"}, ValueError, "got 'ranking'"),
        ({"dropout": 1.0}, ValueError, "drop probability in \\[0, 1\\), got 1"),
        ({"dropout": -0.1}, ValueError, "got -0.1"),
        ({"dropout": [0.1, 0.1]}, ValueError, "wanted 1 values"),
        ({"dropout": float("nan")}, ValueError, "got nan"),
        ({"l2": -1.0}, ValueError, "l2: wanted a finite number >= 0"),
        ({"l2": float("inf")}, ValueError, "l2: wanted a finite number >= 0"),
        ({"l2_form": "max"}, ValueError, "wanted 'mean' or 'sum'"),
        ({"sparsity": (0.1, 1.0)}, ValueError, "'sigmoid' for each of them, got \\['relu'\\]"),
        ({"sparsity": (1.0, 1.0), "activation": "sigmoid"}, ValueError, "between 0 and 1"),
        ({"sparsity": (0.1, -1.0), "activation": "sigmoid"}, ValueError, "beta >= 0"),
        ({"sparsity": (0.1,), "activation": "sigmoid"}, ValueError, "a pair"),
        ({"dtype": "float16"}, ValueError, "wanted 'float32' or 'float64', got 'float16'"),
        ({"dtype": "real"}, TypeError, "got 'real'"),
        ({"seed": -1}, ValueError, "got -1"),
        ({"seed": 2**64}, ValueError, "wanted 0 to 2\\*\\*64 - 1"),
        ({"seed": 1.5}, TypeError, "seed: wanted an integer"),
        ({"backend": "gpu"}, ValueError, "wanted one of compiled, reference, got 'gpu'"),
        ({"backend": []}, ValueError, r"backend: wanted one of compiled, reference, got \[\]"),
        ({"loss": []}, TypeError, r"loss: wanted a name or None, got \[\]"),
        ({"task": []}, TypeError, r"task: wanted a name or None, got \[\]"),
        ({"sparsity": 0.1, "activation": "sigmoid"}, ValueError, r"sparsity: wanted a pair \(rho, beta\), got 0.1"),
        ({"output": "a"}, ValueError, "output: wanted one of identity"),
        ({"output": 3}, TypeError, "output: wanted a name or a pair"),
        ({"output": ("tanh", 1.0)}, ValueError, "output: 'tanh' takes no alpha"),
        ({"output": ("elu", "much")}, TypeError, "output: wanted a name or a pair"),
        ({"init": ("normal", "0.1")}, TypeError, "init: normal: wanted a number, got '0.1'"),
        ({"init": ("constant", None)}, TypeError, "init: constant: wanted a number, got None"),
        ({"init": ("hee", "he")}, ValueError, "init: wanted one of auto, .*got 'hee'"),
        ({"init": ("gauss", 0.1)}, ValueError, r"init: wanted \('constant', c\), .*got \('gauss', 0.1\)"),
        ({"init": lambda rng, n_in, n_out: [[1, 2], [3]]}, ValueError, "init: the function's weights: wanted a rect"),
        ({"init": lambda rng, n_in, n_out: None}, TypeError, "init: the function's weights: wanted an array of real"),
    ],
)
def test_arguments_that_are_refused(options: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        MLP(**{"sizes": [3, 4, 2], **options})


def test_defaults() -> None:
    net = MLP([3, 4, 2])
    assert net.dtype == np.float32
    assert net.spec.activations == (("relu", 0.0), ("identity", 0.0))
    assert net.spec.loss == "squared_error"
    assert net.spec.keep == (1.0,)
    assert net.backend == "compiled"
    assert net.seed != MLP([3, 4, 2]).seed
    assert MLP([3, 2], activation=("leaky_relu", 0.2)).spec.n_layers == 1
    assert MLP([3, 2, 2], activation="leaky_relu").spec.activations[0] == ("leaky_relu", 0.01)


@on_both
def test_the_seed_fixes_the_weights_in_both_dtypes(backend: str) -> None:
    one, same, other = (_net(backend, seed=seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one.parameters, same.parameters)
    assert not np.array_equal(one.parameters, other.parameters)
    double = _net(backend, seed=5, dtype="float64")
    np.testing.assert_array_equal(double.parameters.astype("float32"), one.parameters)


# --- Views ------------------------------------------------------------------------------------------------------------


@on_both
def test_weights_and_biases_are_views(backend: str) -> None:
    net = _net(backend, dtype="float64")
    vector = net.parameters
    net.weights[0][...] = 1.0
    net.biases[0][...] = 2.0
    net.weights[1] = np.full((4, 2), 3.0)
    net.biases[-1] = [4.0, 5.0]
    np.testing.assert_array_equal(vector, [1.0] * 12 + [2.0] * 4 + [3.0] * 8 + [4.0, 5.0])
    assert net.parameters is vector or np.shares_memory(net.parameters, vector)
    expected = np.tanh(np.ones(3) @ np.ones((3, 4)) + 2) @ np.full((4, 2), 3.0) + [4, 5]
    np.testing.assert_allclose(net.predict([1.0, 1.0, 1.0]), expected, rtol=1e-12)
    with pytest.raises(ValueError, match=r"weights\[0\]: wanted shape \(3, 4\), got \(4, 3\)"):
        net.weights[0] = np.ones((4, 3))


@on_both
def test_gradients_are_views_of_the_flat_vector(backend: str) -> None:
    net = _net(backend)
    loss, gradients = net.loss_and_gradients(np.ones((5, 3)), np.ones((5, 2)))
    assert isinstance(loss, float)
    assert [(dW.shape, db.shape) for dW, db in gradients] == [((3, 4), (4,)), ((4, 2), (2,))]
    flat = np.concatenate([a.ravel() for pair in gradients for a in pair])
    np.testing.assert_array_equal(flat, net.gradients)
    assert all(np.shares_memory(a, net.gradients) for pair in gradients for a in pair)
    assert np.any(flat)


# --- Prediction -------------------------------------------------------------------------------------------------------


@on_both
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_predict_takes_what_can_be_converted(backend: str, dtype: str) -> None:
    net = _net(backend, dtype=dtype)
    X = RNG(0).integers(-3, 4, size=(6, 3))
    wanted = net.predict(X.astype(dtype))
    assert wanted.dtype == dtype
    strided = np.zeros((12, 6), dtype)
    strided[::2, ::2] = X
    frozen = X.astype(dtype)
    frozen.flags.writeable = False
    misaligned = np.zeros(X.size * 8 + 1, "u1")[1:][: X.size * np.dtype(dtype).itemsize].view(dtype).reshape(X.shape)
    misaligned[...] = X
    forms = [
        X,
        X.tolist(),
        X.astype("float16"),
        X.astype(">f8"),
        X.astype("i1"),
        np.asfortranarray(X.astype(dtype)),
        strided[::2, ::2],
        frozen,
        misaligned,
    ]
    for form in forms:
        np.testing.assert_allclose(net.predict(form), wanted, rtol=TOLERANCE[dtype], atol=1e-7)
    np.testing.assert_array_equal(net(X), wanted)
    np.testing.assert_allclose(net.predict(X[0]), wanted[0], rtol=TOLERANCE[dtype], atol=1e-7)
    assert net.predict(X[0].tolist()).shape == (2,)
    assert net.predict(np.zeros((0, 3))).shape == (0, 2)


@on_both
def test_predict_into_a_buffer(backend: str) -> None:
    net, X = _net(backend), RNG(0).normal(size=(6, 3)).astype("float32")
    out = np.empty((6, 2), "float32")
    assert net.predict(X, out) is out
    np.testing.assert_array_equal(out, net.predict(X))
    assert net.predict(X.tolist(), out=out) is out
    row = np.empty(2, "float32")
    assert net.predict(X[0], row) is row
    np.testing.assert_array_equal(row, net.predict(X[0]))


@on_both
def test_outputs_that_are_refused(backend: str) -> None:
    net, X = MLP([3, 3], seed=0, backend=backend), RNG(0).normal(size=(6, 3)).astype("float32")
    kept = X.copy()
    frozen = np.empty((6, 3), "float32")
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="out: wanted shape"):
        net.predict(X, np.empty((5, 3), "float32"))
    with pytest.raises(TypeError, match="out: wanted dtype float32"):
        net.predict(X, np.empty((6, 3)))
    with pytest.raises(TypeError, match="out: "):
        net.predict(X, [[0.0] * 3] * 6)
    with pytest.raises(ValueError, match="read-only"):
        net.predict(X, frozen)
    with pytest.raises(ValueError, match="overlaps"):
        net.predict(X, X)
    with pytest.raises(ValueError, match="out: "):
        net.predict(X, np.empty((6, 6), "float32")[:, ::2])
    # Inputs that have to be converted: from another layout, byte order or dtype, or of an object that shows its memory.
    raw = np.zeros((6, 6), "float32")
    for same in (X[:, ::-1], X[::-1], X.view(">f4"), X.view("int32"), memoryview(X[::-1])):
        with pytest.raises(ValueError, match=r"out: wanted memory of its own, got .* overlaps"):
            net.predict(same, X)
    net.predict(raw[:, ::2], np.empty((6, 3), "float32"))
    np.testing.assert_array_equal(X, kept)


@on_both
def test_an_error_that_conversion_cannot_mend_is_passed_on(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Alarmed:
        """An engine in whose first call a signal handler raises."""

        def predict(self, X: object, out: object) -> None:
            calls.append(X)
            if len(calls) == 1:
                raise ValueError("time is up")

    calls: list[object] = []
    net = _net(backend)
    X = np.zeros((5, 3), net.dtype)
    monkeypatch.setattr(net, "_engine", Alarmed())
    with pytest.raises(ValueError, match="time is up"):
        net.predict(X)
    assert len(calls) == 1


@on_both
def test_step_is_an_integer(backend: str) -> None:
    net, X, Y = _net(backend, dropout=0.5), np.ones((4, 3)), np.ones((4, 2))
    for call in (net.loss, net.loss_and_gradients):
        with pytest.raises(TypeError, match=r"step: wanted an integer, got 1\.5"):
            call(X, Y, step=1.5)
    assert net.loss(X, Y, step=np.int64(2)) == net.loss(X, Y, step=2)


@on_both
def test_labels_that_another_thread_changes_are_not_used(backend: str) -> None:
    class Change(fastnn.Callback):
        def on_epoch_end(self, fit: object) -> None:
            y[:] = 1_000_000

    X, y = np.zeros((4, 3), "float32"), np.array([0, 1, 1, 0], np.intp)
    net, other = (_net(backend, output="softmax") for _ in range(2))
    expected = other.fit(X, y.copy(), epochs=3, validation_data=(X, y.copy()))
    history = net.fit(X, y, epochs=3, validation_data=(X, y), callbacks=[Change()])
    assert (history.loss, history.val_loss) == (expected.loss, expected.val_loss)
    y[:] = 1
    assert not np.may_share_memory(net._batch(X, y, None)[1], y)


@on_both
@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (np.zeros((5, 4)), ValueError, r"X: wanted shape \(n, 3\) or \(3,\), got \(5, 4\)"),
        (np.zeros(4), ValueError, r"got \(4,\)"),
        (np.zeros((2, 2, 3)), ValueError, r"got \(2, 2, 3\)"),
        (3.0, ValueError, r"got \(\)"),
        ([[1, 2, 3], [1, 2]], ValueError, "rectangular"),
        ([["a", "b", "c"]], TypeError, "real numbers"),
        (np.zeros((2, 3), complex), TypeError, "real numbers, got dtype complex128"),
        (np.zeros((2, 3), object), TypeError, "real numbers, got dtype object"),
        (None, TypeError, "real numbers, got NoneType"),
    ],
)
def test_inputs_that_are_refused(backend: str, X: object, error: type[Exception], message: str) -> None:
    net = _net(backend)
    for method in (net.predict, net.activations, net.jacobian):
        with pytest.raises(error, match=message):
            method(X)


@on_both
def test_nan_in_a_row_stays_in_that_row(backend: str) -> None:
    net, X = _net(backend), np.zeros((3, 3), "float32")
    X[1, 0] = np.nan
    np.testing.assert_array_equal(np.isnan(net.predict(X)).all(axis=1), [False, True, False])


@on_both
def test_input_gradient_shapes(backend: str) -> None:
    net, X = _net(backend), RNG(0).normal(size=(6, 3))
    dY = RNG(1).normal(size=(6, 2))
    dX = net.input_gradient(X, dY)
    assert dX.shape == (6, 3)
    np.testing.assert_allclose(net.input_gradient(X[2], dY[2]), dX[2], rtol=1e-5)
    with pytest.raises(ValueError, match=r"dY: wanted shape \(6, 2\), got \(6, 3\)"):
        net.input_gradient(X, X)
    with pytest.raises(ValueError, match=r"dY: wanted shape \(2,\), got \(6, 2\)"):
        net.input_gradient(X[0], dY)


# --- Targets and weights ----------------------------------------------------------------------------------------------

SOFTMAX, SIGMOID, SQUARES = ({"task": task} for task in ("multiclass", "binary", "regression"))


@on_both
@pytest.mark.parametrize(
    ("options", "y", "error", "message"),
    [
        (SOFTMAX, [0, 1, 2, 0], ValueError, "y: row 2 is label 2, wanted 0 to 1"),
        (SOFTMAX, [0, -1, 1, 0], ValueError, "y: row 1 is label -1, wanted 0 to 1"),
        (SOFTMAX, np.array([0, 1, 1, 2**63], "u8"), ValueError, f"row 3 is label {2**63}"),
        (SOFTMAX, [0, 1, 1], ValueError, "wanted 4 labels, one per row, got 3"),
        (SOFTMAX, [0.0, 1.0, 1.0, 0.0], TypeError, r"integer labels or rows of shape \(4, 2\)"),
        (SOFTMAX, [[0], [1], [1], [0]], ValueError, r"wanted shape \(4,\) or \(4, 2\) .*got \(4, 1\)"),
        (SOFTMAX, [[0.5, 0.4]] * 4, ValueError, "row 0 is .*wanted a sum of 1"),
        (SOFTMAX, [[0.5, 0.5], [1.5, -0.5]] * 2, ValueError, "row 1 is .*values in"),
        (SOFTMAX, [[0.5, 0.5], [np.nan, 1]] * 2, ValueError, "row 1 holds nan"),
        (SOFTMAX, ["a", "b", "a", "b"], TypeError, "real numbers"),
        (SIGMOID, [0, 1, 1, 0], ValueError, r"wanted shape \(4, 2\)"),
        (SIGMOID, [[0, 1], [1, 2]] * 2, ValueError, "row 1 is .*values in"),
        (SQUARES, [[0, np.inf]] * 4, ValueError, "row 0 holds inf"),
        (SQUARES, [[0, 1e300]] * 4, ValueError, "row 0 holds inf, wanted finite float32"),
        (SQUARES, [[0, 1, 2]] * 4, ValueError, r"wanted shape \(4, 2\) .*got \(4, 3\)"),
        (SQUARES, [[0, 1]] * 3, ValueError, r"wanted shape \(4, 2\) .*got \(3, 2\)"),
        (SQUARES, None, TypeError, "real numbers"),
    ],
)
def test_targets_that_are_refused(backend: str, options: dict, y: object, error: type[Exception], message: str) -> None:
    net, X = _net(backend, **options), np.ones((4, 3), "float32")
    before = net.parameters.copy()
    for call in (
        lambda: net.loss(X, y),
        lambda: net.loss_and_gradients(X, y),
        lambda: net.train_step(X, y, SGD(0.1)),
        lambda: net.fit(X, y, epochs=1),
    ):
        with pytest.raises(error, match=message):
            call()
    np.testing.assert_array_equal(net.parameters, before)
    assert net.history is None


@on_both
def test_forms_of_targets_that_mean_the_same(backend: str) -> None:
    X = RNG(0).normal(size=(4, 3))
    net, labels = _net(backend, **SOFTMAX), [0, 1, 1, 0]
    wanted = net.loss(X, labels)
    for y in (np.array(labels, "u1"), np.array(labels, bool), np.eye(2)[labels], np.eye(2, dtype=int)[labels]):
        assert net.loss(X, y) == pytest.approx(wanted, rel=1e-6)
    one = MLP([3, 1], task="binary", seed=0, backend=backend)
    wanted = one.loss(X, [[0.0], [1.0], [1.0], [0.0]])
    for y in (labels, np.array(labels, bool), np.array(labels, "float32"), np.array(labels)[:, None]):
        assert one.loss(X, y) == wanted


@on_both
@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ([1, 1, 1], r"sample_weight: wanted shape \(4,\), got \(3,\)"),
        ([1, 1, -1, 1], "row 2 is -1.0, wanted weights >= 0"),
        ([1, np.nan, 1, 1], "row 1 holds nan"),
        ([0, 0, 0, 0], "every weight is 0"),
    ],
)
def test_weights_that_are_refused(backend: str, weight: list, message: str) -> None:
    net, X, Y = _net(backend), np.ones((4, 3)), np.ones((4, 2))
    for call in (lambda: net.loss(X, Y, weight), lambda: net.fit(X, Y, sample_weight=weight)):
        with pytest.raises(ValueError, match=message):
            call()


@on_both
def test_no_rows_and_not_finite_inputs_are_refused(backend: str) -> None:
    net, X, Y = _net(backend), np.ones((4, 3)), np.ones((4, 2))
    with pytest.raises(ValueError, match="at least one row"):
        net.loss(X[:0], Y[:0])
    with pytest.raises(ValueError, match="at least one row"):
        net.fit(X[:0], Y[:0])
    X[2, 1] = np.inf
    with pytest.raises(ValueError, match="X: row 2 holds inf"):
        net.fit(X, Y)
    with pytest.raises(ValueError, match=r"X: wanted shape \(n, 3\), got \(3,\); for a single row use X\[None, :\]"):
        net.loss(X[0], Y[0])


@on_both
def test_weights_weigh(backend: str) -> None:
    net, rng = _net(backend, dtype="float64"), RNG(0)
    X, Y = rng.normal(size=(5, 3)), rng.normal(size=(5, 2))
    weight = np.array([2.0, 0.0, 1.0, 3.0, 1.0])
    repeated = np.repeat(np.arange(5), weight.astype(int))
    loss, _ = net.loss_and_gradients(X, Y, weight)
    gradients = net.gradients.copy()
    same, _ = net.loss_and_gradients(X[repeated], Y[repeated])
    assert loss == pytest.approx(same, rel=1e-12)
    np.testing.assert_allclose(gradients, net.gradients, rtol=1e-11, atol=1e-14)


# --- Single steps -----------------------------------------------------------------------------------------------------


@on_both
def test_train_step_converts_and_learns(backend: str) -> None:
    rng = RNG(0)
    X, y = rng.normal(size=(32, 3)), rng.integers(0, 2, 32)
    fast, slow, adam = _net(backend, **SOFTMAX), _net(backend, **SOFTMAX), Adam(0.05)
    for _ in range(30):
        loss = fast.train_step(X.astype("float32"), y.astype(np.intp), adam)
        assert slow.train_step(X.tolist(), y.tolist(), adam) == loss
    np.testing.assert_array_equal(fast.parameters, slow.parameters)
    assert loss < 0.6
    assert adam.state(fast).t == adam.state(slow).t == 30


@on_both
def test_train_step_that_is_not_finite_changes_nothing(backend: str) -> None:
    net, adam = _net(backend), Adam(0.1)
    X, Y = np.ones((4, 3), "float32"), np.ones((4, 2), "float32")
    X[1, 1] = np.inf
    net.weights[0][1] = 0.0
    before = net.parameters.copy()
    assert np.isnan(net.train_step(X, Y, adam))
    np.testing.assert_array_equal(net.parameters, before)
    assert adam.state(net).t == 0
    assert not adam.state(net).slots.any()


@on_both
def test_train_step_follows_schedule_rate_and_reset(backend: str) -> None:
    X, Y = np.ones((1, 3)), np.ones((1, 2))
    net = _net(backend, dtype="float64")

    def rate(optimizer: SGD) -> float:
        net.loss_and_gradients(X, Y)
        gradient, before = net.gradients.copy(), net.parameters.copy()
        net.train_step(X, Y, optimizer)
        return float(np.linalg.norm(net.parameters - before) / np.linalg.norm(gradient))

    scheduled = SGD(lambda step: 0.01 * (step + 1))
    assert [rate(scheduled) for _ in range(3)] == pytest.approx([0.01, 0.02, 0.03])
    scheduled.reset(net)
    assert rate(scheduled) == pytest.approx(0.01)
    plain = SGD(0.05)
    assert rate(plain) == pytest.approx(0.05)
    plain.lr = 0.02
    assert rate(plain) == pytest.approx(0.02)
    with pytest.raises(TypeError, match="optimizer: wanted an optimiser"):
        net.train_step(X, Y, "adam")


def test_an_optimizer_keeps_networks_apart_and_lets_them_go() -> None:
    adam, X, Y = Adam(0.1), np.ones((1, 3)), np.ones((1, 2))
    nets = [_net("reference", seed=seed) for seed in (0, 1)]
    nets[0].train_step(X, Y, adam)
    nets[0].train_step(X, Y, adam)
    nets[1].train_step(X, Y, adam)
    assert [adam.state(net).t for net in nets] == [2, 1]
    gone = weakref.ref(nets[0])
    del nets[0]
    assert gone() is None
    assert len(adam._states) == 1


# --- Optimisers as objects --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: SGD(-0.1), ValueError, "lr: wanted a finite number >= 0, got -0.1"),
        (lambda: SGD(float("nan")), ValueError, "lr: "),
        (lambda: SGD("fast"), TypeError, "lr: wanted a number or a schedule, got 'fast'"),
        (lambda: SGD(0.1, momentum=1.0), ValueError, r"momentum: wanted a number in \[0, 1\), got 1.0"),
        (lambda: SGD(0.1, nesterov=True), ValueError, "momentum > 0"),
        (lambda: Adam(beta2=1.0), ValueError, "beta2"),
        (lambda: Adam(epsilon=0.0), ValueError, "epsilon: wanted a finite number > 0"),
        (lambda: fastnn.AdamW(weight_decay=-1), ValueError, "weight_decay"),
        (lambda: fastnn.RMSprop(beta=None), TypeError, "beta: wanted a number, got None"),
        (lambda: SGD(0.1, clip_norm=0.0), ValueError, "clip_norm"),
        (lambda: setattr(Adam(), "beta1", 0.5), AttributeError, "only lr can be changed"),
        (lambda: setattr(Adam(), "clip_norm", 0.5), AttributeError, "only lr can be changed"),
        (lambda: setattr(Adam(), "lr", -1.0), ValueError, "lr: "),
        (lambda: Adam().gamma, AttributeError, "'Adam' object has no attribute 'gamma'"),
    ],
)
def test_optimizers_refuse(make: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_optimizers_copy_their_settings_only() -> None:
    adam, net = Adam(0.1, clip_norm=2.0), _net("reference")
    net.train_step(np.ones((1, 3)), np.ones((1, 2)), adam)
    for other in (pickle.loads(pickle.dumps(adam)), copy.copy(adam), copy.deepcopy(adam)):
        assert repr(other) == repr(adam) == "Adam(lr=0.1, beta1=0.9, beta2=0.999, epsilon=1e-08, clip_norm=2.0)"
        assert other.state(net).t == 0
    assert adam.state(net).t == 1


# --- Copies, text, import ---------------------------------------------------------------------------------------------


@on_both
@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_copies_are_equal_and_independent(backend: str, again: object) -> None:
    net = _net(backend, dropout=0.1, l2=0.1)
    net.fit(np.ones((4, 3)), np.ones((4, 2)), epochs=1)
    other = again(net)
    assert (other.spec, other.backend, repr(other)) == (net.spec, net.backend, repr(net))
    assert other.history.loss == net.history.loss
    np.testing.assert_array_equal(other.parameters, net.parameters)
    other.parameters[...] = 0.0
    assert net.parameters.any()


class Tagged(MLP):
    def __init__(self, tag: object) -> None:
        super().__init__([3, 2], seed=0)
        self.tag = tag


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_copies_keep_attributes_of_the_users(again: object) -> None:
    net, adam = Tagged(["a"]), Adam()
    net.self, net.note = net, 1
    net.train_step(np.ones((4, 3)), np.ones((4, 2)), adam)
    other = again(net)
    assert (type(other), other.tag, other.note) == (Tagged, ["a"], 1)
    assert other.self is (net if again is copy.copy else other)
    assert (other.tag is net.tag) == (again is copy.copy)
    before = net.parameters.copy()
    other.train_step(np.ones((4, 3)), np.ones((4, 2)), adam)
    assert (adam.state(net).t, adam.state(other).t) == (1, 1)
    np.testing.assert_array_equal(net.parameters, before)


@on_both
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"parameters": np.ones(5)}, ValueError, r"parameters: wanted shape \(26,\), got \(5,\)"),
        ({"parameters": np.full(26, "a")}, TypeError, "parameters: wanted an array of real numbers"),
        ({"backend": "gpu"}, ValueError, "backend: wanted"),
    ],
)
def test_a_state_that_is_refused_changes_nothing(
    backend: str, change: dict, error: type[Exception], message: str
) -> None:
    net = _net(backend)
    engine, before = net._engine, net.parameters.copy()
    with pytest.raises(error, match=message):
        net.__setstate__({**net.__getstate__(), **change})
    assert net._engine is engine
    np.testing.assert_array_equal(net.parameters, before)


@on_both
@pytest.mark.parametrize(
    ("index", "value", "error", "message"),
    [
        (0, None, TypeError, r"weights\[0\]: wanted an array of real numbers, got NoneType"),
        (0, 1j, TypeError, r"weights\[0\]: wanted an array of real numbers"),
        (-1, np.ones(4), ValueError, r"weights\[-1\]: wanted shape \(4, 2\), got \(4,\)"),
        (slice(0, 1), [np.ones((3, 4))], TypeError, "weights: number of a layer: wanted an integer, got slice"),
        (2, 0.0, IndexError, "out of range"),
    ],
)
def test_weights_say_what_they_take(
    backend: str, index: object, value: object, error: type[Exception], message: str
) -> None:
    net = _net(backend)
    before = net.parameters.copy()
    with pytest.raises(error, match=message):
        net.weights[index] = value
    np.testing.assert_array_equal(net.parameters, before)
    net.weights[0], net.weights[-1], net.biases[1] = np.ones((3, 4)), 2, [3, 4]
    assert (net.weights[0] == 1).all()
    assert (net.weights[1] == 2).all()
    assert net.biases[1].tolist() == [3, 4]


def test_repr_says_what_it_is() -> None:
    net = MLP([784, 100, 10], output="softmax", seed=0)
    text = "MLP([784, 100, 10], activation='relu', output=softmax, loss=softmax_cross_entropy, "
    assert repr(net) == text + "79510 float32 parameters, compiled)"


def test_import_and_training_bring_only_what_they_need() -> None:
    optional = {"matplotlib", "tqdm", "safetensors", "sklearn", "torch", "autograd", "scipy.special"}
    own = {f"fastnn.{name}" for name in ("datasets", "kernels", "plot", "reference", "_reference_engine", "bench")}
    code = (
        "import sys, fastnn; fastnn.MLP([2, 1]).fit([[1, 2]], [3], epochs=1); "
        f"heavy = {optional | own} & set(sys.modules); "
        "assert not heavy, heavy; "
        "assert set(fastnn.__all__) <= set(dir(fastnn)); "
        "from fastnn import *; assert set(fastnn.__all__) <= set(globals()); "
        "assert kernels.relu_forward.__doc__ == reference.relu_forward.__doc__; print('fine')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "fine\n"), done.stderr


def test_show_config(capsys: pytest.CaptureFixture) -> None:
    config = fastnn.show_config()
    printed = capsys.readouterr().out
    assert config["version"] == fastnn.__version__
    assert config["isa"] in config["isa_available"]
    for part in (config["version"], config["isa"], config["blas"], "FASTNN_ISA", "FASTNN_GEMM", "FASTNN_NUM_THREADS"):
        assert part in printed


def test_settings_come_back_after_the_block() -> None:
    before = fastnn.show_config()
    other = before["threads"] % 2 + 1
    with fastnn.isa("base"), fastnn.gemm("own"), fastnn.threads(other):
        inside = fastnn.show_config()
    assert (inside["isa"], inside["gemm"], inside["threads"]) == ("base", "own", other)
    assert fastnn.show_config() == before
    with pytest.raises(ZeroDivisionError), fastnn.isa("base"), fastnn.gemm("own"), fastnn.threads(other):
        raise ZeroDivisionError
    assert fastnn.show_config() == before
    for wrong in (fastnn.isa("mmx"), fastnn.gemm("gpu"), fastnn.threads(0)):
        with pytest.raises(ValueError, match="wanted"), wrong:
            pass
    assert fastnn.show_config() == before
