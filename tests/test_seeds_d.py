"""S16–S20: regularisation and optimisers."""
# ruff: noqa: N802 (S1 … S24 name the items of the tutorials that are retraced here)

from pathlib import Path

import numpy as np
import pytest
from backends import on_both, on_both_ops

import fastnn
from fastnn import MLP, datasets

RNG = np.random.default_rng


def _net(backend: str, **options: object) -> MLP:
    settings = {"activation": "tanh", "output": "softmax", "dtype": "float64", "seed": 0, "backend": backend}
    return MLP([5, 7, 6, 3], **{**settings, **options})


def _data(m: int = 12) -> tuple[np.ndarray, np.ndarray]:
    rng = RNG(1)
    return rng.normal(size=(m, 5)), rng.integers(0, 3, m)


@on_both
def test_S16_l2_over_2m_on_weights_only(backend: str) -> None:
    X, y = _data()
    plain, decayed = _net(backend), _net(backend, l2=0.7)
    plain.biases[0] = decayed.biases[0] = 0.5
    cost, gradients = plain.loss_and_gradients(X, y)
    with_l2, regularised = decayed.loss_and_gradients(X, y)
    squares = sum((W**2).sum() for W in plain.weights)
    assert with_l2 == pytest.approx(cost + 0.7 / (2 * len(X)) * squares, rel=1e-12)
    for W, (dW, db), (dW2, db2) in zip(plain.weights, gradients, regularised, strict=True):
        np.testing.assert_allclose(dW2, dW + 0.7 / len(X) * W, rtol=1e-11, atol=1e-15)
        np.testing.assert_allclose(db2, db, rtol=1e-11, atol=1e-15)


@on_both_ops
def test_S17_inverted_dropout_keeps_the_expectation(ops: object) -> None:
    x = np.full((2000, 50), 3.0)
    for keep in (0.5, 0.8):
        y = ops.dropout_forward(x, keep, 7, step=3, layer=1)
        assert set(np.unique(y)) == {0.0, 3.0 * (1 / keep)}
        assert np.mean(y > 0) == pytest.approx(keep, abs=0.01)
        assert y.mean() == pytest.approx(3.0, rel=0.02)


@on_both
def test_S17_a_keep_probability_per_layer_and_off_at_prediction(backend: str) -> None:
    net, same = _net(backend, dropout=[0.5, 0.2]), _net(backend)
    X, y = _data()
    assert net.spec.keep == (0.5, 0.8)
    np.testing.assert_array_equal(net.predict(X), same.predict(X))
    assert net.loss(X, y) == same.loss(X, y)
    assert net.loss(X, y, step=0) != net.loss(X, y, step=1) != net.loss(X, y)
    # Averaged over masks, an output of a network without non-linearities is the output without dropout.
    linear = MLP([5, 400, 1], activation="identity", dropout=0.5, dtype="float64", seed=0, backend=backend)
    outputs = [np.sqrt(2 * linear.loss(X[:1], [-100.0], step=step)) - 100 for step in range(300)]
    assert np.std(outputs) > 0.5
    assert np.mean(outputs) == pytest.approx(linear.predict(X[0])[0], abs=0.15)


@on_both
@pytest.mark.parametrize(("batch_size", "steps"), [(None, 1), (1, 12), (5, 3), (100, 1)])
def test_S18_batch_stochastic_and_mini_batch(backend: str, batch_size: int | None, steps: int) -> None:
    X, y = _data(12)
    net, by_hand = _net(backend), _net(backend)
    history = net.fit(X, y, optimizer=fastnn.SGD(0.1), epochs=2, batch_size=batch_size, shuffle=False)
    assert history.n_steps == 2 * steps
    size = batch_size or 12
    for _ in range(2):
        for start in range(0, 12, size):
            _, gradients = by_hand.loss_and_gradients(X[start : start + size], y[start : start + size])
            for W, b, (dW, db) in zip(by_hand.weights, by_hand.biases, gradients, strict=True):
                W -= 0.1 * dW
                b -= 0.1 * db
    np.testing.assert_allclose(net.parameters, by_hand.parameters, rtol=1e-10, atol=1e-13)


def _averaged(p: np.ndarray, g: np.ndarray, memory: dict, t: int) -> None:
    memory["v"] = 0.9 * memory.get("v", 0) + 0.1 * g
    p -= 0.05 * memory["v"]


def _rmsprop(p: np.ndarray, g: np.ndarray, memory: dict, t: int) -> None:
    memory["s"] = 0.9 * memory.get("s", 0) + 0.1 * g**2
    p -= 0.05 * g / (np.sqrt(memory["s"]) + 1e-8)


def _adam(p: np.ndarray, g: np.ndarray, memory: dict, t: int) -> None:
    memory["v"] = 0.9 * memory.get("v", 0) + 0.1 * g
    memory["s"] = 0.999 * memory.get("s", 0) + 0.001 * g**2
    p -= 0.05 * memory["v"] / (1 - 0.9**t) / (np.sqrt(memory["s"] / (1 - 0.999**t)) + 1e-8)


@on_both
@pytest.mark.parametrize(
    ("optimizer", "rule"),
    [(fastnn.Momentum(0.05), _averaged), (fastnn.RMSprop(0.05), _rmsprop), (fastnn.Adam(0.05), _adam)],
    ids=["momentum", "rmsprop", "adam"],
)
def test_S19_the_optimisers_by_their_formulas(backend: str, optimizer: fastnn.Optimizer, rule: object) -> None:
    X, y = _data()
    net, by_hand = _net(backend), _net(backend)
    memory: dict = {}
    for t in range(1, 6):
        loss, _ = by_hand.loss_and_gradients(X, y)
        assert net.train_step(X, y, optimizer) == pytest.approx(loss, rel=1e-10)
        rule(by_hand.parameters, by_hand.gradients.copy(), memory, t)
        np.testing.assert_allclose(net.parameters, by_hand.parameters, rtol=1e-8, atol=1e-11)


@on_both
def test_S20_a_small_step_lowers_the_cost_every_time(backend: str, tmp_path: Path) -> None:
    X, y = datasets.make_flower(300, seed=2, dtype="float64")
    options = {"activation": "tanh", "task": "binary", "dtype": "float64", "seed": 1, "backend": backend}
    net = MLP([2, 8, 1], l2=0.1, **options)
    history = net.fit(X, y, optimizer=fastnn.SGD(0.05), epochs=300, batch_size=None)
    assert (np.diff(history.loss) < 0).all()
    # With dropout on it need not.
    dropped = MLP([2, 8, 1], dropout=0.5, **options).fit(X, y, optimizer=fastnn.SGD(0.05), epochs=300, batch_size=None)
    assert not (np.diff(dropped.loss) < 0).all()
    pytest.importorskip("matplotlib")
    from pictures import read_png

    path = tmp_path / "cost.png"
    history.plot(path)
    assert read_png(path).std() > 0.01
