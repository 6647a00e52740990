"""The network object: construction, prediction, targets, and what is refused."""

import numpy as np
import pytest
from backends import TOLERANCE, on_both
from fits import small_network

import fastnn
from fastnn import MLP, SGD

RNG = np.random.default_rng


# --- Construction -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"sizes": [3]}, ValueError, "at least two"),
        ({"sizes": [3, 0, 2]}, ValueError, "at least 1 unit"),
        ({"sizes": [3, 2.5]}, TypeError, "wanted an integer, got 2.5"),
        ({"sizes": 5}, TypeError, "wanted a sequence of integers"),
        ({"sizes": "32"}, TypeError, "wanted a sequence of integers"),
        ({"sizes": {3, 2}}, TypeError, "wanted a sequence of integers"),
        ({"sizes": [2**40, 2**40]}, ValueError, "more than 2\\*\\*60 parameters"),
        ({"activation": "swish"}, ValueError, "wanted one of identity, .*got 'swish'"),
        ({"activation": ["relu", "tanh"]}, ValueError, "wanted 1 values, one per hidden layer, got 2"),
        ({"activation": ("tanh", 0.1)}, ValueError, "'tanh' takes no alpha"),
        ({"activation": ("leaky_relu", -0.1)}, ValueError, ">= 0, got -0.1"),
        ({"activation": ("elu", 0.0)}, ValueError, "> 0, got 0.0"),
        ({"activation": 3}, TypeError, "wanted one value or one per hidden layer"),
        ({"activation": [3]}, TypeError, "wanted a name or a pair"),
        ({"activation": {"relu"}}, TypeError, "activation: wanted one value or one per hidden layer, got {'relu'}"),
        ({"activation": ("elu", True)}, TypeError, "activation: elu: wanted a number, got True"),
        ({"output": "nothing"}, ValueError, "got 'nothing'"),
        ({"loss": "hinge"}, ValueError, "wanted one of softmax_cross_entropy, .*got 'hinge'"),
        ({"loss": "softmax_cross_entropy", "output": "tanh"}, ValueError, "'softmax' or 'identity' .*got 'tanh'"),
        ({"task": "ranking"}, ValueError, "got 'ranking'"),
        ({"dropout": 1.0}, ValueError, "drop probability in \\[0, 1\\), got 1"),
        ({"dropout": -0.1}, ValueError, "got -0.1"),
        ({"dropout": [0.1, 0.1]}, ValueError, "wanted 1 values"),
        ({"dropout": float("nan")}, ValueError, "got nan"),
        ({"dropout": {0.5}}, TypeError, "dropout: wanted one value or one per hidden layer, got {0.5}"),
        ({"dropout": True}, TypeError, "dropout: wanted a number, got True"),
        ({"l2": -1.0}, ValueError, "l2: wanted a finite number >= 0"),
        ({"l2": float("inf")}, ValueError, "l2: wanted a finite number >= 0"),
        ({"l2": True}, TypeError, "l2: wanted a number, got True"),
        ({"l2_form": "max"}, ValueError, "wanted 'mean' or 'sum'"),
        ({"l2_form": np.zeros(2)}, ValueError, "l2_form: wanted 'mean' or 'sum', got array"),
        ({"sparsity": (0.1, 1.0)}, ValueError, "'sigmoid' for each of them, got \\['relu'\\]"),
        ({"sparsity": (1.0, 1.0), "activation": "sigmoid"}, ValueError, "between 0 and 1"),
        ({"sparsity": (0.1, -1.0), "activation": "sigmoid"}, ValueError, "beta >= 0"),
        ({"sparsity": (0.1,), "activation": "sigmoid"}, ValueError, "a pair"),
        ({"sparsity": {0.1, 1.0}, "activation": "sigmoid"}, ValueError, r"wanted a pair \(rho, beta\), got {"),
        ({"sparsity": (0.1, True), "activation": "sigmoid"}, TypeError, "sparsity: wanted a number, got True"),
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


@pytest.mark.parametrize("half", [np.float32(0.5), np.array(0.5), np.float64(0.5)])
def test_numbers_of_numpy_are_single_values(half: object) -> None:
    net = MLP([3, 4, 4, 2], activation=("leaky_relu", half), output=("elu", half), dropout=half)
    assert net.spec.activations == (("leaky_relu", 0.5), ("leaky_relu", 0.5), ("elu", 0.5))
    assert net.spec.keep == (0.5, 0.5)


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
    one, same, other = (small_network(backend, seed=seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one.parameters, same.parameters)
    assert not np.array_equal(one.parameters, other.parameters)
    double = small_network(backend, seed=5, dtype="float64")
    np.testing.assert_array_equal(double.parameters.astype("float32"), one.parameters)


# --- Prediction -------------------------------------------------------------------------------------------------------


@on_both
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_predict_takes_what_can_be_converted(backend: str, dtype: str) -> None:
    net = small_network(backend, dtype=dtype)
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
    net, X = small_network(backend), RNG(0).normal(size=(6, 3)).astype("float32")
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
def test_step_is_an_integer(backend: str) -> None:
    net, X, Y = small_network(backend, dropout=0.5), np.ones((4, 3)), np.ones((4, 2))
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
    net, other = (small_network(backend, output="softmax") for _ in range(2))
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
    net = small_network(backend)
    for method in (net.predict, net.activations, net.jacobian):
        with pytest.raises(error, match=message):
            method(X)


@on_both
def test_nan_in_a_row_stays_in_that_row(backend: str) -> None:
    net, X = small_network(backend), np.zeros((3, 3), "float32")
    X[1, 0] = np.nan
    np.testing.assert_array_equal(np.isnan(net.predict(X)).all(axis=1), [False, True, False])


@on_both
def test_input_gradient_shapes(backend: str) -> None:
    net, X = small_network(backend), RNG(0).normal(size=(6, 3))
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
    net, X = small_network(backend, **options), np.ones((4, 3), "float32")
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
    net, labels = small_network(backend, **SOFTMAX), [0, 1, 1, 0]
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
    net, X, Y = small_network(backend), np.ones((4, 3)), np.ones((4, 2))
    for call in (lambda: net.loss(X, Y, weight), lambda: net.fit(X, Y, sample_weight=weight)):
        with pytest.raises(ValueError, match=message):
            call()


@on_both
def test_no_rows_and_not_finite_inputs_are_refused(backend: str) -> None:
    net, X, Y = small_network(backend), np.ones((4, 3)), np.ones((4, 2))
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
    net, rng = small_network(backend, dtype="float64"), RNG(0)
    X, Y = rng.normal(size=(5, 3)), rng.normal(size=(5, 2))
    weight = np.array([2.0, 0.0, 1.0, 3.0, 1.0])
    repeated = np.repeat(np.arange(5), weight.astype(int))
    loss, _ = net.loss_and_gradients(X, Y, weight)
    gradients = net.gradients.copy()
    same, _ = net.loss_and_gradients(X[repeated], Y[repeated])
    assert loss == pytest.approx(same, rel=1e-12)
    np.testing.assert_allclose(gradients, net.gradients, rtol=1e-11, atol=1e-14)
