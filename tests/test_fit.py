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
from fits import Recorder, data, network

import fastnn
from fastnn import MLP, SGD, Adam, Callback, EarlyStopping, NonFiniteLossError, schedules

RNG = np.random.default_rng


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
    X, y = data()
    weight = RNG(1).uniform(0.1, 2, len(X)) if weighted else None
    options = {"dropout": dropout, "l2": 0.05 if l2_form else 0.0, "l2_form": l2_form or "mean"}
    fitted = []
    for backend in BACKENDS:
        net = network(backend, **options)
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
    X, y = data(50)
    net, by_hand = network(backend, dropout=0.2), network(backend, dropout=0.2)
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

    X, y = data()
    results = []
    for options in (
        {},
        {"callbacks": [EveryBatch()]},
        {"callbacks": [EverySegment()]},
        {"validation_data": (X, y)},
        {"callbacks": [EverySegment()], "validation_data": (X, y)},
    ):
        net = network(backend, dropout=0.1)
        history = net.fit(X, y, epochs=6, batch_size=2, shuffle=shuffle, **options)
        results.append((history.loss, net.parameters))
    for loss, parameters in results[1:]:
        assert loss == results[0][0]
        np.testing.assert_array_equal(parameters, results[0][1])


@on_both
def test_two_fits_with_one_optimizer_are_one_long_fit(backend: str) -> None:
    X, y = data()
    long, short = network(backend, dropout=0.2), network(backend, dropout=0.2)
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
    X, y = data()
    net, weight = network(backend), RNG(5).uniform(size=20)
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
    X, y = data(40)
    weight = np.ones(40)
    weight[::2] = 0.0
    one, other = network(backend), network(backend)
    with_zeros = one.fit(X, y, epochs=3, batch_size=4, sample_weight=weight)
    without = other.fit(X[1::2], y[1::2], epochs=3, batch_size=4)
    np.testing.assert_allclose(with_zeros.loss, without.loss, rtol=1e-12)
    assert with_zeros.n_steps == without.n_steps == 15


@on_both
def test_clipping_bounds_the_step(backend: str) -> None:
    X, y = data()
    net = network(backend)
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

    X, y = data()
    net, adam, recorder = network(backend), Adam(0.01), Recorder()
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
    ended = threading.Event()

    def interrupt() -> None:
        """When an epoch of 8 steps is over: a step may be seen twice, while it changes one layer after the other."""
        for _ in range(40):
            seen = net.parameters.copy()
            while np.array_equal(net.parameters, seen):
                if ended.wait(0.001):
                    return
        _thread.interrupt_main()

    # A process that was started in the background ignores the signal, unless it is told otherwise.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    watcher = threading.Thread(target=interrupt)
    watcher.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            net.fit(X, Y, optimizer=adam, epochs=20_000, batch_size=64)
    finally:
        ended.set()
        watcher.join()
        signal.signal(signal.SIGINT, before)
    history = net.history
    assert 1 <= len(history.loss) < 20_000
    assert np.isfinite(history.loss).all()
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
    X, y = data()
    net = network()
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
    X, y = data()
    history = network().fit(X, y, epochs=2, validation_data=(X, y))
    assert repr(history).startswith("History(2 epochs, 2 steps, ")
    assert f"val_loss={history.val_loss[-1]:.4g}" in repr(history)
    assert copy.deepcopy(history) == history
