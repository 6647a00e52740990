"""The floating-point environment: left as it was, followed by every pool thread; denormals are flushed or kept."""

import ctypes
import ctypes.util
import functools
import platform
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from backends import on_both
from layouts import good
from networks import HIDDEN
from opcases import CASES
from oprecord import special_values

import fastnn
from fastnn import MLP, SGD, Adam, kernels
from fastnn.engine import Engine

glibc_x86 = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64" or platform.libc_ver()[0] != "glibc",
    reason="reads the control word from glibc's fenv_t of x86-64",
)
# Bits of MXCSR: exceptions seen, denormals are zero, flush to zero.
SEEN, DAZ, FTZ = 0x3F, 1 << 6, 1 << 15
# Invalid, division by zero, overflow, underflow; Python's own arithmetic notes inexact results all the time.
NOTED = 0x1D
WORD = 7  # where fenv_t holds it, in words of 32 bits


@functools.cache
def libm() -> ctypes.CDLL:
    return ctypes.CDLL(ctypes.util.find_library("m"))


def environment() -> ctypes.Array:
    words = (ctypes.c_uint32 * 8)()
    libm().fegetenv(words)
    return words


def clear_noted() -> None:
    libm().feclearexcept(NOTED)


def control() -> int:
    return environment()[WORD] & ~SEEN


@contextmanager
def flushing() -> Iterator[None]:
    """Denormals are zero for this thread, as some libraries set it."""
    before = environment()
    words = environment()
    words[WORD] |= DAZ | FTZ
    libm().fesetenv(words)
    try:
        yield
    finally:
        libm().fesetenv(before)


@pytest.fixture(params=["flush", "keep"])
def mode(request: pytest.FixtureRequest) -> Iterator[str]:
    """Both treatments of denormals in turn."""
    with fastnn.denormals(request.param):
        yield request.param


def denormals(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    return (np.random.default_rng(1).uniform(0.1, 0.9, shape) * np.finfo(dtype).tiny).astype(dtype)


def copier(width: int, dtype: str) -> MLP:
    """A network whose outputs are its inputs."""
    net = MLP([width, width], dtype=dtype, init="zeros")
    np.fill_diagonal(net.weights[0], 1)
    return net


@glibc_x86
@pytest.mark.parametrize("name", CASES)
def test_ops_leave_the_control_word(name: str, isa: str, dtype: str) -> None:
    case, arguments = CASES[name], good(CASES[name], dtype)
    odd = next((key for key, a in arguments.items() if isinstance(a, np.ndarray) and a.dtype.kind == "f"), None)
    if odd is not None:  # with infinities, NaN and denormals there is something to note
        arguments[odd] = np.resize(special_values(dtype), arguments[odd].shape)
    before = control()
    assert not before & (DAZ | FTZ)
    clear_noted()
    case.run(kernels, arguments)
    assert control() == before
    assert not environment()[WORD] & NOTED


@glibc_x86
def test_networks_note_no_floating_point_exceptions(mode: str, dtype: str) -> None:
    X, y, adam = np.resize(special_values(dtype), (40, 6)), np.arange(40) % 3, Adam()
    net = MLP([6, 40, 3], "gelu", task="multiclass", dropout=0.3, l2=0.1, dtype=dtype, seed=0)
    good_X = np.random.default_rng(0).normal(size=X.shape).astype(dtype)
    net.fit(good_X, y, optimizer=adam, epochs=1)  # what Python and NumPy note is done
    engine, state = net._engine, adam.state(net)
    target, lr, losses = y.astype(np.intp), np.full(2, 0.1), np.empty(2)
    wide = np.resize([1e300, 1e-300, np.pi], X.shape)
    for call in (
        lambda: engine.predict(X),
        lambda: engine.activations(X),
        lambda: engine.input_gradient(X, X[:, :3].copy()),
        lambda: engine.loss(X, target, None),
        lambda: engine.loss_and_gradients(X, target, None),
        lambda: engine.train_step(good_X, target, None, state),
        lambda: engine.run(good_X, target, None, state, 20, True, 0, 0, lr, losses, False),
        lambda: engine.try_predict(wide, None),
        lambda: engine.try_batch(wide, y, None),
        lambda: engine.try_train_step(good_X, y.astype("i4"), np.linspace(1e-300, 1, 40), state),
    ):
        clear_noted()
        call()
        assert not environment()[WORD] & NOTED


@glibc_x86
def test_networks_leave_the_control_word(mode: str, isa: str, gemm: str, dtype: str) -> None:
    before = control()
    X = denormals((4000, 64), dtype)
    net = copier(64, dtype)
    with fastnn.threads(2):
        for _ in range(10):
            net.predict(X)
        assert control() == before
        for call in engine_calls(net._engine, X, SGD(0.1).state(net)).values():
            call()
            assert control() == before
        net.fit(X, X, epochs=2)
    assert control() == before


@glibc_x86
def test_pool_threads_follow_the_caller(isa: str, dtype: str) -> None:
    """Which thread has a task must not show, whatever another library has set on the caller."""
    X = denormals((4000, 64), dtype)
    net = copier(64, dtype)
    with fastnn.threads(2), fastnn.gemm("own"), fastnn.denormals("keep"):
        for _ in range(3):
            net.predict(X)  # the pool has a thread that does not flush
            with flushing():
                flushed = [net.predict(X) for _ in range(10)]
            # Looked at out here: while denormals are zero, they compare as zero.
            assert not any(y.any() for y in flushed)
            np.testing.assert_array_equal(net.predict(X), X)


@glibc_x86
@pytest.mark.parametrize("call", ["run", "loss"])
def test_signal_handlers_compute_as_the_caller_does(call: str) -> None:
    """One that is called from within a step, or between two, is Python code of the caller's."""
    net, steps, seen = MLP([64, 1024, 1024, 10], seed=0), 10**6, []
    rows = 200 if call == "run" else 50_000
    X, Y = np.ones((rows, 64), np.float32), np.ones((rows, 10), np.float32)
    state, lr, losses = SGD(1e-9).state(net), np.zeros(steps), np.full(steps, np.nan)

    def work() -> None:
        if call == "run":
            net._engine.run(X, Y, None, state, rows, False, 0, 0, lr, losses, False)
        while True:
            net._engine.loss(X, Y, None)

    def handler(*_: object) -> None:
        seen.append(control())
        if len(seen) == 2:  # the first comes back into the call, which flushes again
            raise InterruptedError

    before, usual = control(), signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)
    try:
        with pytest.raises(InterruptedError):
            work()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, usual)
    assert seen == [before, before]
    assert control() == before


