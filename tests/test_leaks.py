"""A hundred thousand calls leave no memory behind: neither Python objects nor what C code allocated; nor do errors."""

import gc
import sys
import tracemalloc
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from layouts import good
from opcases import CASES

from fastnn import MLP, Adam, kernels

CALLS = 100_000
# Half a byte a call is less than anything that could be forgotten in each.
MOST = CALLS // 2


def resident() -> int:
    """Bytes of memory in use by this process."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


def repeat(calls: list[Callable[[], object]], count: int) -> None:
    for _ in range(count // len(calls)):
        for call in calls:
            call()


def traced() -> int:
    """Bytes of memory that Python handed out while tracemalloc looked."""
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def growth(calls: list[Callable[[], object]], count: int, bound: int, measure: Callable[[], int]) -> int:
    """By how much `count` calls raise what is measured: the least of four, for free lists and allocators fill once."""
    least = sys.maxsize
    for _ in range(4):
        before = measure()
        repeat(calls, count)
        least = min(least, measure() - before)
        if least <= bound:
            break
    return least


def assert_no_leak(calls: list[Callable[[], object]], times: int = 1) -> None:
    repeat(calls, times * CALLS // 20)  # caches, workspaces and free lists fill
    if sys.platform == "linux":
        assert growth(calls, times * CALLS, 2 * MOST, resident) <= 2 * MOST
    tracemalloc.start()
    try:
        assert growth(calls, CALLS // 10, MOST // 10, traced) <= MOST // 10
    finally:
        tracemalloc.stop()


def refused(call: Callable[[], object]) -> Callable[[], object]:
    def catch() -> None:
        try:
            call()
        except (TypeError, ValueError):
            return
        pytest.fail("was accepted")

    return catch


def test_kernels() -> None:
    calls: list[Callable[[], object]] = []
    for name, case in CASES.items():
        arguments = good(case, "float32")
        calls.append(partial(getattr(kernels, name), **arguments))
        without = {key: value for key, value in arguments.items() if key not in case.outputs}
        calls.append(partial(getattr(kernels, name), **without))
    assert_no_leak(calls, times=10)  # each op has only its share


def test_kernels_that_refuse() -> None:
    calls = []
    for name, case in CASES.items():
        arguments = good(case, "float32")
        last = [key for key, value in arguments.items() if isinstance(value, np.ndarray)][-1]
        calls.append(refused(partial(getattr(kernels, name), **{**arguments, last: [1.0]})))
    assert_no_leak(calls, times=10)  # each op has only its share


def test_networks() -> None:
    net, adam = MLP([6, 9, 3], task="multiclass", seed=0), Adam()
    X, y = np.ones((8, 6), np.float32), np.zeros(8, np.intp)
    large = np.ones((600, 6), np.float32)  # its intermediate outputs do not fit the stack
    assert_no_leak(
        [
            lambda: net.train_step(X, y, adam),
            lambda: net.train_step(X.tolist(), y, adam),
            lambda: net.predict(X),
            lambda: net.predict(X[0]),
            lambda: net.predict(large),
            lambda: net.activations(X),
            lambda: net.loss(X, y),
            lambda: net.loss_and_gradients(X, y),
            lambda: net.input_gradient(X, np.ones((8, 3))),
            refused(lambda: net.train_step(X, y + 3, adam)),
            refused(lambda: net.predict(X[:, :2])),
            refused(lambda: net.loss(X, y, X)),
        ]
    )


def test_networks_that_come_and_go() -> None:
    X, y = np.ones((70, 6), np.float32), np.ones((70, 3), np.float32)
    adam = Adam()

    def whole_life() -> None:
        net = MLP([6, 9, 3], dropout=0.5, seed=0)
        net.fit(X, y, epochs=1, batch_size=50, optimizer=adam)
        net.input_gradient(X, y)

    # Some hundred times the work of a call.
    assert_no_leak([whole_life, *[lambda: None] * 99])
