"""Our own two backends, and the matrix products alone."""

from functools import partial

import numpy as np
from workloads import Product, Workload

import fastnn
from fastnn import kernels
from fastnn.bench import PLAIN, plain_predict
from peers.contender import Call, Contender, Learner


def products(workload: Workload, dtype: str) -> Contender:
    """The matrix products of a step and nothing else, into buffers, by NumPy's BLAS."""
    rng = np.random.default_rng(0)

    def numbers(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, np.float32).astype(dtype)

    jobs: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for k, (i, o) in enumerate(workload.layers):
        X, W, d = numbers(workload.batch, i), numbers(i, o), numbers(workload.batch, o)
        jobs += [(X, W, np.empty_like(d)), (X.T, d, np.empty_like(W))]
        if k:
            jobs.append((d, W.T, np.empty_like(X)))

    def call() -> None:
        for a, b, out in jobs:
            np.matmul(a, b, out=out)

    return Contender(call)


def our_product(product: Product, x: np.ndarray, W: np.ndarray, dY: np.ndarray, out: np.ndarray) -> Call:
    """By `fastnn.kernels`: forward with its bias, gradients alone."""
    if product.name == "forward":
        return partial(kernels.affine_forward, x, W, np.zeros(product.O, W.dtype), out=out)
    wanted, other = ("dx", "dw") if product.name == "input gradient" else ("dw", "dx")
    return partial(kernels.affine_backward, dY, x, W, dY, **{wanted: out, other: False}, db=False)


def product(product: Product, x: np.ndarray, W: np.ndarray, dY: np.ndarray, out: np.ndarray) -> Call:
    """By the BLAS that NumPy has."""
    return partial(np.matmul, *product.factors(x, W, dY), out=out)


def our_step(workload: Workload, dtype: str, backend: str = "compiled") -> Contender:
    """`MLP.train_step`."""
    net, optimizer = workload.network(dtype, backend), workload.optimizer()
    call = partial(net.train_step, *workload.data(dtype), optimizer)
    return Contender(call, losses=tuple(call() for _ in range(3)))


def our_predict(workload: Workload, net: fastnn.MLP, X: np.ndarray) -> Call:
    """`MLP.predict` into a buffer."""
    return partial(net.predict, X, np.empty((len(X), net.sizes[-1]), np.float32))


def numpy_predict(workload: Workload, net: fastnn.MLP, X: np.ndarray) -> Call:
    """NumPy as one writes it for speed: every result has its buffer."""
    return plain_predict(net, X)


def our_learner(net: fastnn.MLP, X: np.ndarray, y: np.ndarray, batch: int, rate: float, seed: int) -> Learner:
    """`MLP.fit`, an epoch a call; the optimiser goes on where it stopped. The order of rows has the network's seed."""
    optimizer = fastnn.Adam(rate)
    epoch = partial(net.fit, X, y, optimizer=optimizer, epochs=1, batch_size=batch)
    return Learner(epoch, lambda rows: net.predict(rows).argmax(axis=1))


def our_op(op: str, z: np.ndarray) -> Call:
    """An activation into a buffer."""
    return partial(getattr(kernels, f"{op}_forward"), z, out=np.empty_like(z))


def numpy_op(op: str, z: np.ndarray) -> Call:
    """An activation as one writes it for speed, into a buffer."""
    return partial(_silu if op == "silu" else PLAIN[op], z, np.empty_like(z))


def _silu(z: np.ndarray, out: np.ndarray) -> np.ndarray:
    return np.multiply(PLAIN["sigmoid"](z, out), z, out=out)


def our_adam(p: np.ndarray, g: np.ndarray) -> Call:
    """In place; the first two steps are made."""
    m, v = np.zeros_like(p), np.zeros_like(p)
    for t in (1, 2):
        kernels.adam_update(p, g, m, v, 1e-3, t)
    return lambda: kernels.adam_update(p, g, m, v, 1e-3, 3)
