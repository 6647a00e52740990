"""S1–S7: a network with one hidden layer for binary classification."""
# ruff: noqa: N802 (S1 … S24 name the items of the tutorials that are retraced here)

import numpy as np
import pytest
from backends import TOLERANCE, on_both, on_both_ops

from fastnn import MLP, SGD, datasets


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


HIDDEN = {
    "identity": lambda z: z,
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
}


@on_both
@pytest.mark.parametrize("activation", HIDDEN)
def test_S1_forward_of_one_sample_and_a_batch(backend: str, activation: str) -> None:
    net = MLP([3, 5, 1], activation=activation, output="sigmoid", dtype="float64", seed=1, backend=backend)
    X = np.random.default_rng(0).normal(size=(7, 3))
    (W1, W2), (b1, b2) = net.weights, net.biases
    b1[:], b2[:] = 0.1, -0.2
    expected = sigmoid(HIDDEN[activation](X @ W1 + b1) @ W2 + b2)
    np.testing.assert_allclose(net.predict(X), expected, rtol=TOLERANCE["float64"])
    assert net.predict(X[0]).shape == (1,)
    np.testing.assert_allclose(net.predict(X[0]), expected[0], rtol=TOLERANCE["float64"])


@on_both
def test_S2_a_different_activation_per_layer_and_a_settable_slope(backend: str) -> None:
    names = ["sigmoid", "tanh", "relu", ("leaky_relu", 0.2), "identity"]
    net = MLP([4, 6, 5, 7, 3, 4, 2], activation=names, dtype="float64", seed=2, backend=backend)
    X = a = np.random.default_rng(1).normal(size=(9, 4))
    functions = [*list(HIDDEN.values())[1:4], lambda z: np.where(z > 0, z, 0.2 * z), HIDDEN["identity"], lambda z: z]
    for W, b, function, layer in zip(net.weights, net.biases, functions, net.activations(X), strict=True):
        a = function(a @ W + b)
        np.testing.assert_allclose(layer, a, rtol=1e-11, atol=1e-14)


@on_both
def test_S2_regression_outputs(backend: str) -> None:
    rng = np.random.default_rng(3)
    X = rng.normal(size=(50, 2))
    signed = MLP([2, 4, 1], output="identity", seed=0, backend=backend).predict(X)
    positive = MLP([2, 4, 1], output="relu", seed=0, backend=backend).predict(X)
    assert signed.min() < 0
    np.testing.assert_array_equal(positive, np.maximum(signed, 0))
    assert MLP([2, 4, 1], output="relu").spec.loss == "squared_error"


@on_both_ops
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_S3_derivatives_from_the_output(ops: object, dtype: str) -> None:
    z = np.array([-3.0, -0.5, 0.0, 0.25, 2.0], dtype)
    one = np.ones_like(z)
    a = ops.sigmoid_forward(z)
    np.testing.assert_allclose(ops.sigmoid_backward(one, a), a * (1 - a), rtol=TOLERANCE[dtype])
    a = ops.tanh_forward(z)
    np.testing.assert_allclose(ops.tanh_backward(one, a), 1 - a**2, rtol=TOLERANCE[dtype])
    # At z = 0 exactly: 0 for ReLU, the slope for leaky ReLU.
    np.testing.assert_array_equal(ops.relu_backward(one, ops.relu_forward(z)), np.array([0, 0, 0, 1, 1], dtype))
    slope = np.array([0.1, 0.1, 0.1, 1, 1], dtype)
    np.testing.assert_array_equal(ops.leaky_relu_backward(one, ops.leaky_relu_forward(z, 0.1), 0.1), slope)
    default = np.array([0.01, 0.01, 0.01, 1, 1], dtype)
    np.testing.assert_array_equal(ops.leaky_relu_backward(one, ops.leaky_relu_forward(z)), default)


