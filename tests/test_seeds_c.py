"""S12–S15: initial weights."""
# ruff: noqa: N802 (S1 … S24 name the items of the tutorials that are retraced here)

import itertools
import os
from pathlib import Path

import numpy as np
import pytest
from backends import on_both

from fastnn import MLP, SGD, Callback, datasets

SCHEMES = {
    "xavier": lambda n_in, n_out: np.sqrt(1 / n_in),
    "he": lambda n_in, n_out: np.sqrt(2 / n_in),
    "glorot": lambda n_in, n_out: np.sqrt(2 / (n_in + n_out)),
}


@pytest.mark.parametrize("form", ["", "_normal", "_uniform"])
@pytest.mark.parametrize("name", SCHEMES)
def test_S12_standard_deviations(name: str, form: str) -> None:
    net = MLP([400, 300, 200], init=name + form, seed=0)
    for W, n_in, n_out in zip(net.weights, net.sizes, net.sizes[1:], strict=False):
        std = SCHEMES[name](n_in, n_out)
        assert W.std() == pytest.approx(std, rel=0.02)
        assert abs(W.mean()) < 0.02 * std
        inside = np.abs(W).max() <= np.sqrt(3) * std * (1 + 1e-6)
        assert inside == (form == "_uniform")


def test_S12_constant_normal_uniform_and_a_function() -> None:
    sizes = [300, 200, 4]
    assert all((np.float32(0.25) == W).all() for W in MLP(sizes, init=("constant", 0.25)).weights)
    assert MLP(sizes, init=("normal", 0.01), seed=1).weights[0].std() == pytest.approx(0.01, rel=0.02)
    assert MLP(sizes, init=("uniform", 0.3), seed=1).weights[0].max() == pytest.approx(0.3, rel=0.01)
    mine = MLP(sizes, init=["zeros", lambda rng, n_in, n_out: np.full((n_in, n_out), n_in)]).weights
    assert (mine[0] == 0).all()
    assert (mine[1] == 200).all()


