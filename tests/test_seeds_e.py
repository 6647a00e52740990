"""S21–S24: the general network and autoencoders."""
# ruff: noqa: N802 (S1 … S24 name the items of the tutorials that are retraced here)

from pathlib import Path

import numpy as np
import pytest
from backends import central_differences, on_both, on_both_ops, relative_error

from fastnn import MLP, Adam, datasets


@on_both
def test_S21_half_squared_error_and_weight_decay_not_divided_by_m(backend: str) -> None:
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(9, 4)), rng.normal(size=(9, 2))
    options = {"activation": "sigmoid", "dtype": "float64", "seed": 1, "backend": backend}
    net = MLP([4, 5, 2], l2=0.3, l2_form="sum", **options)
    error = 0.5 * ((net.predict(X) - Y) ** 2).sum(axis=1).mean()
    decay = 0.3 / 2 * sum((W**2).sum() for W in net.weights)
    cost, gradients = net.loss_and_gradients(X, Y)
    assert cost == pytest.approx(error + decay, rel=1e-12)
    _, plain = MLP([4, 5, 2], **options).loss_and_gradients(X, Y)
    for W, (dW, db), (dW0, db0) in zip(net.weights, gradients, plain, strict=True):
        np.testing.assert_allclose(dW, dW0 + 0.3 * W, rtol=1e-11, atol=1e-15)
        np.testing.assert_allclose(db, db0, rtol=1e-11, atol=1e-15)
    # The two conventions are one for λ and λ·m.
    mean = MLP([4, 5, 2], l2=0.3 * 9, l2_form="mean", **options)
    assert mean.loss(X, Y) == pytest.approx(cost, rel=1e-12)


@on_both
def test_S22_residuals_layer_by_layer(backend: str) -> None:
    net = MLP([3, 6, 5, 4, 2], activation="sigmoid", dtype="float64", seed=2, backend=backend)
    rng = np.random.default_rng(2)
    X, Y = rng.normal(size=(8, 3)), rng.normal(size=(8, 2))
    outputs = [X, *net.activations(X)]
    _, gradients = net.loss_and_gradients(X, Y)
    delta = (outputs[-1] - Y) / len(X)  # the output is linear
    for layer in range(3, -1, -1):
        dW, db = gradients[layer]
        np.testing.assert_allclose(dW, outputs[layer].T @ delta, rtol=1e-10, atol=1e-15)
        np.testing.assert_allclose(db, delta.sum(axis=0), rtol=1e-10, atol=1e-15)
        a = outputs[layer]
        delta = (delta @ net.weights[layer].T) * a * (1 - a)


@on_both
@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5, 6])
def test_S22_backpropagation_against_central_differences(backend: str, depth: int) -> None:
    rng = np.random.default_rng(depth)
    sizes = [int(n) for n in rng.integers(2, 12, depth + 1)]
    net = MLP(sizes, activation="sigmoid", dtype="float64", seed=depth, backend=backend)
    X, Y = rng.normal(size=(6, sizes[0])), rng.normal(size=(6, sizes[-1]))
    net.loss_and_gradients(X, Y)
    analytic = net.gradients.copy()
    numeric = central_differences(net, np.arange(analytic.size), X, Y)
    assert relative_error(numeric, analytic) <= 1e-7


@on_both
def test_S23_autoencoder_on_real_images(backend: str, tmp_path: Path) -> None:
    data = datasets.load_digits()
    X, unseen = data.X_train, data.X_test
    net = MLP([64, 32, 64], activation="sigmoid", output="sigmoid", loss="squared_error", seed=0, backend=backend)
    net.fit(X, X, optimizer=Adam(0.01), epochs=60, batch_size=64)
    again = net.predict(unseen)
    error, baseline = np.mean((again - unseen) ** 2), np.mean((unseen - X.mean(axis=0)) ** 2)
    assert error < 0.2 * baseline
    pytest.importorskip("matplotlib")
    from pictures import read_png

    from fastnn import plot

    path = tmp_path / "reconstruction.png"
    plot.image_grid(np.concatenate([unseen[:8], again[:8]]), path=path, columns=8, shape=data.image_shape)
    assert read_png(path).std() > 0.05


@on_both_ops
def test_S24_sparsity_cost_and_its_gradient(ops: object) -> None:
    a = np.random.default_rng(3).uniform(0.05, 0.95, size=(10, 4))
    rho, beta, mean = 0.1, 3.0, a.mean(axis=0)
    cost, da = ops.kl_sparsity(a, rho, beta)
    wanted = beta * (rho * np.log(rho / mean) + (1 - rho) * np.log((1 - rho) / (1 - mean))).sum()
    assert cost == pytest.approx(wanted, rel=1e-12)
    by_unit = beta * (-rho / mean + (1 - rho) / (1 - mean)) / len(a)
    np.testing.assert_allclose(da, np.broadcast_to(by_unit, a.shape), rtol=1e-12)


@on_both
def test_S24_sparse_autoencoder_against_central_differences(backend: str) -> None:
    X = datasets.load_digits(dtype="float64").X_train[:20]
    options = {"activation": "sigmoid", "output": "sigmoid", "loss": "squared_error", "dtype": "float64"}
    net = MLP([64, 9, 7, 64], sparsity=(0.05, 3.0), l2=1e-3, l2_form="sum", seed=4, backend=backend, **options)
    net.loss_and_gradients(X, X)
    analytic = net.gradients.copy()
    where = np.random.default_rng(4).choice(analytic.size, 150, replace=False)
    assert relative_error(central_differences(net, where, X, X), analytic[where]) <= 1e-7


@on_both
def test_S24_training_makes_the_hidden_units_sparse(backend: str) -> None:
    X = datasets.load_digits().X_train
    options = {"activation": "sigmoid", "output": "sigmoid", "loss": "squared_error", "seed": 0, "backend": backend}
    means = {}
    for beta in (0.0, 1.0):
        net = MLP([64, 32, 64], sparsity=(0.05, beta), **options)
        net.fit(X, X, optimizer=Adam(0.01), epochs=20, batch_size=128)
        means[beta] = net.activations(X)[0].mean()
    assert means[1.0] < 0.1 < means[0.0]
