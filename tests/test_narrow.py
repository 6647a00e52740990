"""Networks of narrow layers, trained with the rows of the batch in the lanes: the same results as the reference."""

import numpy as np
import pytest
from backends import TOLERANCE, relative_error

import fastnn
from fastnn import MLP

NETWORKS = [
    {"sizes": [2, 4, 1], "activation": "tanh", "output": "sigmoid"},
    {"sizes": [4, 32, 16, 4], "activation": "tanh", "output": "identity"},
    {"sizes": [3, 7, 5], "activation": "relu", "output": "softmax"},
    {"sizes": [1, 1], "output": "identity"},
    {"sizes": [32, 32, 9, 2], "activation": ["gelu", "silu"], "output": "sigmoid", "loss": "squared_error"},
    {"sizes": [5, 6, 6, 3], "activation": [("leaky_relu", 0.2), ("elu", 0.7)], "output": "softplus"},
]
# Around the shortest batch that is trained this way, whole vectors and blocks, and longer than a chunk.
BATCHES = [47, 48, 63, 64, 257, 300, 9001]


def data(net: MLP, rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    n_in, n_out = net.spec.sizes[0], net.spec.sizes[-1]
    X = rng.standard_normal((rows, n_in)).astype(net.spec.dtype)
    y = rng.integers(0, n_out, rows) if "softmax" in net.spec.loss else rng.random((rows, n_out)).astype(net.spec.dtype)
    return X, y, rng.random(rows).astype(net.spec.dtype) + 0.1


@pytest.mark.parametrize("weighted", [False, True], ids=["even", "weighted"])
@pytest.mark.parametrize("rows", BATCHES)
@pytest.mark.parametrize("number", range(len(NETWORKS)))
def test_gradient(isa: str, dtype: str, number: int, rows: int, weighted: bool) -> None:
    with fastnn.gemm("own"):
        net, twin = (
            MLP(**NETWORKS[number], l2=0.01, seed=1, dtype=dtype, backend=b) for b in ("compiled", "reference")
        )
        X, y, weight = data(net, rows)
        arguments = (X, y, weight) if weighted else (X, y)
        loss, _ = net.loss_and_gradients(*arguments)
        expected, _ = twin.loss_and_gradients(*arguments)
        assert loss == pytest.approx(expected, rel=TOLERANCE[dtype])
        assert relative_error(net.gradients, twin.gradients) < TOLERANCE[dtype]


@pytest.mark.parametrize("number", range(len(NETWORKS)))
def test_fit_through_the_shuffled_index(isa: str, number: int) -> None:
    with fastnn.gemm("own"):
        losses = []
        for backend in ("compiled", "reference"):
            net = MLP(**NETWORKS[number], seed=1, dtype="float64", backend=backend)
            X, y, weight = data(net, 500)
            history = net.fit(X, y, optimizer=fastnn.Adam(0.01), epochs=3, batch_size=100, sample_weight=weight)
            losses.append(history.loss)
        np.testing.assert_allclose(*losses, rtol=1e-11)


@pytest.mark.parametrize("rows", [300, 9001])
def test_same_bits_for_any_number_of_threads(isa: str, dtype: str, rows: int) -> None:
    results = []
    for n_threads in (1, 2, 7):
        with fastnn.threads(n_threads), fastnn.gemm("own"):
            net = MLP([4, 32, 16, 4], activation="tanh", seed=1, dtype=dtype)
            X, y, _ = data(net, rows)
            net.fit(X, y, optimizer=fastnn.SGD(0.1, momentum=0.9), epochs=3, batch_size=None)
            results.append(net.parameters.copy())
    np.testing.assert_array_equal(results[1], results[0])
    np.testing.assert_array_equal(results[2], results[0])


def test_rows_of_padding_do_not_leak(isa: str) -> None:
    # The lanes behind the last row repeat it: an infinity or NaN anywhere else must not come from them.
    with fastnn.gemm("own"):
        net = MLP([2, 4, 1], activation="relu", seed=1)
        net.biases[0][...] = np.float32(3e38)
        net.weights[1][...] = 0
        X = np.full((49, 2), -1, np.float32)
        net.weights[0][...] = np.float32(1.5e38)  # x W + b = 0 for every row; a row of zeros would give 3e38
        loss, gradients = net.loss_and_gradients(X, np.ones((49, 1), np.float32))
        assert loss == pytest.approx(0.5)
        assert all(np.isfinite(g).all() for pair in gradients for g in pair)