def test_S12_the_default_follows_the_activation() -> None:
    for activation, scheme in {"relu": "he", "leaky_relu": "he", "sigmoid": "xavier", "tanh": "xavier"}.items():
        default = MLP([300, 200, 3], activation=activation, seed=2).weights
        named = MLP([300, 200, 3], activation=activation, init=[scheme, "xavier"], seed=2).weights
        for one, other in zip(default, named, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("init", "message"),
    [
        ("kaiming", "wanted one of auto"),
        (["he"], "wanted 2 schemes"),
        (("normal", -1.0), ">= 0"),
        (("normal", float("nan")), "finite"),
        (("cauchy", 1.0), "'constant', c"),
        (lambda rng, n_in, n_out: np.zeros(n_in), r"wanted shape \(3, 2\) from the function"),
        (lambda rng, n_in, n_out: np.full((n_in, n_out), np.nan), "finite values"),
    ],
)
def test_S12_a_wrong_scheme_is_refused(init: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MLP([3, 2, 1], init=init)


def _sigmoid_layers(init: object, backend: str) -> tuple[MLP, np.ndarray]:
    net = MLP([100] * 6 + [1], activation="sigmoid", init=init, seed=0, backend=backend)
    return net, np.random.default_rng(1).normal(size=(1000, 100)).astype("float32")


@on_both
def test_S13_distribution_of_the_hidden_activations(backend: str) -> None:
    saturated, piled, spread = {}, {}, {}
    for name, init in {"one": ("normal", 1.0), "small": ("normal", 0.01), "xavier": "xavier"}.items():
        net, X = _sigmoid_layers(init, backend)
        last = net.activations(X)[4]
        saturated[name] = np.mean((last < 0.05) | (last > 0.95))
        piled[name] = np.mean(np.abs(last - 0.5) < 0.05)
        spread[name] = last.std()
    assert saturated["one"] > 0.5
    assert piled["small"] > 0.95
    assert saturated["xavier"] < 0.05
    assert spread["small"] < 0.05 < spread["xavier"]


def test_S13_picture_of_the_histograms(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from pictures import read_png

    from fastnn import plot

    net, X = _sigmoid_layers(("normal", 1.0), "compiled")
    path = tmp_path / "activations.png"
    plot.activation_histograms(net, X, path)
    pixels = read_png(path)
    assert min(pixels.shape[:2]) > 100
    assert pixels.std() > 0.02


class Steps(Callback):
    """Keeps the loss of every step and stops after ``n``."""

    def __init__(self, n: int) -> None:
        self.n, self.losses = n, []

    def on_batch_end(self, fit: object) -> None:
        self.losses.append(fit.batch_loss)
        if len(self.losses) == self.n:
            fit.stop()


def _compare_inits(data: datasets.ImageData, steps: int, rate: float, backend: str) -> tuple[dict, dict]:
    """Losses per step and test accuracy of the three inits of S14."""
    losses, accuracies = {}, {}
    for name, init in {"std 0.01": ("normal", 0.01), "Xavier": "xavier", "He": "he"}.items():
        sizes = [data.X_train.shape[1], 100, 100, 100, 100, 10]
        net = MLP(sizes, activation="relu", output="softmax", init=init, seed=0, backend=backend)
        record = Steps(steps)
        net.fit(data.X_train, data.y_train, optimizer=SGD(rate), epochs=steps, batch_size=128, callbacks=[record])
        losses[name] = np.array(record.losses)
        accuracies[name] = float(np.mean(net.predict(data.X_test).argmax(axis=1) == data.y_test))
    return losses, accuracies


@pytest.mark.parametrize("backend", ["compiled", pytest.param("reference", marks=pytest.mark.slow)])
def test_S14_mnist_inits(backend: str, tmp_path: Path) -> None:
    folder = os.environ.get("FASTNN_DATA")
    if not folder:
        pytest.skip("FASTNN_DATA does not name a folder with the MNIST files")
    losses, accuracies = _compare_inits(datasets.load_mnist(folder), 2000, 0.01, backend)
    bands = {
        "std 0.01": ((2.28, 2.32), (2.28, 2.32), (0.09, 0.12)),
        "Xavier": ((0.29, 0.34), (0.70, 1.20), (0.90, 0.92)),
        "He": ((0.21, 0.25), (0.37, 0.45), (0.925, 0.945)),
    }
    for name, (at_end, at_500, accuracy) in bands.items():
        assert at_end[0] <= losses[name][-100:].mean() <= at_end[1], name
        assert at_500[0] <= losses[name][450:550].mean() <= at_500[1], name
        assert accuracy[0] <= accuracies[name] <= accuracy[1], name
    _check_picture(losses, tmp_path / "inits.png")


@on_both
def test_S14_inits_on_the_digits_that_ship(backend: str, tmp_path: Path) -> None:
    losses, accuracies = _compare_inits(datasets.load_digits(), 600, 0.05, backend)
    assert losses["std 0.01"][-50:].mean() > 2.25
    assert losses["He"][-50:].mean() < losses["Xavier"][-50:].mean() < 1.0
    assert accuracies["std 0.01"] < 0.2
    assert accuracies["He"] > 0.9
    _check_picture(losses, tmp_path / "inits.png")


def _check_picture(losses: dict, path: Path) -> None:
    pytest.importorskip("matplotlib")
    from pictures import read_png

    from fastnn import plot

    plot.loss_curves(losses, 0.98, path)
    pixels = read_png(path)
    assert min(pixels.shape[:2]) > 100
    assert pixels.std() > 0.02


@on_both
@pytest.mark.parametrize("depth", [0, 1, 2, 5, 12])
def test_S15_any_depth_from_a_list_of_sizes(backend: str, depth: int) -> None:
    sizes = [3, *range(4, 4 + depth), 2]
    net = MLP(sizes, activation="tanh", output="softmax", dtype="float64", seed=0, backend=backend)
    assert [W.shape for W in net.weights] == list(itertools.pairwise(sizes))
    assert [b.shape for b in net.biases] == [(n,) for n in sizes[1:]]
    assert net.parameters.size == sum((i + 1) * o for i, o in itertools.pairwise(sizes))
    a = X = np.random.default_rng(0).normal(size=(4, 3))
    for W, b in zip(net.weights[:-1], net.biases[:-1], strict=True):
        a = np.tanh(a @ W + b)
    z = a @ net.weights[-1] + net.biases[-1]
    np.testing.assert_allclose(net.predict(X), np.exp(z) / np.exp(z).sum(axis=1, keepdims=True), rtol=1e-11)
