"""What may happen during a fit beside training: stop early, show progress, or whatever a callback of yours does."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from fastnn._scalars import integer, number
from fastnn.history import History

if TYPE_CHECKING:
    from fastnn.mlp import MLP
    from fastnn.optim import Optimizer


@dataclass
class Fit:
    """A running fit as callbacks see it.

    The fit keeps it up to date; the parameters are its attributes.

    Parameters
    ----------
    net : MLP
        The network, up to date; callbacks may read and write its parameters.
    optimizer : Optimizer
        Setting ``optimizer.lr`` takes effect with the next step.
    history : History
        The record so far; ``on_epoch_end`` finds the new epoch in it.
    epochs, n_batches, n_rows : int
        What was asked for: epochs, and batches and rows per epoch.
    epoch, batch : int
        Epochs finished so far, and batches of the running epoch.
    loss : float
        Mean loss of the running epoch so far, or of the one that has just ended.
    batch_loss : float
        Loss of the newest step.
    failed : bool
        In ``on_fit_end``: the fit ends with an exception.
    stopped : bool
        `stop` was called.

    Examples
    --------
    >>> class ShowLoss(Callback):
    ...     def on_epoch_end(self, fit):
    ...         print(f"{fit.epoch} of {fit.epochs}: {fit.loss:.1f}")
    >>> net = fastnn.MLP([2, 1], init="zeros")
    >>> history = net.fit([[1, 2]], [2], epochs=1, callbacks=[ShowLoss()])
    1 of 1: 2.0
    """

    net: MLP
    optimizer: Optimizer
    history: History
    epochs: int
    n_batches: int
    n_rows: int
    epoch: int = 0
    batch: int = 0
    loss: float = math.nan
    batch_loss: float = math.nan
    failed: bool = False
    stopped: bool = field(default=False, repr=False)
    # What callbacks remember of this fit, by their id: one callback may take part in several fits at a time.
    _memory: dict[int, Any] = field(default_factory=dict, init=False, repr=False)

    def stop(self) -> None:
        """End the fit in good order after the callbacks that are due now.

        Examples
        --------
        >>> class StopAtOnce(Callback):
        ...     def on_epoch_end(self, fit):
        ...         fit.stop()
        >>> history = fastnn.MLP([2, 1]).fit([[1, 2]], [2], epochs=100, callbacks=[StopAtOnce()])
        >>> len(history.loss)
        1
        """
        self.stopped = True


class Callback:
    """Base of all callbacks: overwrite the hooks that you need.

    ``on_batch_end`` costs a return to Python after every step, ``on_segment_end`` about ten times a second; hooks that
    are not overwritten cost nothing. An exception from a hook ends the fit; network and history stay as they are.

    Examples
    --------
    >>> class StopBelow(Callback):
    ...     def on_epoch_end(self, fit):
    ...         if fit.history.loss[-1] < 0.1:
    ...             fit.stop()
    """

    def on_fit_begin(self, fit: Fit) -> None:
        """Before the first step.

        Parameters
        ----------
        fit : Fit
            The running fit.
        """

    def on_batch_end(self, fit: Fit) -> None:
        """After each step.

        Parameters
        ----------
        fit : Fit
            The running fit.
        """

    def on_segment_end(self, fit: Fit) -> None:
        """About every 0.1 s between two steps, and behind the last one.

        Parameters
        ----------
        fit : Fit
            The running fit.
        """

    def on_epoch_end(self, fit: Fit) -> None:
        """After each epoch, when its row is in the history.

        Parameters
        ----------
        fit : Fit
            The running fit.
        """

    def on_fit_end(self, fit: Fit) -> None:
        """At the end, also when the fit ends with an exception (``fit.failed``).

        Parameters
        ----------
        fit : Fit
            The running fit.
        """


@dataclass
class _Best:
    """The best epoch of a fit so far."""

    value: float = math.inf
    epoch: int = -1
    parameters: npt.NDArray[Any] | None = None


class EarlyStopping(Callback):
    """Stop when a number of the history no longer gets better, and go back to the best parameters.

    Parameters
    ----------
    monitor : {"val_loss", "loss", "val_accuracy"}
        What should fall (or, for the accuracy, rise). The "val_" ones want validation data.
    patience : int
        Epochs without a better value after which to stop, at least 1.
    min_delta : float
        How much better it has to be to count, >= 0.
    restore_best : bool
        At the end of the fit, stopped early or not, set the parameters to those after the best epoch; its number is in
        ``history.best_epoch``. A fit that ends with an exception keeps the newest parameters.

    Raises
    ------
    TypeError, ValueError
        An unknown ``monitor``; a number that is none, or out of its range.

    Examples
    --------
    >>> EarlyStopping(patience=5)
    EarlyStopping(monitor='val_loss', patience=5, min_delta=0.0, restore_best=True)
    """

    MONITORS = ("val_loss", "loss", "val_accuracy")

    def __init__(
        self, monitor: str = "val_loss", patience: int = 10, min_delta: float = 0.0, restore_best: bool = True
    ) -> None:
        if monitor not in self.MONITORS:
            raise ValueError(f"monitor: wanted one of {', '.join(self.MONITORS)}, got {monitor!r}")
        if isinstance(patience, bool):
            raise TypeError(f"patience: wanted an integer, got {patience!r}")
        self.monitor, self.patience = monitor, integer("patience", patience, 1)
        self.min_delta = number("min_delta", min_delta)
        if not 0.0 <= self.min_delta < math.inf:
            raise ValueError(f"min_delta: wanted a finite number >= 0, got {min_delta}")
        self.restore_best = bool(restore_best)

    def on_fit_begin(self, fit: Fit) -> None:
        """Nothing is best yet.

        Parameters
        ----------
        fit : Fit
            The running fit.
        """
        fit._memory[id(self)] = _Best()

    def on_epoch_end(self, fit: Fit) -> None:
        """Keep the parameters of a better epoch; stop after ``patience`` epochs without one.

        Parameters
        ----------
        fit : Fit
            The running fit.
        """
        newest = fit.history.last(self.monitor)
        if newest is None:
            raise ValueError(f"EarlyStopping: the history has no {self.monitor} to monitor")
        value = -newest if self.monitor == "val_accuracy" else newest
        best = fit._memory.setdefault(id(self), _Best())
        if value < best.value - self.min_delta:
            best.value, best.epoch = value, fit.epoch - 1
            if self.restore_best:
                best.parameters = fit.net.parameters.copy()
        elif fit.epoch - 1 - best.epoch >= self.patience:
            fit.stop()

    def on_fit_end(self, fit: Fit) -> None:
        """Restore the best parameters.

        Parameters
        ----------
        fit : Fit
            The running fit.
        """
        best = fit._memory.pop(id(self), _Best())
        if best.parameters is not None and not fit.failed:
            fit.net.parameters[...] = best.parameters
            fit.history.best_epoch = best.epoch

    def __repr__(self) -> str:
        shown = ("monitor", "patience", "min_delta", "restore_best")
        return f"EarlyStopping({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"


class ProgressBar(Callback):
    """A tqdm bar over all epochs, with the mean loss so far and samples per second.

    Parameters
    ----------
    **options
        Passed to ``tqdm``, such as ``file`` or ``desc``.

    Raises
    ------
    ImportError
        At the start of the fit: tqdm is not installed.

    Examples
    --------
    >>> net = fastnn.MLP([2, 1], seed=0)
    >>> _ = net.fit(np.eye(2), [0.0, 1.0], epochs=1, callbacks=[ProgressBar(disable=True)])
    """

    def __init__(self, **options: Any) -> None:
        self._options = options

    def on_fit_begin(self, fit: Fit) -> None:
        """Open the bar.

        Parameters
        ----------
        fit : Fit
            The running fit.
        """
        try:
            from tqdm.auto import tqdm
        except ImportError as error:
            raise ImportError("a progress bar needs tqdm: pip install tqdm") from error
        # Counted in samples, so that tqdm's rate is samples per second.
        options = {
            "total": fit.epochs * fit.n_rows,
            "unit": " samples",
            "unit_scale": True,
            "desc": "fit",
            "disable": sys.stderr is None,  # a process without a terminal
            **self._options,
        }
        fit._memory[id(self)] = tqdm(**options)

    def on_segment_end(self, fit: Fit) -> None:
        """Move the bar.

        Parameters
        ----------
        fit : Fit
            The running fit.
        """
        rows = fit.epoch * fit.n_rows + fit.batch * fit.n_rows // fit.n_batches
        bar = fit._memory[id(self)]
        bar.update(rows - bar.n)
        shown = {"epoch": f"{min(fit.epoch + 1, fit.epochs)}/{fit.epochs}", "loss": f"{fit.loss:.4g}"}
        for name in ("val_loss", "val_accuracy"):
            value = fit.history.last(name)
            if value is not None:
                shown[name] = f"{value:.4g}"
        bar.set_postfix(shown, refresh=False)

    def on_fit_end(self, fit: Fit) -> None:
        """Close the bar.

        Parameters
        ----------
        fit : Fit
            The running fit.
        """
        bar = fit._memory.pop(id(self), None)
        if bar is not None:
            bar.close()
