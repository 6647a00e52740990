"""Arguments that lie about themselves, or do something to others while they are converted: an error, never a crash."""

import re
import subprocess
import sys

import numpy as np
import pytest

from fastnn import MLP, SGD, Adam, Callback, _core, kernels, threads


class Larger(np.ndarray):
    """Says that it is larger than it is."""

    shape = property(lambda self: (64, 64))  # type: ignore[assignment]


class Agreeable(np.ndarray):
    """Every comparison says that all is well."""

    def __lt__(self, other: object) -> np.ndarray:
        return np.zeros(len(self), bool)

    __ge__ = __lt__


def test_subclasses_are_not_asked() -> None:
    x = np.ones((64, 64))
    with pytest.raises(ValueError, match=re.escape("out: wanted shape (64, 64), got (1, 1)")):
        kernels.affine_forward(x, x, None, out=np.zeros((1, 1)).view(Larger))
    labels = np.array([0, 10**12, 1]).view(Agreeable)
    with pytest.raises(ValueError, match="target: wanted labels 0 to 3, got 1000000000000 in row 1"):
        kernels.softmax_cross_entropy(np.zeros((3, 4)), labels)
    with pytest.raises(ValueError, match="sample_weight: wanted weights >= 0"):
        kernels.squared_error(np.zeros((3, 4)), np.zeros((3, 4)), -np.ones(3).view(Agreeable))


def test_what_the_engine_holds_cannot_be_resized() -> None:
    net, adam = MLP([3, 4, 2], seed=0), Adam()
    state = adam.state(net)
    for array in (net.parameters, net.gradients, state.slots, state.counter, state.snapshot):
        with pytest.raises(ValueError, match="does not own its data"):
            array.resize(0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_the_engine_holds_starts_with_a_cache_line(dtype: str) -> None:
    for width in (3, 5, 48, 300):  # so many that not all lie there by chance
        net, adam = MLP([width, width, 2], dtype=dtype), Adam()
        state = adam.state(net)
        for array in (net.parameters, net.gradients, state.slots):
            assert array.ctypes.data % 64 == 0


def test_an_optimizer_state_that_does_not_fit_is_refused() -> None:
    X, Y, adam = np.ones((4, 3)), np.ones((4, 2)), Adam()
    net = MLP([3, 4, 2])
    net.train_step(X, Y, adam)
    net.__init__([3, 4, 2], dtype="float64")  # type: ignore[misc]
    with pytest.raises(ValueError, match=re.escape("state.slots: wanted float64 (2, 26), got float32 (2, 26)")):
        net.fit(X, Y, optimizer=adam)
    other = MLP([3, 4, 2], dtype="float64", seed=1)
    state = adam.state(other)
    object.__setattr__(state, "slots", np.zeros((0, 26)))
    with pytest.raises(ValueError, match=re.escape("state.slots: wanted float64 (2, 26), got float64 (0, 26)")):
        other.train_step(X, Y, adam)
    object.__setattr__(state, "slots", np.zeros((26, 2)).T)
    with pytest.raises(ValueError, match=re.escape("float64 (2, 26), not writable, aligned and C-contiguous")):
        other.train_step(X, Y, adam)


@pytest.mark.parametrize("batch", [-(10**6), 10**6])
def test_a_callback_cannot_lead_outside_the_data(batch: int) -> None:
    class Leads(Callback):
        def on_batch_end(self, fit: object) -> None:
            fit.batch = batch  # type: ignore[attr-defined]

    with pytest.raises(ValueError, match=f"batch: wanted 0 to 9, got {batch}"):
        MLP([4, 3]).fit(np.ones((100, 4)), np.ones((100, 3)), batch_size=10, callbacks=[Leads()])


def test_numbers_are_converted_before_arrays_are_looked_at() -> None:
    class Frees:
        def __float__(self) -> float:
            x.resize((0, 0), refcheck=False)
            return 0.5

    x = np.full((20, 20), 0.5)
    with pytest.raises(ValueError, match="shape"):
        kernels.affine_forward(x, np.ones((20, 20)), None, "leaky_relu", alpha=Frees())
    x = np.full((20, 20), 0.5)
    with pytest.raises(ValueError, match="row"):
        kernels.kl_sparsity(x, Frees(), 1.0)


def test_steps_are_integers() -> None:
    with pytest.raises(TypeError, match="step: wanted an integer"):
        MLP([2, 1]).loss(np.ones((3, 2)), np.ones(3), step=1.5)  # type: ignore[arg-type]
    p = np.zeros(3)
    with pytest.raises(ValueError, match="t: wanted at most"):
        kernels.adam_update(p, p + 1, p.copy(), p.copy(), 0.1, t=2**70)


def test_threads_takes_numpy_integers() -> None:
    for n in (3, 1):
        with threads(np.int64(n)):  # type: ignore[arg-type]
            assert _core.num_threads() == n


def test_weights_whose_sum_is_no_number() -> None:
    """The cost says so, and nothing is trained."""
    net = MLP([3, 2], dtype="float64", seed=0)
    before, X, Y = net.parameters.copy(), np.ones((64, 3)), np.ones((64, 2))
    assert np.isnan(net.train_step(X, Y, SGD(0.1), np.full(64, 1e307)))
    np.testing.assert_array_equal(net.parameters, before)


CHANGED_LABELS = """
import threading, time
import numpy as np
from fastnn import MLP, SGD, kernels

X, y, z = np.zeros((20_000, 8), np.float32), np.zeros(20_000, np.intp), np.zeros((20_000, 50), np.float32)
net, sgd, done = MLP([8, 50], output="softmax", seed=0), SGD(0.1), False

def change():
    while not done:
        y[:] = 2**40
        y[:] = 0

thread = threading.Thread(target=change)
thread.start()
end, calls = time.monotonic() + 1, 0
while time.monotonic() < end or calls < 10:
    for call in (lambda: net.train_step(X, y, sgd), lambda: kernels.softmax_cross_entropy(z, y)):
        try:
            call()
            calls += 1
        except ValueError:  # seen in time
            pass
done = True
thread.join()
print("fine")
"""


def test_labels_that_another_thread_writes_are_no_addresses() -> None:
    """Between the check of them and their use they may have become anything."""
    done = subprocess.run(
        [sys.executable, "-c", CHANGED_LABELS], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout) == (0, "fine\n"), done.stderr
