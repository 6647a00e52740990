"""Callbacks of a fit: when they are called, early stopping, progress, and what an exception in one leaves."""

import sys

import numpy as np
import pytest
from backends import on_both
from fits import Recorder, data, network

from fastnn import MLP, SGD, Adam, Callback, EarlyStopping, ProgressBar

RNG = np.random.default_rng


# --- Early stopping ---------------------------------------------------------------------------------------------------


class SetParameters(Callback):
    """Writes known numbers into the network behind each epoch, and keeps what the epoch left."""

    def __init__(self) -> None:
        self.kept = []

    def on_epoch_end(self, fit: object) -> None:
        self.kept.append(fit.net.parameters.copy())


@on_both
def test_early_stopping_restores_the_best(backend: str) -> None:
    X, y = data(30)
    Xv, yv = RNG(9).normal(size=(30, 4)), RNG(9).integers(0, 3, 30)  # cannot be learnt: the loss rises soon
    net, record = network(backend), SetParameters()
    stopping = EarlyStopping(patience=4, min_delta=1e-3)
    history = net.fit(
        X, y, optimizer=Adam(0.05), epochs=200, validation_data=(Xv, yv), early_stopping=stopping, callbacks=[record]
    )
    best = history.best_epoch
    assert len(history.loss) == len(history.val_loss) < 200
    assert len(history.loss) == best + 1 + 4
    assert min(history.val_loss) > history.val_loss[best] - 1e-3
    np.testing.assert_array_equal(net.parameters, record.kept[best])
    assert net.loss(Xv, yv) == pytest.approx(history.val_loss[best], rel=1e-12)


@on_both
def test_early_stopping_without_restoring_and_on_other_numbers(backend: str) -> None:
    X, y = data(30)
    net, record = network(backend), SetParameters()
    stopping = EarlyStopping("loss", patience=1, min_delta=10.0, restore_best=False)
    history = net.fit(X, y, epochs=50, early_stopping=stopping, callbacks=[record])
    assert len(history.loss) == 2
    assert history.best_epoch is None
    np.testing.assert_array_equal(net.parameters, record.kept[-1])
    rising = network(backend).fit(
        X, y, optimizer=Adam(0.05), epochs=40, validation_data=(X, y), early_stopping=EarlyStopping("val_accuracy", 40)
    )
    assert rising.best_epoch == int(np.argmax(rising.val_accuracy)) > 0


@on_both
def test_restored_also_where_the_epochs_run_out(backend: str) -> None:
    X, y = data(30)
    net = network(backend)
    Xv, yv = RNG(9).normal(size=(30, 4)), RNG(9).integers(0, 3, 30)
    history = net.fit(
        X, y, optimizer=Adam(0.1), epochs=30, validation_data=(Xv, yv), early_stopping=EarlyStopping(patience=99)
    )
    assert len(history.loss) == 30
    assert net.loss(Xv, yv) == pytest.approx(min(history.val_loss), rel=1e-12)


# --- Callbacks and progress -------------------------------------------------------------------------------------------


@on_both
def test_callbacks_are_called_in_order(backend: str) -> None:
    X, y = data(10)
    recorder = Recorder()
    network(backend).fit(X, y, epochs=2, batch_size=5, callbacks=[recorder])
    first = [("batch", 0, 1), ("batch", 1, 0), ("epoch", 1)]
    second = [("batch", 1, 1), ("batch", 2, 0), ("epoch", 2)]
    assert recorder.calls == [("begin", 2, 2, 10), *first, *second, ("end", False)]


@on_both
def test_a_callback_may_stop_and_set_the_rate(backend: str) -> None:
    class Halve(Callback):
        def on_epoch_end(self, fit: object) -> None:
            fit.optimizer.lr /= 2
            if fit.epoch == 4:
                fit.stop()

    X, y = data()
    history = network(backend).fit(X, y, optimizer=SGD(0.8), epochs=100, callbacks=[Halve()])
    assert history.lr == [0.8, 0.4, 0.2, 0.1]


@on_both
@pytest.mark.parametrize("hook", ["on_fit_begin", "on_batch_end", "on_segment_end", "on_epoch_end", "on_fit_end"])
def test_an_exception_in_a_callback_leaves_network_and_history(backend: str, hook: str) -> None:
    calls = []

    def fail(self: Callback, fit: object) -> None:
        calls.append(1)
        if len(calls) > (1 if hook in ("on_epoch_end", "on_batch_end") else 0):
            raise RuntimeError("from the callback")

    X, y = data()
    net, recorder = network(backend), Recorder()
    broken = type("Broken", (Callback,), {hook: fail})()
    with pytest.raises(RuntimeError, match="from the callback"):
        net.fit(X, y, epochs=3, batch_size=10, callbacks=[recorder, broken])
    assert recorder.calls[-1] == ("end", hook != "on_fit_end")
    epochs = {"on_fit_end": 3, "on_epoch_end": 2}.get(hook, 0)
    assert len(net.history.loss) == epochs
    assert np.isfinite(net.parameters).all()
    assert np.isfinite(net.fit(X, y, epochs=1).loss).all()


@on_both
def test_progress_shows_loss_and_samples_per_second(backend: str, capsys: pytest.CaptureFixture) -> None:
    pytest.importorskip("tqdm")
    X, y = data()
    network(backend).fit(X, y, epochs=3, validation_data=(X, y), progress=True)
    shown = capsys.readouterr().err
    assert "samples/s" in shown
    assert "loss=" in shown
    assert "val_accuracy=" in shown
    assert "150/150" in shown
    network(backend).fit(X, y, epochs=2, callbacks=[ProgressBar(desc="digits", unit_scale=False)])
    assert "digits: 100%" in capsys.readouterr().err


@on_both
def test_progress_without_a_standard_error(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tqdm")
    monkeypatch.setattr(sys, "stderr", None)
    X, y = data()
    assert len(network(backend).fit(X, y, epochs=2, progress=True).loss) == 2


@on_both
def test_accuracy_is_monitored_only_where_there_is_one(backend: str) -> None:
    X, Y = RNG(0).normal(size=(6, 2)), RNG(1).uniform(size=(6, 1))
    for options in ({}, {"task": "binary"}):  # probabilities are no classes either
        net = MLP([2, 1], backend=backend, **options)
        before = net.parameters.copy()
        with pytest.raises(ValueError, match="monitor 'val_accuracy' wants targets that are classes"):
            net.fit(X, Y, validation_data=(X, Y), early_stopping=EarlyStopping("val_accuracy"))
        np.testing.assert_array_equal(net.parameters, before)
        assert net.history is None
