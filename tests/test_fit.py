"""The fit loop: what it does per step, epoch and segment, how it ends, and that both backends do the same."""

import _thread
import copy
import itertools
import pickle
import signal
import threading

import numpy as np
import pytest
from backends import BACKENDS, on_both

import fastnn
from fastnn import MLP, SGD, Adam, Callback, EarlyStopping, NonFiniteLossError, ProgressBar, schedules

RNG = np.random.default_rng


def _data(m: int = 50) -> tuple[np.ndarray, np.ndarray]:
    rng = RNG(0)
    X = rng.normal(size=(m, 4))
    return X, (X[:, 0] * X[:, 1] > 0).astype(int) + (X[:, 2] > 1)


def _net(backend: str = "reference", **options: object) -> MLP:
    settings = {"activation": "tanh", "output": "softmax", "dtype": "float64", "seed": 3, "backend": backend}
    return MLP([4, 9, 6, 3], **{**settings, **options})


# --- Both backends ----------------------------------------------------------------------------------------------------

OPTIMIZERS = {
    "sgd": lambda **o: SGD(0.3, **o),
    "momentum": lambda **o: SGD(0.1, momentum=0.8, **o),
    "nesterov": lambda **o: SGD(0.1, momentum=0.8, nesterov=True, **o),
    "averaged_momentum": lambda **o: fastnn.Momentum(0.3, **o),
    "rmsprop": lambda **o: fastnn.RMSprop(0.02, **o),
    "adagrad": lambda **o: fastnn.Adagrad(0.1, **o),
    "adam": lambda **o: Adam(0.02, **o),
    "adamw": lambda **o: fastnn.AdamW(schedules.cosine(0.02, 40), weight_decay=0.3, **o),
}
COMBINATIONS = list(itertools.product([0.0, 0.3], [None, "mean", "sum"], [None, 0.2], [False, True]))