# --- What is computed -------------------------------------------------------------------------------------------------


def engine_calls(engine: Engine, X: np.ndarray, state: object) -> dict[str, Callable[[], object]]:
    """Every call of an engine whose outputs are as many as its inputs."""
    lr, losses = np.full(2, 0.5), np.empty(2)

    def run() -> np.ndarray:
        engine.run(X, X, None, state, len(X), True, 0, 0, lr, losses, True)
        return losses

    return {
        "predict": lambda: engine.predict(X),
        "one row": lambda: engine.predict(X[0]),
        "activations": lambda: engine.activations(X)[0],
        "input_gradient": lambda: engine.input_gradient(np.ones_like(X), X),
        "loss": lambda: engine.loss(X, X, None),
        "loss_and_gradients": lambda: engine.loss_and_gradients(X, X, None),
        "train_step": lambda: engine.train_step(X, X, None, state),
        "run": run,
    }


@pytest.mark.parametrize("rows", [3, 64, 3000])
def test_networks_flush_denormals_or_keep_them(rows: int, mode: str, isa: str, gemm: str, dtype: str) -> None:
    """In every call, by whichever thread: as they come in, in between, and as they go out."""
    if gemm == "blas":
        rows = min(rows, 64)  # threads that BLAS has of its own, for more work, are not ours to set
    for width in (4, 64):  # narrow layers have a way of their own
        X, tiny = denormals((rows, width), dtype), np.finfo(dtype).tiny
        net, half, sgd = copier(width, dtype), copier(width, dtype), SGD(0.5, momentum=0.9)
        np.fill_diagonal(half.weights[0], 0.5)
        with fastnn.threads(2):
            for name in ("predict", "one row", "activations", "input_gradient", "loss_and_gradients"):
                # What comes in is denormal, or what goes out alone.
                for one, batch in ((net, X), (half, np.full_like(X, tiny))):
                    y = engine_calls(one._engine, batch, sgd.state(one))[name]()
                    if name == "loss_and_gradients":
                        if one is net:
                            continue  # it has its targets for outputs
                        y = -one.gradients[-width:]  # of the biases
                    assert np.all(y == 0) if mode == "flush" else np.all((y > 0) & (y < tiny)), name


