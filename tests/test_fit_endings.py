"""How a fit ends that is interrupted at any place, refused, or ended by several errors; and fits beside each other."""

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from typing import Any

import numpy as np
import pytest
from backends import on_both

from fastnn import MLP, SGD, Adam, Callback, EarlyStopping, History, fitting
from fastnn._claim import Claim


def _data(m: int = 12) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(m, 4)), rng.integers(0, 3, m)


def _net(backend: str = "compiled", **options: object) -> MLP:
    return MLP([4, 5, 3], output="softmax", dtype="float64", seed=3, backend=backend, **options)


class Nothing(Callback):
    def on_epoch_end(self, fit: object) -> None:
        pass


class Interruption:
    """Raises KeyboardInterrupt at the ``number``-th bytecode of the fit loop's own functions, as a signal would."""

    def __init__(self, number: int, names: set[str]) -> None:
        self.left, self.names = number, names

    def __call__(self, frame: FrameType, event: str, argument: object) -> Any:
        if frame.f_code.co_filename != fitting.__file__ or frame.f_code.co_name not in self.names:
            return None
        frame.f_trace_opcodes = True
        return self._step

    def _step(self, frame: FrameType, event: str, argument: object) -> Any:
        if event in ("opcode", "line"):  # some versions of Python leave opcodes out
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
        return self._step


@on_both
@pytest.mark.parametrize("validated", [True, False])
def test_ctrl_c_anywhere_leaves_a_history_that_fits_together(backend: str, validated: bool) -> None:
    X, y = _data()
    before, number = sys.gettrace(), 0
    while True:
        number += 1
        net, adam = _net(backend), Adam(0.01)
        first = net.fit(X, y, optimizer=adam, epochs=1)
        tracer = Interruption(number, {"_run", "_end", "run", "_length", "_segment", "_record", "_hooks", "_validate"})
        options: dict[str, Any] = {"validation_data": (X, y)} if validated else {}
        sys.settrace(tracer)
        try:
            net.fit(X, y, optimizer=adam, epochs=2, batch_size=6, callbacks=[Nothing()], **options)
        except KeyboardInterrupt:
            pass
        else:
            break  # the fit has fewer bytecodes than that
        finally:
            sys.settrace(before)
        history, state = net.history, adam.state(net)
        if history is first:
            assert (state.t, state.epoch) == (1, 1)  # before anything was done
            continue
        assert len(history.loss) == len(history.lr)
        assert [len(history.val_loss), len(history.val_accuracy)] == [len(history.loss) if validated else 0] * 2
        assert history.n_steps == state.t - 1
        assert state.epoch == 1 + history.n_steps // 2
        assert len(history.loss) <= history.n_steps // 2
    assert number > 100


# --- Two fits at a time -----------------------------------------------------------------------------------------------