@pytest.mark.parametrize(("dropout", "l2_form", "clip_norm", "weighted"), COMBINATIONS)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_backends_agree(
    name: str, dropout: float, l2_form: str | None, clip_norm: float | None, weighted: bool
) -> None:
    X, y = _data()
    weight = RNG(1).uniform(0.1, 2, len(X)) if weighted else None
    options = {"dropout": dropout, "l2": 0.05 if l2_form else 0.0, "l2_form": l2_form or "mean"}
    fitted = []
    for backend in BACKENDS:
        net = _net(backend, **options)
        optimizer = OPTIMIZERS[name](clip_norm=clip_norm)
        history = net.fit(X, y, optimizer=optimizer, epochs=5, batch_size=7, sample_weight=weight)
        fitted.append((history, net.parameters, optimizer.state(net)))
    (one, p, state), (other, q, same) = fitted
    assert state.kind == name
    np.testing.assert_allclose(one.loss, other.loss, rtol=1e-10)
    np.testing.assert_allclose(p, q, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(state.slots, same.slots, rtol=1e-7, atol=1e-10)
    assert one.lr == other.lr
    assert one.n_steps == other.n_steps == state.t == same.t == 40


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch_size", [1, 16, None])
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_backends_agree_on_every_loss(task: str, batch_size: int | None, dtype: str) -> None:
    rng = RNG(2)
    X = rng.normal(size=(40, 6))
    y = {"binary": rng.integers(0, 2, (40, 3)), "multiclass": rng.integers(0, 3, 40), "regression": X[:, :3] ** 2}[task]
    losses = []
    for backend in BACKENDS:
        net = MLP([6, 20, 3], activation="gelu", task=task, dropout=0.2, dtype=dtype, seed=1, backend=backend)
        losses.append(net.fit(X, y, epochs=4, batch_size=batch_size).loss)
    np.testing.assert_allclose(*losses, rtol=1e-11 if dtype == "float64" else 2e-5)


# --- The history ------------------------------------------------------------------------------------------------------


@on_both
def test_history_is_what_single_steps_give(backend: str) -> None:
    X, y = _data(50)
    net, by_hand = _net(backend, dropout=0.2), _net(backend, dropout=0.2)
    history = net.fit(X, y, optimizer=SGD(schedules.exponential(0.5, 0.9)), epochs=3, batch_size=16)
    optimizer, losses, rates = SGD(schedules.exponential(0.5, 0.9)), [], []
    for epoch in range(3):
        order = fastnn.reference.permutation(50, by_hand.seed, step=epoch)
        batches = [order[k : k + 16] for k in range(0, 50, 16)]
        steps = [by_hand.train_step(X[rows], y[rows], optimizer) for rows in batches]
        losses.append(np.average(steps, weights=[len(rows) for rows in batches]))
        rates.append(0.5 * 0.9 ** (4 * epoch + 3))
    np.testing.assert_allclose(history.loss, losses, rtol=1e-12)
    np.testing.assert_allclose(history.lr, rates, rtol=1e-12)
    np.testing.assert_allclose(net.parameters, by_hand.parameters, rtol=1e-10, atol=1e-14)
    assert history.n_steps == 12
    assert history.seconds > 0
    assert history.val_loss == history.val_accuracy == []
    assert net.history is history


@on_both
@pytest.mark.parametrize("shuffle", [True, False])
def test_however_the_steps_are_divided_the_fit_is_the_same(backend: str, shuffle: bool) -> None:
    class EveryBatch(Callback):
        def on_batch_end(self, fit: object) -> None:
            assert 0 <= fit.batch < fit.n_batches

    class EverySegment(Callback):
        def on_segment_end(self, fit: object) -> None:
            assert np.isfinite(fit.loss)

    X, y = _data()
    results = []
    for options in (
        {},
        {"callbacks": [EveryBatch()]},
        {"callbacks": [EverySegment()]},
        {"validation_data": (X, y)},
        {"callbacks": [EverySegment()], "validation_data": (X, y)},
    ):
        net = _net(backend, dropout=0.1)
        history = net.fit(X, y, epochs=6, batch_size=2, shuffle=shuffle, **options)
        results.append((history.loss, net.parameters))
    for loss, parameters in results[1:]:
        assert loss == results[0][0]
        np.testing.assert_array_equal(parameters, results[0][1])


@on_both
def test_two_fits_with_one_optimizer_are_one_long_fit(backend: str) -> None:
    X, y = _data()
    long, short = _net(backend, dropout=0.2), _net(backend, dropout=0.2)
    whole = long.fit(X, y, optimizer=Adam(0.01), epochs=5, batch_size=8).loss
    adam = Adam(0.01)
    parts = [short.fit(X, y, optimizer=adam, epochs=n, batch_size=8).loss for n in (2, 3)]
    assert parts[0] + parts[1] == whole
    np.testing.assert_array_equal(short.parameters, long.parameters)
    adam.reset()
    assert (adam.state(short).t, adam.state(short).epoch) == (0, 0)
    assert not adam.state(short).slots.any()


@on_both
def test_validation_loss_and_accuracy(backend: str) -> None:
    X, y = _data()
    net, weight = _net(backend), RNG(5).uniform(size=20)
    history = net.fit(X, y, epochs=3, validation_data=(X[:20], y[:20], weight))
    assert len(history.val_loss) == len(history.val_accuracy) == 3
    assert history.val_loss[-1] == pytest.approx(net.loss(X[:20], y[:20], weight), rel=1e-12)
    right = net.predict(X[:20]).argmax(axis=1) == y[:20]
    assert history.val_accuracy[-1] == pytest.approx(np.average(right, weights=weight))
    binary = MLP([4, 1], task="binary", seed=0, backend=backend)
    logits = MLP([4, 1], output="identity", loss="sigmoid_cross_entropy", seed=0, backend=backend)
    parts = (X, y > 0)
    accuracies = [n.fit(*parts, epochs=1, validation_data=parts).val_accuracy for n in (binary, logits)]
    assert accuracies[0] == accuracies[1] == [np.mean((binary.predict(X)[:, 0] > 0.5) == parts[1])]
    regression = MLP([4, 1], seed=0, backend=backend).fit(X, y, epochs=1, validation_data=(X, y))
    assert regression.val_accuracy == []


@on_both
def test_rows_of_weight_zero_are_left_out(backend: str) -> None:
    X, y = _data(40)
    weight = np.ones(40)
    weight[::2] = 0.0
    one, other = _net(backend), _net(backend)
    with_zeros = one.fit(X, y, epochs=3, batch_size=4, sample_weight=weight)
    without = other.fit(X[1::2], y[1::2], epochs=3, batch_size=4)
    np.testing.assert_allclose(with_zeros.loss, without.loss, rtol=1e-12)
    assert with_zeros.n_steps == without.n_steps == 15


@on_both
def test_clipping_bounds_the_step(backend: str) -> None:
    X, y = _data()
    net = _net(backend)
    before = net.parameters.copy()
    net.loss_and_gradients(X, y)
    assert np.linalg.norm(net.gradients) > 0.01
    net.train_step(X, y, SGD(1.0, clip_norm=0.01))
    assert np.linalg.norm(net.parameters - before) == pytest.approx(0.01, rel=1e-9)
    before = net.parameters.copy()
    net.loss_and_gradients(X, y)
    gradient = net.gradients.copy()
    net.train_step(X, y, SGD(1.0, clip_norm=1e6))
    np.testing.assert_allclose(before - net.parameters, gradient, rtol=1e-9, atol=1e-14)


# --- Early stopping ---------------------------------------------------------------------------------------------------


class SetParameters(Callback):
    """Writes known numbers into the network behind each epoch, and keeps what the epoch left."""

    def __init__(self) -> None:
        self.kept = []

    def on_epoch_end(self, fit: object) -> None:
        self.kept.append(fit.net.parameters.copy())


@on_both
def test_early_stopping_restores_the_best(backend: str) -> None:
    X, y = _data(30)
    Xv, yv = RNG(9).normal(size=(30, 4)), RNG(9).integers(0, 3, 30)  # cannot be learnt: the loss rises soon
    net, record = _net(backend), SetParameters()
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
    X, y = _data(30)
    net, record = _net(backend), SetParameters()
    stopping = EarlyStopping("loss", patience=1, min_delta=10.0, restore_best=False)
    history = net.fit(X, y, epochs=50, early_stopping=stopping, callbacks=[record])
    assert len(history.loss) == 2
    assert history.best_epoch is None
    np.testing.assert_array_equal(net.parameters, record.kept[-1])
    rising = _net(backend).fit(
        X, y, optimizer=Adam(0.05), epochs=40, validation_data=(X, y), early_stopping=EarlyStopping("val_accuracy", 40)
    )
    assert rising.best_epoch == int(np.argmax(rising.val_accuracy)) > 0


@on_both
def test_restored_also_where_the_epochs_run_out(backend: str) -> None:
    X, y = _data(30)
    net = _net(backend)
    Xv, yv = RNG(9).normal(size=(30, 4)), RNG(9).integers(0, 3, 30)
    history = net.fit(
        X, y, optimizer=Adam(0.1), epochs=30, validation_data=(Xv, yv), early_stopping=EarlyStopping(patience=99)
    )
    assert len(history.loss) == 30
    assert net.loss(Xv, yv) == pytest.approx(min(history.val_loss), rel=1e-12)


# --- Callbacks and progress -------------------------------------------------------------------------------------------


class Recorder(Callback):
    def __init__(self) -> None:
        self.calls: list[tuple] = []

    def on_fit_begin(self, fit: object) -> None:
        self.calls.append(("begin", fit.epochs, fit.n_batches, fit.n_rows))

    def on_batch_end(self, fit: object) -> None:
        self.calls.append(("batch", fit.epoch, fit.batch))

    def on_epoch_end(self, fit: object) -> None:
        assert fit.history.loss[-1] == fit.loss
        self.calls.append(("epoch", fit.epoch))

    def on_fit_end(self, fit: object) -> None:
        self.calls.append(("end", fit.failed))


@on_both
def test_callbacks_are_called_in_order(backend: str) -> None:
    X, y = _data(10)
    recorder = Recorder()
    _net(backend).fit(X, y, epochs=2, batch_size=5, callbacks=[recorder])
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

    X, y = _data()
    history = _net(backend).fit(X, y, optimizer=SGD(0.8), epochs=100, callbacks=[Halve()])
    assert history.lr == [0.8, 0.4, 0.2, 0.1]


@on_both
@pytest.mark.parametrize("hook", ["on_fit_begin", "on_batch_end", "on_segment_end", "on_epoch_end", "on_fit_end"])
def test_an_exception_in_a_callback_leaves_network_and_history(backend: str, hook: str) -> None:
    calls = []

    def fail(self: Callback, fit: object) -> None:
        calls.append(1)
        if len(calls) > (1 if hook in ("on_epoch_end", "on_batch_end") else 0):
            raise RuntimeError("from the callback")

    X, y = _data()
    net, recorder = _net(backend), Recorder()
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
    X, y = _data()
    _net(backend).fit(X, y, epochs=3, validation_data=(X, y), progress=True)
    shown = capsys.readouterr().err
    assert "samples/s" in shown
    assert "loss=" in shown
    assert "val_accuracy=" in shown
    assert "150/150" in shown
    _net(backend).fit(X, y, epochs=2, callbacks=[ProgressBar(desc="digits", unit_scale=False)])
    assert "digits: 100%" in capsys.readouterr().err


# --- Endings that are no success --------------------------------------------------------------------------------------


@on_both
def test_a_loss_that_is_not_finite_restores_the_last_finite_epoch(backend: str) -> None:
    class Explode(Callback):
        def on_epoch_end(self, fit: object) -> None:
            kept.append((fit.net.parameters.copy(), optimizer.state(fit.net).slots.copy()))
            if fit.epoch == 3:
                fit.optimizer.lr = 1e200

    X, Y = RNG(0).normal(size=(40, 4)), RNG(1).normal(size=(40, 2))
    net = MLP([4, 8, 2], activation="relu", dtype="float64", seed=0, backend=backend)
    kept: list[tuple] = []
    optimizer = SGD(0.01, momentum=0.5)
    with pytest.raises(NonFiniteLossError, match=r"in epoch 3, batch [1-3] ") as caught:
        net.fit(X, Y, optimizer=optimizer, epochs=10, batch_size=10, callbacks=[Explode()])
    error = caught.value
    assert isinstance(error, ArithmeticError)
    assert error.epoch == 3
    assert error.history is net.history
    assert len(net.history.loss) == 3
    np.testing.assert_array_equal(net.parameters, kept[2][0])
    np.testing.assert_array_equal(optimizer.state(net).slots, kept[2][1])
    assert (optimizer.state(net).t, optimizer.state(net).epoch) == (12, 3)
    again = pickle.loads(pickle.dumps(error))
    assert (again.epoch, again.batch, str(again)) == (error.epoch, error.batch, str(error))
    # It goes on from there.
    optimizer.lr = 0.01
    assert np.isfinite(net.fit(X, Y, optimizer=optimizer, epochs=2).loss).all()


@on_both
def test_not_finite_in_the_first_epoch_restores_the_start(backend: str) -> None:
    net = MLP([4, 8, 2], dtype="float32", seed=0, backend=backend)
    before = net.parameters.copy()
    with pytest.raises(NonFiniteLossError) as caught:
        net.fit(np.ones((8, 4)), np.full((8, 2), 1e30), optimizer=SGD(1e20), epochs=3, batch_size=2)
    assert caught.value.epoch == 0
    np.testing.assert_array_equal(net.parameters, before)
    assert net.history.loss == []


@on_both
def test_parameters_that_overflow_behind_the_last_batch(backend: str) -> None:
    net = MLP([1, 1], init="zeros", dtype="float32", seed=0, backend=backend)
    with pytest.raises(NonFiniteLossError, match="parameters became NaN or infinite in epoch 0, batch 0"):
        net.fit([[1.0]], [1e10], optimizer=SGD(1e30), epochs=1)
    assert not net.parameters.any()


@on_both
def test_ctrl_c_keeps_network_and_history(backend: str) -> None:
    class Interrupt(Callback):
        def on_batch_end(self, fit: object) -> None:
            if fit.epoch == 2 and fit.batch == 1:
                raise KeyboardInterrupt

    X, y = _data()
    net, adam, recorder = _net(backend), Adam(0.01), Recorder()
    with pytest.raises(KeyboardInterrupt):
        net.fit(X, y, optimizer=adam, epochs=10, batch_size=10, callbacks=[Interrupt(), recorder])
    assert len(net.history.loss) == 2
    assert net.history.n_steps == adam.state(net).t == 11
    assert recorder.calls[-1] == ("end", True)
    assert np.isfinite(net.parameters).all()
    assert np.isfinite(net.fit(X, y, optimizer=adam, epochs=1).loss).all()


@on_both
def test_ctrl_c_inside_the_engine(backend: str) -> None:
    """A real signal, while the steps of many epochs are one call."""
    rng = RNG(0)
    X, Y = rng.normal(size=(512, 64)), rng.normal(size=(512, 64))
    net, adam = MLP([64, 128, 64], seed=0, backend=backend), Adam(1e-4)
    net.fit(X, Y, epochs=1)
    # A process that was started in the background ignores the signal, unless it is told otherwise.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.3, _thread.interrupt_main)
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            net.fit(X, Y, optimizer=adam, epochs=20_000, batch_size=64)
    finally:
        timer.cancel()
        signal.signal(signal.SIGINT, before)
    history = net.history
    assert len(history.loss) >= 1
    assert np.isfinite(history.loss).all()
    assert history.seconds < 5
    # Not even the step under way is half counted.
    assert 0 <= adam.state(net).t - history.n_steps <= 1
    assert history.n_steps // 8 == len(history.loss) == adam.state(net).epoch
    assert np.isfinite(net.predict(X)).all()


# --- Arguments --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"epochs": 0}, ValueError, "epochs: wanted at least 1, got 0"),
        ({"epochs": 1.5}, TypeError, "epochs: wanted an integer, got 1.5"),
        ({"batch_size": 0}, ValueError, "batch_size: wanted at least 1"),
        ({"batch_size": "all"}, TypeError, "batch_size: wanted an integer, got 'all'"),
        ({"optimizer": "adam"}, TypeError, "optimizer: wanted an optimiser"),
        ({"optimizer": Adam}, TypeError, "optimizer: wanted an optimiser"),
        ({"callbacks": [print]}, TypeError, "callbacks: wanted objects of fastnn.Callback"),
        ({"callbacks": EarlyStopping()}, TypeError, r"callbacks: wanted an iterable of Callback, got EarlyStopping\("),
        ({"early_stopping": 5}, TypeError, "early_stopping: wanted"),
        ({"early_stopping": True}, ValueError, "'val_loss' wants validation_data"),
        ({"callbacks": [EarlyStopping()]}, ValueError, "'val_loss' wants validation_data"),
        ({"validation_data": np.zeros((3, 4))}, TypeError, r"validation_data: wanted \(X, y\)"),
        ({"validation_data": (np.zeros((3, 5)), [0, 1, 2])}, ValueError, r"validation X: wanted shape \(n, 4\)"),
        ({"validation_data": (np.zeros((3, 4)), [0, 1, 3])}, ValueError, "validation y: row 2 is label 3"),
        ({"validation_data": (np.zeros((3, 4)), [0, 1, 1], [1, 1])}, ValueError, "validation sample_weight: wanted"),
    ],
)
def test_arguments_that_are_refused(options: dict, error: type[Exception], message: str) -> None:
    X, y = _data()
    net = _net()
    before = net.parameters.copy()
    with pytest.raises(error, match=message):
        net.fit(X, y, **options)
    np.testing.assert_array_equal(net.parameters, before)
    assert net.history is None


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"monitor": "accuracy"}, ValueError),
        ({"patience": 0}, ValueError),
        ({"patience": 2.5}, TypeError),
        ({"min_delta": -1.0}, ValueError),
        ({"min_delta": float("nan")}, ValueError),
    ],
)
def test_early_stopping_refuses(options: dict, error: type[Exception]) -> None:
    with pytest.raises(error, match="wanted"):
        EarlyStopping(**options)


def test_history_says_what_it_holds() -> None:
    X, y = _data()
    history = _net().fit(X, y, epochs=2, validation_data=(X, y))
    assert repr(history).startswith("History(2 epochs, 2 steps, ")
    assert f"val_loss={history.val_loss[-1]:.4g}" in repr(history)
    assert copy.deepcopy(history) == history