@pytest.mark.parametrize("rows", [8, 64])
@pytest.mark.parametrize("call", ["train_step", "fit"])
def test_what_decays_ends_at_zero_or_among_the_denormals(call: str, rows: int, mode: str, isa: str, dtype: str) -> None:
    """Moments of a gradient that has gone."""
    net, sgd = MLP([3, 5, 2], "relu", dtype=dtype, seed=0), SGD(1e-3, momentum=0.5)
    net.parameters[...] = 0
    slots, X, Y = sgd.state(net).slots, np.zeros((rows, 3), dtype), np.zeros((rows, 2), dtype)
    slots[...] = 4 * np.finfo(dtype).tiny
    if call == "fit":
        net.fit(X, Y, epochs=4, optimizer=sgd, batch_size=None)
    else:
        for _ in range(4):
            net.train_step(X, Y, sgd)
    small = (slots != 0) & (np.abs(slots) < np.finfo(dtype).tiny)
    assert not slots.any() if mode == "flush" else small.all()


def half_denormal(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Every second number, more or less: ordinary ones beside denormals of both signs, in rows and vectors."""
    rng = np.random.default_rng(2)
    small = denormals(shape, dtype) * rng.choice(np.array([-1, 1], dtype), shape)
    return np.where(rng.random(shape) < 0.5, small, rng.standard_normal(shape).astype(dtype))


@pytest.mark.parametrize("sizes", [(4, 8, 3), (40, 100, 70, 10)], ids=["narrow", "wide"])
def test_same_bits_with_denormals(sizes: tuple[int, ...], mode: str, isa: str, dtype: str) -> None:
    """Of training for any number of threads, of a row in any batch."""
    X, y = half_denormal((1500, sizes[0]), dtype), np.arange(1500) % sizes[-1]

    def trained(n_threads: int, activation: object) -> list[np.ndarray]:
        net, adam = MLP(sizes, activation, output="softmax", l2=0.1, dtype=dtype, seed=0), Adam(0.01)
        for parameters in (*net.weights, *net.biases):
            parameters[...] = half_denormal(parameters.shape, dtype)
        adam.state(net).slots[...] = np.abs(half_denormal(adam.state(net).slots.shape, dtype))
        with fastnn.threads(n_threads):
            history = net.fit(X, y, optimizer=adam, epochs=1, batch_size=500)
            whole = net.predict(X)
        for rows in (slice(7, 8), slice(31, 64), slice(1, 1200)):
            np.testing.assert_array_equal(net.predict(X[rows]), whole[rows], strict=True)
        return [net.parameters.copy(), adam.state(net).slots.copy(), np.array(history.loss), whole]

    with fastnn.gemm("own"):
        for activation in HIDDEN:
            want = trained(1, activation)
            assert np.isfinite(want[0]).all()
            for n_threads in (2, 3):
                for got, wanted in zip(trained(n_threads, activation), want, strict=True):
                    assert got.tobytes() == wanted.tobytes(), activation


def test_kernels_and_reference_keep_denormals(isa: str, dtype: str) -> None:
    X, eye = denormals((40, 8), dtype), np.eye(8, dtype=dtype)
    net = MLP([8, 8], dtype=dtype, init="zeros", backend="reference")
    np.fill_diagonal(net.weights[0], 1)
    with fastnn.denormals("flush"):
        assert not copier(8, dtype).predict(X).any()
        for y in (net.predict(X), kernels.relu_forward(X), kernels.affine_forward(X, eye, None)):
            np.testing.assert_array_equal(y, X)


@on_both
def test_no_floating_point_errors_are_reported(backend: str, dtype: str) -> None:
    """With every error an exception: results that overflow or underflow show in the numbers alone."""
    values = special_values(dtype)
    odd = np.resize(values, (40, 6))
    small = np.resize(np.array([np.finfo(dtype).smallest_subnormal, np.finfo(dtype).tiny, 0, 1e-30], dtype), (40, 6))
    large = np.full((40, 6), np.finfo(dtype).max / 4, dtype)
    smaller = np.full((40, 6), 1e-300)  # float32 has no such number
    y = np.arange(40) % 3
    with np.errstate(all="raise"):
        for activation in ("sigmoid", "tanh", "relu", "gelu", "softmax", "elu"):
            net = MLP([6, 5, 3], activation, task="multiclass", seed=0, dtype=dtype, backend=backend, l2=0.1)
            for X in (odd, small, large):
                net.predict(X)
                net.activations(X)
            for X in (small, smaller):
                assert np.isfinite(net.loss(X, y))
                assert np.isfinite(net.train_step(X, y, Adam(), np.resize([1.0, 1e-300], 40)))
                history = net.fit(X, y, epochs=2, batch_size=7, optimizer=SGD(1e-30, momentum=0.9))
                assert np.isfinite(history.loss).all()
        if backend == "compiled":
            for name, case in CASES.items():
                getattr(kernels, name)(**good(case, dtype))