@on_both
def test_S4_cost_and_the_six_backward_equations(backend: str) -> None:
    net = MLP([3, 4, 1], activation="tanh", task="binary", dtype="float64", seed=4, backend=backend)
    rng = np.random.default_rng(4)
    m = 11
    X, Y = rng.normal(size=(m, 3)), rng.integers(0, 2, size=(m, 1)).astype(float)
    (W1, W2), (b1, b2) = net.weights, net.biases
    Z1 = X @ W1 + b1
    A1 = np.tanh(Z1)
    Z2 = A1 @ W2 + b2
    A2 = sigmoid(Z2)
    cost = -np.mean(Y * np.log(A2) + (1 - Y) * np.log(1 - A2))
    dZ2 = A2 - Y
    dW2, db2 = A1.T @ dZ2 / m, dZ2.sum(0) / m
    dZ1 = (dZ2 @ W2.T) * (1 - A1**2)
    dW1, db1 = X.T @ dZ1 / m, dZ1.sum(0) / m
    loss, gradients = net.loss_and_gradients(X, Y)
    assert loss == pytest.approx(cost, rel=1e-12)
    for got, wanted in zip(gradients, [(dW1, db1), (dW2, db2)], strict=True):
        for one, other in zip(got, wanted, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-15)


@on_both
def test_S5_gradient_descent_separates_the_flower(backend: str) -> None:
    X, y = datasets.make_flower(400, seed=1, dtype="float64")
    options = {"task": "binary", "init": ("normal", 0.01), "dtype": "float64", "backend": backend}
    net = MLP([2, 4, 1], activation="tanh", seed=3, **options)
    history = net.fit(X, y, optimizer=SGD(1.2), epochs=10_000, batch_size=None)
    assert history.loss[-1] < 0.3 < history.loss[0]
    assert np.mean((net.predict(X)[:, 0] > 0.5) == y) >= 0.88
    line = MLP([2, 1], seed=3, **options)
    line.fit(X, y, optimizer=SGD(1.2), epochs=1000, batch_size=None)
    assert np.mean((line.predict(X)[:, 0] > 0.5) == y) <= 0.6


@on_both
def test_S6_small_random_weights_and_zero_biases(backend: str) -> None:
    net = MLP([100, 100, 1], init=("normal", 0.01), seed=5, backend=backend)
    assert net.weights[0].std() == pytest.approx(0.01, rel=0.05)
    assert all((b == 0).all() for b in net.biases)


@on_both
@pytest.mark.parametrize("init", ["zeros", ("constant", 0.3)])
def test_S6_equal_weights_keep_all_hidden_units_identical(backend: str, init: object) -> None:
    X, y = datasets.make_flower(200, seed=0)
    # Of five columns BLAS, which makes the reference's products, may sum the last one in another order.
    net = MLP([2, 4, 1], activation="tanh", task="binary", init=init, seed=0, backend=backend)
    net.fit(X, y, optimizer=SGD(0.5), epochs=20, batch_size=16)
    W1, W2 = net.weights
    assert (W1[:, :1] == W1).all()
    assert (W2[:1] == W2).all()
    broken = MLP([2, 4, 1], activation="tanh", task="binary", seed=0, backend=backend)
    broken.fit(X, y, optimizer=SGD(0.5), epochs=20, batch_size=16)
    assert not (broken.weights[0] == broken.weights[0][:, :1]).all()


@on_both
def test_S7_without_non_linearities_the_network_is_one_affine_map(backend: str) -> None:
    net = MLP([6, 20, 9, 3], activation="identity", dtype="float64", seed=6, backend=backend)
    rng = np.random.default_rng(6)
    net.parameters[:] = rng.normal(size=net.parameters.size)
    W, b = np.eye(6), np.zeros(6)
    for Wi, bi in zip(net.weights, net.biases, strict=True):
        W, b = W @ Wi, b @ Wi + bi
    X = rng.normal(size=(8, 6))
    np.testing.assert_allclose(net.predict(X), X @ W + b, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(net.jacobian(X[0]), W.T, rtol=1e-10, atol=1e-10)
