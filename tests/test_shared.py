"""Networks, optimisers and settings that several threads, or a signal handler, use at the same time."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from backends import on_both
from fits import small_network

from fastnn import MLP, SGD

SECONDS = 1.0
unix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX timers")


@pytest.fixture
def eager() -> Iterator[None]:
    """Threads take turns after a few instructions instead of 5 ms."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def meanwhile(*works: Callable[[], object]) -> int:
    """How often the first work is done while threads do the others; the first error of any is raised."""
    errors, done = [], threading.Event()

    def repeat(work: Callable[[], object]) -> None:
        try:
            while not done.is_set():
                work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=repeat, args=[work]) for work in works[1:]]
    for thread in threads:
        thread.start()
    end, count = time.monotonic() + SECONDS, 0
    try:
        while time.monotonic() < end and not errors:
            works[0]()
            count += 1
    finally:
        done.set()
        for thread in threads:
            thread.join()
    if errors:
        raise errors[0]
    return count


CHANGED_THREADS = """
import sys, threading, time
import numpy as np
import fastnn
sys.setswitchinterval(1e-6)
X, Y, done = np.zeros((4096, 20), np.float32), np.ones((4096, 4), np.float32), False

def change():
    while not done:
        with fastnn.threads(64):
            sum(range(20))
        with fastnn.threads(1):
            pass

thread = threading.Thread(target=change)
thread.start()
end = time.monotonic() + 3
while time.monotonic() < end:
    fastnn.MLP([20, 4, 4], seed=0).train_step(X, Y, fastnn.SGD(1e-3))
done = True
thread.join()
print("fine")
"""


def test_threads_set_by_another_thread_during_a_step() -> None:
    """The room that a step plans is for the threads that it has, not for those of a moment later."""
    command = [sys.executable, "-c", CHANGED_THREADS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, "fine\n"), done.stderr


def test_a_network_saved_while_it_trains_can_be_loaded(tmp_path: Path) -> None:
    pytest.importorskip("safetensors", reason="safetensors is not installed")
    X, y = np.random.default_rng(0).normal(size=(512, 20)), np.arange(512) % 3
    net, path = MLP([20, 200, 200, 3], output="softmax", seed=0), tmp_path / "net"

    def save() -> None:
        net.save(path)
        assert np.isfinite(MLP.load(path).parameters).all()

    assert meanwhile(save, lambda: net.fit(X, y, epochs=3, batch_size=32)) > 0


def test_steps_with_two_optimizers_count_apart(eager: None) -> None:
    X, Y, net = np.ones((4, 3), "float32"), np.ones((4, 2), "float32"), small_network("compiled")
    optimizers, counts = (SGD(0.0), SGD(0.0)), [0, 0]

    def step(i: int) -> None:
        try:
            net.train_step(X, Y, optimizers[i])
            counts[i] += 1
        except RuntimeError:  # the other one was training
            pass

    meanwhile(lambda: step(0), lambda: step(1))
    assert [optimizer.state(net).t for optimizer in optimizers] == counts


def test_an_optimizer_may_be_set_while_others_use_it(eager: None) -> None:
    X, Y, sgd = np.ones((4, 3), "float32"), np.ones((4, 2), "float32"), SGD(0.1)
    kept = [small_network("compiled", seed=i) for i in range(300)]
    for net in kept:
        sgd.state(net)

    def change() -> None:
        sgd.lr = 0.2
        sgd.reset(kept[0])

    meanwhile(change, *[lambda: small_network("compiled").train_step(X, Y, sgd)] * 2)
    assert {float(sgd.state(net).hyper[0]) for net in kept} == {0.2}


def test_a_network_has_one_state_for_all_threads(eager: None) -> None:
    sgd = SGD(0.1)

    def ask() -> None:
        net, states, ready = small_network("compiled"), [], threading.Barrier(2)

        def first() -> None:
            ready.wait()
            states.append(sgd.state(net))

        threads = [threading.Thread(target=first) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert states[0] is states[1]

    meanwhile(ask)


class LateError(ValueError):
    pass


@unix
@pytest.mark.parametrize("call", ["train_step", "predict"])
def test_an_error_of_a_signal_handler_is_passed_on(call: str) -> None:
    """Also one of the class that arrays are refused with."""

    class Rows(np.ndarray):
        """Wants to be converted."""

    def late(*_: object) -> None:
        raise LateError

    net, sgd = MLP([100, 1000, 1000, 10], seed=0), SGD(1e-6)
    X, Y = np.ones((60_000, 100), "float32"), np.zeros((60_000, 10), "float32")
    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        with pytest.raises(LateError):
            net.train_step(X, Y, sgd) if call == "train_step" else net.predict(X.view(Rows))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert sgd.state(net).t == 0


@on_both
def test_a_run_leaves_the_rate_to_the_optimizer(backend: str) -> None:
    """It is given its rates: one that is set meanwhile, as by a signal handler, must stay."""
    net, sgd = small_network(backend), SGD(0.1)
    X, Y, losses = np.ones((4, 3), "float32"), np.ones((4, 2), "float32"), np.empty(2)
    net._engine.run(X, Y, None, sgd.state(net), 4, False, 0, 0, np.array([0.2, 0.3]), losses, False)
    assert sgd.state(net).hyper[0] == 0.1
    assert np.isfinite(losses).all()
