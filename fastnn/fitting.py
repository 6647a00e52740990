"""The fit loop: divides the steps of a fit into calls of the engine's ``run``, and does in between what was asked for.

How often it comes up for air follows from what there is to do: after every step where a callback wants every batch,
about every 0.1 s where one shows progress, after every epoch for validation and callbacks, else after many epochs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastnn._arrays import Array
from fastnn._scalars import integer
from fastnn.callbacks import Callback, EarlyStopping, Fit, ProgressBar
from fastnn.history import History
from fastnn.losses import accuracy, has_classes
from fastnn.optim import Adam, Optimizer

if TYPE_CHECKING:
    from fastnn.mlp import MLP

# Bounds the arrays of rates and losses that a long fit without interruptions hands over at once.
_MOST_STEPS = 1 << 16
_SEGMENT_SECONDS = 0.1


class NonFiniteLossError(ArithmeticError):
    """The loss, or a parameter, became NaN or infinite in a fit.

    Parameters and optimiser are as they were at the end of the last finite epoch, or at the start of the fit.
    What is listed here are attributes of the error.

    Parameters
    ----------
    epoch, batch : int
        Where it happened, from 0 within this fit.
    loss : float
        The loss of that batch; finite where only the parameters behind it were not.
    history : History
        Of the epochs before.
    """

    def __init__(self, epoch: int, batch: int, loss: float, history: History) -> None:
        what = f"the loss became {loss}" if not math.isfinite(loss) else "parameters became NaN or infinite"
        super().__init__(
            f"{what} in epoch {epoch}, batch {batch} (counted from 0); the network is as it was at the end of the last "
            "finite epoch. A smaller learning rate, clip_norm or scaled inputs may help"
        )
        self.epoch, self.batch, self.loss, self.history = epoch, batch, loss, history

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.epoch, self.batch, self.loss, self.history)


@dataclass
class _Job:
    """The data of one fit, as the engine takes it."""

    X: Array
    target: Array
    weight: Array | None
    batch_size: int
    shuffle: bool
    validation: tuple[Array, Array, Array | None] | None


def run_fit(
    net: MLP,
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    optimizer: Optimizer | None,
    epochs: int,
    batch_size: int | None,
    shuffle: bool,
    validation_data: tuple[Any, ...] | None,
    early_stopping: EarlyStopping | bool | None,
    sample_weight: npt.ArrayLike | None,
    callbacks: Iterable[Callback],
    progress: bool,
) -> History:
    """`MLP.fit`, which describes the arguments: checks all of them, then trains."""
    if optimizer is None:
        optimizer = Adam(1e-3)
    elif not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer: wanted an optimiser such as fastnn.Adam(1e-3), got {optimizer!r}")
    epochs = integer("epochs", epochs, 1)
    data = net._batch(X, y, sample_weight)
    data = _without_zero_weights(*data)
    n_rows = len(data[0])
    size = n_rows if batch_size is None else min(integer("batch_size", batch_size, 1), n_rows)
    validation = _validation(net, validation_data)
    job = _Job(*data, batch_size=size, shuffle=bool(shuffle), validation=validation)
    active = _callbacks(callbacks, early_stopping, progress)
    for callback in active:
        if isinstance(callback, EarlyStopping) and callback.monitor.startswith("val_"):
            if validation is None:
                raise ValueError(f"early_stopping: monitor {callback.monitor!r} wants validation_data, got none")
            if callback.monitor == "val_accuracy" and not has_classes(validation[1], net.spec.loss):
                raise ValueError("early_stopping: monitor 'val_accuracy' wants targets that are classes, got others")
    optimizer.learning_rates(optimizer.state(net).t, 1)  # refuses a schedule that is wrong from the start

    fit = Fit(net, optimizer, History(), epochs=epochs, n_batches=-(-n_rows // size), n_rows=n_rows)
    with net._fitting:  # refuses a fit beside another thread's, also between the calls of the engine
        _run(fit, job, active)
    return fit.history


def _run(fit: Fit, job: _Job, active: list[Callback]) -> None:
    """The fit, once nothing but training is left to fail."""
    net, history, state = fit.net, fit.history, fit.optimizer.state(fit.net)
    t, epoch, earlier = state.t, state.epoch, net.history
    net.history = history
    loop = _Loop(fit, job, active)
    start = time.perf_counter()
    fit.failed = True
    begun: list[Callback] = []
    try:
        for callback in active:
            begun.append(callback)
            callback.on_fit_begin(fit)
        loop.run()
        fit.failed = False
    finally:
        history.seconds = time.perf_counter() - start
        if fit.failed:
            _settle(history, job.validation is not None)
            # From the counter: an exception may have come between the engine's steps and their record.
            history.n_steps = max(state.t - t, 0)
            state.epoch = epoch + history.n_steps // fit.n_batches
        error = _end(fit, begun)
        # Again, since a callback may have fitted the network, too.
        net.history = earlier if loop.refused else history
        if error is not None:
            raise error


def _end(fit: Fit, begun: list[Callback]) -> BaseException | None:
    """Every ``on_fit_end``, also behind one that fails; returns the first error, but a Ctrl-C before any other."""
    first: BaseException | None = None
    for callback in begun:
        try:
            callback.on_fit_end(fit)
        except BaseException as error:
            fit.failed = True
            if first is None or (isinstance(first, Exception) and not isinstance(error, Exception)):
                first = error
    return first


def _settle(history: History, validated: bool) -> None:
    """Only epochs that are in every list: an exception at any place may have left one of them ahead."""
    lengths = [len(history.loss), len(history.lr)] + [len(history.val_loss)] * validated
    for values in (history.loss, history.lr, history.val_loss, history.val_accuracy):
        del values[min(lengths) :]


class _Loop:
    """One fit in progress: how far it is, and the losses of the running epoch."""

    def __init__(self, fit: Fit, job: _Job, callbacks: list[Callback]) -> None:
        self.fit, self.job, self.callbacks = fit, job, callbacks
        self.net, self.state = fit.net, fit.optimizer.state(fit.net)
        self.first_epoch = self.state.epoch
        self.per_batch = _overriding(callbacks, "on_batch_end")
        self.per_segment = _overriding(callbacks, "on_segment_end")
        self.per_epoch = bool(_overriding(callbacks, "on_epoch_end")) or job.validation is not None
        self.refused = False  # by the engine, before the first step: another thread uses the network
        self.seconds_per_step = 0.0
        self.steps = 1
        # Rows of each batch of an epoch: the weights of its mean loss.
        self.rows = np.full(fit.n_batches, job.batch_size)
        self.rows[-1] = fit.n_rows - (fit.n_batches - 1) * job.batch_size
        self.losses = np.empty(fit.n_batches)
        self.loss_sum = 0.0

    def run(self) -> None:
        """All epochs, or as many as it takes until a callback stops the fit."""
        self.state.save(self.net.parameters)
        while self.fit.epoch < self.fit.epochs and not self.fit.stopped:
            self._segment(self._length())
            self._hooks()

    def _length(self) -> int:
        """Steps of the next call of the engine."""
        if self.per_batch:
            return 1
        left = self.fit.n_batches - self.fit.batch
        if not self.per_epoch:
            left += (self.fit.epochs - self.fit.epoch - 1) * self.fit.n_batches
        if self.per_segment:
            # At most four times the last one's steps: the first steps of a process are slow ones.
            wanted = _SEGMENT_SECONDS / self.seconds_per_step if self.seconds_per_step else 1.0
            self.steps = int(min(max(wanted, 1.0), 4 * self.steps))
            left = min(self.steps, left)
        return min(left, _MOST_STEPS)

    def _segment(self, count: int) -> None:
        """``count`` steps; their losses go into the history also where an exception cuts them short."""
        fit, job, state = self.fit, self.job, self.state
        rates = fit.optimizer.learning_rates(state.t, count)
        losses = np.full(count, np.nan)  # so that an interruption shows how far it came
        start = time.perf_counter()
        done = 0
        try:
            done = self.net._engine.run(
                job.X,
                job.target,
                job.weight,
                state,
                job.batch_size,
                job.shuffle,
                self.first_epoch + fit.epoch,
                fit.batch,
                rates,
                losses,
                True,
            )
            self.seconds_per_step = (time.perf_counter() - start) / count
        except BaseException as error:
            self.refused = isinstance(error, RuntimeError) and fit.history.n_steps == 0 and bool(np.isnan(losses[0]))
            self._record(losses[np.cumsum(~np.isfinite(losses)) == 0], rates)
            raise
        self._record(losses[:done], rates)
        if done < count:
            state.restore(self.net.parameters)
            raise NonFiniteLossError(fit.epoch, fit.batch, float(losses[done]), fit.history)

    def _record(self, losses: npt.NDArray[np.float64], rates: npt.NDArray[np.float64]) -> None:
        """Move on by the steps of ``losses``: whole epochs into the history, the rest into the running epoch."""
        fit = self.fit
        fit.history.n_steps += len(losses)
        if len(losses):
            fit.batch_loss = float(losses[-1])
        at = 0
        while at < len(losses):
            begin = fit.batch
            part = losses[at : at + fit.n_batches - begin]
            at, fit.batch = at + len(part), begin + len(part)
            self.losses[begin : fit.batch] = part
            self.loss_sum += float(part @ self.rows[begin : fit.batch])
            fit.loss = self.loss_sum / min(fit.batch * self.job.batch_size, fit.n_rows)
            if fit.batch == fit.n_batches:
                # Anew from all batches: the same bits however the epoch was divided into segments.
                fit.loss = float(np.average(self.losses, weights=self.rows))
                fit.history.loss.append(fit.loss)
                fit.history.lr.append(float(rates[at - 1]))
                fit.epoch, fit.batch, self.loss_sum = fit.epoch + 1, 0, 0.0
                self.state.epoch = self.first_epoch + fit.epoch

    def _hooks(self) -> None:
        """What is due after a segment: batch, segment and, where one has ended, epoch."""
        fit = self.fit
        for callback in self.per_batch:
            callback.on_batch_end(fit)
        epoch_ended = fit.batch == 0
        if epoch_ended and self.job.validation is not None:
            self._validate(*self.job.validation)
        for callback in self.per_segment:
            callback.on_segment_end(fit)
        if epoch_ended:
            for callback in self.callbacks:
                callback.on_epoch_end(fit)

    def _validate(self, X: Array, target: Array, weight: Array | None) -> None:
        engine, spec, history = self.net._engine, self.net.spec, self.fit.history
        loss = float(engine.loss(X, target, weight, None))
        share = accuracy(engine.predict(X), target, spec.loss, spec.activations[-1][0], weight)
        if share is not None:
            history.val_accuracy.append(share)
        history.val_loss.append(loss)  # last, so that an epoch of it has its accuracy: see _settle


def _without_zero_weights(X: Array, target: Array, weight: Array | None) -> tuple[Array, Array, Array | None]:
    """The rows that count: a batch that happened to hold only rows of weight 0 would have no mean."""
    if weight is None or weight.all():
        return X, target, weight
    kept = weight > 0
    return X[kept], target[kept], weight[kept]


def _validation(net: MLP, data: Any) -> tuple[Array, Array, Array | None] | None:
    if data is None:
        return None
    if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
        raise TypeError(f"validation_data: wanted (X, y) or (X, y, sample_weight), got {type(data).__name__}")
    return net._batch(data[0], data[1], data[2] if len(data) == 3 else None, where="validation ")


def _callbacks(callbacks: Iterable[Callback], early_stopping: Any, progress: bool) -> list[Callback]:
    if not isinstance(callbacks, Iterable):
        raise TypeError(f"callbacks: wanted an iterable of Callback, got {callbacks!r}")
    active = list(callbacks)
    for callback in active:
        if not isinstance(callback, Callback):
            raise TypeError(f"callbacks: wanted objects of fastnn.Callback, got {callback!r}")
    # In front, so that the others' on_fit_end finds the parameters restored.
    if early_stopping is True:
        active.insert(0, EarlyStopping())
    elif isinstance(early_stopping, EarlyStopping):
        active.insert(0, early_stopping)
    elif early_stopping not in (None, False):
        raise TypeError(f"early_stopping: wanted fastnn.EarlyStopping(…), True or None, got {early_stopping!r}")
    if progress:
        active.append(ProgressBar())
    return active


def _overriding(callbacks: list[Callback], hook: str) -> list[Callback]:
    """The callbacks whose class has a ``hook`` of its own."""
    return [one for one in callbacks if getattr(type(one), hook) is not getattr(Callback, hook)]
