"""What a fit did, epoch by epoch."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass
class History:
    """The record of one `MLP.fit`; one number per finished epoch in each list.

    The fit fills it in; the parameters are its attributes.

    Parameters
    ----------
    loss : list of float
        Mean over the epoch's batches, weighted by their rows, of the cost that each batch had before its update: with
        L2, sparsity, dropout and sample weights as trained.
    val_loss : list of float
        `MLP.loss` of the validation data after the epoch; empty without validation data.
    val_accuracy : list of float
        Share of the validation rows that are right; empty unless their targets are classes.
    lr : list of float
        The learning rate of the epoch's last step.
    n_steps : int
        Updates made, those of an unfinished epoch included; where the fit failed, what its optimiser counted.
    seconds : float
        Wall time of the fit, validation and callbacks included.
    best_epoch : int or None
        Number, from 0, of the epoch whose parameters early stopping restored.

    Examples
    --------
    >>> history = History(loss=[0.7, 0.5], n_steps=20, seconds=0.1)
    >>> history
    History(2 epochs, 20 steps, 0.1 s, loss=0.5)
    """

    loss: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    val_accuracy: list[float] = field(default_factory=list)
    lr: list[float] = field(default_factory=list)
    n_steps: int = 0
    seconds: float = 0.0
    best_epoch: int | None = None

    def last(self, name: str) -> float | None:
        """The newest entry of the list ``name``, or None.

        Parameters
        ----------
        name : {"loss", "val_loss", "val_accuracy", "lr"}
            Which list.

        Returns
        -------
        float or None
            None where the list is empty.

        Examples
        --------
        >>> history = History(loss=[0.7, 0.5])
        >>> history.last("loss"), history.last("val_loss")
        (0.5, None)
        """
        values = getattr(self, name)
        return values[-1] if values else None

    def plot(self, path: str | os.PathLike[str] | None = None, **options: Any) -> Figure:
        """The loss curves as a matplotlib figure, written to ``path`` where one is given (`fastnn.plot.history`).

        Parameters
        ----------
        path : path, optional
            Where to write it; the ending (``.png``, ``.svg``, ``.pdf``) says how.
        **options
            ``title`` and ``figure``, as of `fastnn.plot.history`.

        Returns
        -------
        Figure

        Raises
        ------
        ImportError
            matplotlib is not installed.
        ValueError
            There is no epoch to draw.

        Examples
        --------
        >>> figure = History(loss=[0.7, 0.5]).plot(title="two epochs")
        >>> figure.axes[0].get_title()
        'two epochs'
        """
        from fastnn import plot

        return plot.history(self, path, **options)

    def __repr__(self) -> str:
        shown = [f"{len(self.loss)} epochs", f"{self.n_steps} steps", f"{self.seconds:.3g} s"]
        for name in ("loss", "val_loss", "val_accuracy"):
            value = self.last(name)
            if value is not None:
                shown.append(f"{name}={value:.4g}")
        return f"History({', '.join(shown)})"
