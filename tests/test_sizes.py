"""Sizes beyond 32-bit integers and beyond memory: a clear error before anything is copied, or the right result.

Large arrays here are views of one number, or zeros that were never written: they take addresses, but no memory.
"""

import math
import tracemalloc

import numpy as np
import pytest
from backends import on_both

from fastnn import MLP, SGD, kernels

# One more than what BLAS's integers count, and a few.
BEYOND = 2**31 + 17


def repeated(*shape: int) -> np.ndarray:
    """One zero, seen `shape` times."""
    return np.broadcast_to(np.float64(0), shape)


def zeros(*shape: int) -> np.ndarray:
    """Zeros that take memory only where they are written."""
    try:
        return np.zeros(shape, np.float32)
    except MemoryError:
        pytest.skip("this machine does not hand out so many addresses")


# --- Refused ----------------------------------------------------------------------------------------------------------


@on_both
def test_shapes_are_checked_before_a_copy_is_made(backend: str) -> None:
    net = MLP([3, 2], seed=0, backend=backend, loss="squared_error")
    one = MLP([3, 1], seed=0, backend=backend)
    labels = MLP([3, 2], seed=0, backend=backend, task="multiclass")
    X, y = np.ones((4, 3)), np.ones((4, 2))
    n = 2**45
    calls = [
        (lambda: net.predict(repeated(n, 5)), rf"X: wanted shape .*got \({n}, 5\)"),
        (lambda: net.activations(repeated(n)), rf"X: wanted shape .*got \({n},\)"),
        (lambda: net.jacobian(repeated(2, n, 3)), rf"X: wanted shape .*got \(2, {n}, 3\)"),
        (lambda: net.input_gradient(X, repeated(n, 2)), rf"dY: wanted shape .*got \({n}, 2\)"),
        (lambda: net.fit(repeated(n, 5), y), rf"X: wanted shape .*got \({n}, 5\)"),
        (lambda: net.fit(X, repeated(n, 2)), rf"y: wanted shape .*got \({n}, 2\)"),
        (lambda: one.train_step(X, repeated(n), SGD(0.1)), rf"y: wanted shape .*got \({n},\)"),
        (lambda: labels.loss(X, np.broadcast_to(np.int8(0), n)), rf"y: wanted 4 labels, .*got {n}"),
        (lambda: net.loss(X, y, repeated(n)), rf"sample_weight: wanted shape .*got \({n},\)"),
        (lambda: net.fit(X, y, validation_data=(repeated(n, 2), y)), rf"validation X: wanted shape .*got \({n}, 2\)"),
    ]
    before = net.parameters.copy()
    tracemalloc.start()
    try:
        for call, message in calls:
            with pytest.raises(ValueError, match=message):
                call()
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(net.parameters, before)


@on_both
def test_what_memory_cannot_hold_is_a_memory_error(backend: str) -> None:
    net = MLP([3, 2], seed=0, backend=backend)
    for call in (lambda: net.predict(repeated(2**45, 3)), lambda: net.fit(repeated(2**45, 3), np.ones((4, 2)))):
        with pytest.raises(MemoryError):
            call()
    assert np.isfinite(net.predict(np.ones((2, 3)))).all()


@on_both
@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ([2**30, 2**30], r"sizes: \[1073741824, 1073741824\] makes more than 2\*\*60 parameters"),
        ([2**62, 2**62, 2**62], r"sizes: .*more than 2\*\*60 parameters"),
        ([2**29, 2**29], "sizes|allocate"),
        ([2**50, 1], "sizes: wanted layers whose size fits BLAS's integers|allocate"),
        ([1, 2**50], "sizes: wanted layers whose size fits BLAS's integers|allocate"),
    ],
)
def test_networks_that_are_too_large(backend: str, dtype: str, sizes: list[int], message: str) -> None:
    with pytest.raises((ValueError, MemoryError), match=message):
        MLP(sizes, backend=backend, dtype=dtype, init="zeros")


# --- Computed ---------------------------------------------------------------------------------------------------------


def test_empty_arrays_with_a_long_axis() -> None:
    for shape in ((BEYOND, 0), (0, BEYOND), (2**40, 0), (0, 2**40)):
        z = np.zeros(shape, np.float32)
        for name in ("relu", "tanh", "softmax"):
            y = getattr(kernels, f"{name}_forward")(z)
            assert y.shape == getattr(kernels, f"{name}_backward")(z, y).shape == shape
        assert kernels.dropout_forward(z, 0.5, 1).shape == shape
        kernels.sgd_update(np.zeros(shape, np.float32), z, 0.1)
    assert kernels.random_words(BEYOND, 0, 1).shape == (BEYOND, 0)
    assert kernels.affine_forward(zeros(BEYOND, 0), zeros(0, 0), None).shape == (BEYOND, 0)
    assert kernels.affine_forward(zeros(3, 0), zeros(0, 4), None).shape == (3, 4)


def test_a_sum_longer_than_blas_can_count(gemm: str) -> None:
    """With BLAS asked for, the product has to go another way; an index of 32 bits would miss the last elements."""
    if gemm == "own":
        pytest.skip("what BLAS cannot count is its work in both cases")
    x, w = zeros(1, BEYOND), zeros(BEYOND, 1)
    x[0, 5], w[5], x[0, -1], w[-1] = 2, 3, 5, 7
    assert kernels.affine_forward(x, w, None)[0, 0] == 41


def test_losses_of_a_row_longer_than_32_bits() -> None:
    z, target = zeros(1, BEYOND), zeros(1, BEYOND)
    z[0, 5], z[0, -1], target[0, -1] = 2, 30, 27
    assert kernels.squared_error(z, target, dy=False)[0] == 0.5 * (2**2 + 3**2)
    # A label whose index is cut off would find a zero, and a loss of 30.
    loss = kernels.softmax_cross_entropy(z, np.array([BEYOND - 1]), dz=False)[0]
    assert loss == pytest.approx(math.log1p((BEYOND - 2) / math.exp(30)), abs=1e-3)


def test_a_batch_longer_than_32_bits(gemm: str) -> None:
    n, width = 2**21 + 1, 1024
    X = zeros(n, width)
    assert X.size > 2**31
    X[0], X[-2], X[-1] = 1, 2, 3
    net = MLP([width, 1], init=("constant", 1.0))
    y = net.predict(X).ravel()
    np.testing.assert_array_equal(y[[0, 1, -3, -2, -1]], [1024, 0, 0, 2048, 3072])
    assert np.count_nonzero(y) == 3
    # The steps: dW = X' y / n, the same for every weight.
    target = np.zeros((n, 1), np.float32)
    target[0], target[-2], target[-1] = 1024, 2048, 3072 - n
    assert net.train_step(X, target, SGD(0.5)) == pytest.approx(0.5 * n)
    np.testing.assert_allclose(net.weights[0], 1 - 0.5 * 3, rtol=1e-5)
    np.testing.assert_allclose(net.biases[0], -0.5, rtol=1e-5)