def _in_a_thread(function: Callable[[], object]) -> BaseException | None:
    """The error that it ends with there."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).exception(60)


class Once(Callback):
    """Calls a function after the first epoch."""

    def __init__(self, function: Callable[[], object]) -> None:
        self.function = function

    def on_epoch_end(self, fit: Any) -> None:
        if fit.epoch == 1:
            self.function()


@on_both
def test_a_fit_beside_another_is_refused_and_changes_nothing(backend: str) -> None:
    def second() -> None:
        state = adam.state(net)
        before = net.history, net.parameters.copy(), state.snapshot.copy(), state.t
        refusals.append(_in_a_thread(lambda: net.fit(X, y, optimizer=adam)))
        assert net.history is before[0]
        np.testing.assert_array_equal(net.parameters, before[1])
        np.testing.assert_array_equal(state.snapshot, before[2])
        assert state.t == before[3]

    X, y = _data()
    net, adam, refusals = _net(backend), Adam(0.01), []
    history = net.fit(X, y, optimizer=adam, epochs=3, callbacks=[Once(second)])
    assert isinstance(refusals[0], RuntimeError)
    assert "another thread" in str(refusals[0])
    assert net.history is history
    assert _in_a_thread(lambda: net.fit(X, y, epochs=1)) is None  # the network is free again


@on_both
def test_a_fit_that_the_engine_refuses_leaves_the_history(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Busy:
        def __init__(self, engine: Any) -> None:
            self.parameters, self.gradients = engine.parameters, engine.gradients
            self.try_batch = engine.try_batch

        def run(self, *_: object) -> int:
            raise RuntimeError("this network is being trained or evaluated by another thread")

    X, y = _data()
    net = _net(backend)
    history = net.fit(X, y, epochs=1)
    monkeypatch.setattr(net, "_engine", Busy(net._engine))
    with pytest.raises(RuntimeError, match="another thread"):
        net.fit(X, y, epochs=1)
    assert net.history is history


@on_both
def test_a_fit_in_a_callback_leaves_the_history_of_the_outer_one(backend: str) -> None:
    X, y = _data()
    net = _net(backend)
    history = net.fit(X, y, epochs=3, callbacks=[Once(lambda: net.fit(X, y, epochs=1))])
    assert net.history is history
    assert len(history.loss) == 3


def test_the_reference_engine_refuses_a_second_thread() -> None:
    X, y = _data()
    net = _net("reference")
    with net._engine._claim:
        calls = [
            lambda: net.loss(X, y),
            lambda: net.loss_and_gradients(X, y),
            lambda: net.train_step(X, y, Adam()),
            lambda: net.fit(X, y),
            lambda: net.input_gradient(X, X[:, :3]),
        ]
        assert all("another thread" in str(_in_a_thread(call)) for call in calls)
        assert _in_a_thread(lambda: net.predict(X)) is None
    assert [_in_a_thread(call) for call in calls] == [None] * 5


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")
def test_a_claim_does_not_outlive_its_thread_in_a_fork() -> None:
    claim = Claim()
    with claim:

        def fork() -> int:
            child = os.fork()
            if not child:
                try:
                    with claim:
                        os._exit(0)
                finally:
                    os._exit(1)
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(fork).result(60) == 0


@on_both
def test_one_early_stopping_for_fits_beside_each_other(backend: str) -> None:
    """Each goes back to its own best parameters, though the other fit begins, trains and ends between its epochs."""
    X, y = _data()
    stopping, alone = EarlyStopping("loss", patience=1), EarlyStopping("loss", patience=1)
    options: dict[str, Any] = {"epochs": 4, "batch_size": 4}
    expected = [_net(backend), _net(backend, dropout=0.5)]
    histories = [net.fit(X, y, callbacks=[alone], optimizer=SGD(5.0), **options) for net in expected]
    one, other = _net(backend), _net(backend, dropout=0.5)
    inner: list[History] = []
    between = Once(lambda: inner.append(other.fit(X, y, optimizer=SGD(5.0), early_stopping=stopping, **options)))
    outer = one.fit(X, y, optimizer=SGD(5.0), callbacks=[stopping, between], **options)
    for history, found, net, wanted in zip(histories, (outer, inner[0]), (one, other), expected, strict=True):
        assert (found.loss, found.best_epoch) == (history.loss, history.best_epoch)
        np.testing.assert_array_equal(net.parameters, wanted.parameters)


# --- Several errors ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("errors", "wanted"),
    [
        ([ValueError("first"), ValueError("second")], "first"),
        ([ValueError("first"), KeyboardInterrupt("second")], "second"),
        ([KeyboardInterrupt("first"), SystemExit("second")], "first"),
    ],
)
def test_every_callback_hears_of_the_end(errors: list[BaseException], wanted: str) -> None:
    class Fail(Callback):
        def __init__(self, error: BaseException) -> None:
            self.error = error

        def on_fit_end(self, fit: Any) -> None:
            ends.append(fit.failed)
            raise self.error

    class End(Callback):
        def on_fit_end(self, fit: Any) -> None:
            ends.append(fit.failed)

    ends: list[bool] = []
    X, y = _data()
    net = _net()
    with pytest.raises(type(errors[0]) if wanted == "first" else type(errors[1]), match=wanted):
        net.fit(X, y, epochs=2, callbacks=[Fail(errors[0]), Fail(errors[1]), End()])
    assert ends == [False, True, True]
    assert len(net.history.loss) == 2
