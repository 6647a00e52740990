"""S8–S11: a three-layer network by hand."""
# ruff: noqa: N802 (S1 … S24 name the items of the tutorials that are retraced here)

import numpy as np
import pytest
from backends import TOLERANCE, on_both, on_both_ops

from fastnn import MLP

# The 2-3-2-2 example of the text.
W = [
    np.array([[0.1, 0.3, 0.5], [0.2, 0.4, 0.6]]),
    np.array([[0.1, 0.4], [0.2, 0.5], [0.3, 0.6]]),
    np.array([[0.1, 0.3], [0.2, 0.4]]),
]
B = [np.array([0.1, 0.2, 0.3]), np.array([0.1, 0.2]), np.array([0.1, 0.2])]


@on_both_ops
def test_S8_step_function(ops: object) -> None:
    z = np.array([-2.0, -0.0, 0.0, 1e-300, 3.0])
    np.testing.assert_array_equal(ops.step_forward(z), [0, 0, 0, 1, 1])
    assert not hasattr(ops, "step_backward")


@on_both
def test_S8_perceptron_gates_and_no_gradient(backend: str) -> None:
    # XOR from three threshold units: NAND and OR, then AND.
    net = MLP([2, 2, 1], activation="step", output="step", dtype="float64", backend=backend)
    net.weights[0] = [[-0.5, 0.5], [-0.5, 0.5]]
    net.biases[0] = [0.7, -0.2]
    net.weights[1], net.biases[1] = [[0.5], [0.5]], [-0.7]
    X = [[0, 0], [0, 1], [1, 0], [1, 1]]
    np.testing.assert_array_equal(net.predict(X)[:, 0], [0, 1, 1, 0])
    before = net.parameters.copy()
    with pytest.raises(ValueError, match="'step'"):
        net.loss_and_gradients(X, [0, 1, 1, 0])
    with pytest.raises(ValueError, match="'step'"):
        net.fit(X, [0, 1, 1, 0])
    np.testing.assert_array_equal(net.parameters, before)
    # Found before the layers behind it have written theirs.
    hidden = MLP([2, 2, 1], activation="step", dtype="float64", backend=backend)
    hidden.gradients[:] = 7.0
    with pytest.raises(ValueError, match="'step'"):
        hidden.loss_and_gradients(X, [0, 1, 1, 0])
    assert (hidden.gradients == 7.0).all()


@on_both_ops
def test_S9_softmax_is_shifted_by_the_maximum(ops: object) -> None:
    p = ops.softmax_forward(np.array([[1010.0, 1000.0, 990.0]]))
    np.testing.assert_allclose(p[0], [9.99954600e-01, 4.53978686e-05, 2.06106005e-09], rtol=1e-8)
    z = np.random.default_rng(0).normal(scale=50, size=(20, 7))
    p = ops.softmax_forward(z)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-14)
    np.testing.assert_array_equal(p.argsort(axis=1), z.argsort(axis=1))


@on_both_ops
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_S9_the_other_activations(ops: object, dtype: str) -> None:
    z = np.linspace(-6, 6, 49).astype(dtype)
    rtol = TOLERANCE[dtype]
    np.testing.assert_allclose(ops.sigmoid_forward(z), 1 / (1 + np.exp(-z)), rtol=rtol)
    np.testing.assert_allclose(ops.tanh_forward(z), np.tanh(z), rtol=rtol)
    np.testing.assert_array_equal(ops.relu_forward(z), np.maximum(z, 0))
    np.testing.assert_allclose(ops.leaky_relu_forward(z, 0.1), np.where(z > 0, z, 0.1 * z), rtol=rtol)
    np.testing.assert_array_equal(ops.identity_forward(z), z)


@on_both
def test_S10_the_worked_example_with_a_network(backend: str) -> None:
    net = MLP([2, 3, 2, 2], activation="sigmoid", output="identity", dtype="float64", backend=backend)
    for i in range(3):
        net.weights[i], net.biases[i] = W[i], B[i]
    np.testing.assert_allclose(net.predict([1.0, 0.5]), [0.31682708, 0.69627909], atol=5e-9)
    single = [a.shape for a in net.activations([1.0, 0.5])]
    assert single == [(3,), (2,), (2,)]


@on_both_ops
def test_S10_the_worked_example_with_the_ops(ops: object) -> None:
    z = np.empty((1, 3))
    a = ops.affine_forward(np.array([[1.0, 0.5]]), W[0], B[0], "sigmoid", z=z)
    np.testing.assert_allclose(z, [[0.3, 0.7, 1.1]], rtol=1e-14)
    a = ops.affine_forward(a, W[1], B[1], "sigmoid")
    np.testing.assert_allclose(ops.affine_forward(a, W[2], B[2]), [[0.31682708, 0.69627909]], atol=5e-9)


@pytest.mark.parametrize(
    ("task", "output", "loss"),
    [
        ("binary", "sigmoid", "sigmoid_cross_entropy"),
        ("multiclass", "softmax", "softmax_cross_entropy"),
        ("regression", "identity", "squared_error"),
    ],
)
def test_S11_output_layer_follows_the_task(task: str, output: str, loss: str) -> None:
    spec = MLP([4, 3, 2], task=task).spec
    assert (spec.activations[-1][0], spec.loss) == (output, loss)
    assert MLP([4, 3, 2], output=output).spec.loss == loss
    assert MLP([4, 3, 2], loss=loss).spec.activations[-1][0] == output
    with pytest.raises(ValueError, match="task: wanted one of"):
        MLP([4, 3, 2], task="ranking")
