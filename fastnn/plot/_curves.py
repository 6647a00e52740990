"""Losses against epochs or steps."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fastnn._scalars import number
from fastnn.plot._figure import COLOURS, LINES, MARKERS, Path, finish, labelled_axes, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, FigureBase


_LOSS = "loss (mean per sample)"

Curves: TypeAlias = dict[str, npt.NDArray[Any]]


def history(history: Any, path: Path = None, *, title: str | None = None, figure: FigureBase | None = None) -> Figure:
    """The training loss, and the validation loss if there is one, of each epoch; the best one if it was restored.

    Parameters
    ----------
    history : History
        What ``MLP.fit`` returned: ``loss`` and ``val_loss`` hold one number an epoch; ``val_loss`` may be empty.
    path : path, optional
        Where to write it; the ending (``.png``, ``.svg``, ``.pdf``) says how.
    title : str, optional
        Above the axes.
    figure : Figure or SubFigure, optional
        Draw into this one instead of a new one.

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
    >>> figure = plot.history(History(loss=[0.7, 0.5, 0.4], val_loss=[0.8, 0.6, 0.5]))
    >>> [line.get_label() for line in figure.axes[0].lines]
    ['training', 'validation']
    """
    if not hasattr(history, "loss"):
        raise TypeError(f"history: wanted what fit returns, got {reprlib.repr(history)}")
    curves = {"training": history.loss, "validation": getattr(history, "val_loss", None)}
    present = {name: losses for name, losses in curves.items() if losses is not None and len(losses)}
    checked = _checked(present, 0.0)
    figure = figure or new_figure()
    axes = labelled_axes(figure, "epoch", _LOSS, title)
    _draw(axes, checked, 0.0, log=False)
    best = getattr(history, "best_epoch", None)
    if best is not None:
        axes.axvline(best + 1, color="black", linewidth=0.8, linestyle=":", label="best, restored")
        axes.legend(frameon=False)
    return finish(figure, path)


def loss_curves(
    losses: Mapping[str, npt.ArrayLike],
    smooth: float = 0.0,
    path: Path = None,
    *,
    xlabel: str = "step",
    title: str | None = None,
    log: bool = False,
    figure: FigureBase | None = None,
) -> Figure:
    """Several loss curves by name in one pair of axes, each smoothed over the raw values behind it.

    Parameters
    ----------
    losses : mapping of str to array_like, shape (n,)
        One loss a step (or epoch), counted from 1; the curves need not be equally long.
    smooth : float, in [0, 1)
        Weight of the past in an exponential moving average, corrected for its start; 0 draws the values as they are,
        0.98 averages over about 50 steps.
    path
        As in `history`.
    xlabel : str
        What is counted along the bottom: ``"step"`` or ``"epoch"``.
    title
        As in `history`.
    log : bool
        A logarithmic loss axis.
    figure
        As in `history`.

    Returns
    -------
    Figure

    Raises
    ------
    ImportError
        matplotlib is not installed.
    ValueError
        No curve, an empty one, or ``smooth`` outside [0, 1).

    Examples
    --------
    >>> figure = plot.loss_curves({"SGD": [0.9, 0.8, 0.7], "Adam": [0.9, 0.6, 0.5]}, log=True)
    >>> figure.axes[0].get_yscale()
    'log'
    """
    curves = _checked(losses, smooth)
    figure = figure or new_figure()
    _draw(labelled_axes(figure, xlabel, _LOSS, title), curves, smooth, log=log)
    return finish(figure, path)


def _checked(losses: Mapping[str, npt.ArrayLike], smooth: float) -> Curves:
    _weight(smooth)
    curves = {name: np.asarray(values, dtype=float).ravel() for name, values in losses.items()}
    if not curves or any(values.size == 0 for values in curves.values()):
        raise ValueError("losses: wanted at least one curve, none of them empty")
    return curves


def _weight(smooth: float) -> float:
    weight = number("smooth", smooth)
    if not 0 <= weight < 1:
        raise ValueError(f"smooth: wanted 0 <= smooth < 1, got {smooth}")
    return weight


def _draw(axes: Axes, curves: Curves, smooth: float, *, log: bool) -> None:
    from matplotlib.ticker import MaxNLocator

    few = max(values.size for values in curves.values()) <= 20
    for i, (name, values) in enumerate(curves.items()):
        steps = np.arange(1, values.size + 1)
        colour = COLOURS[i % len(COLOURS)]
        if smooth:
            axes.plot(steps, values, color=colour, alpha=0.2, linewidth=0.6)
        # Each curve is thinner than the one below it, so that curves that lie on each other can both be seen.
        axes.plot(
            steps,
            smoothed(values, smooth),
            color=colour,
            linestyle=LINES[i % len(LINES)],
            linewidth=max(3.0 - i, 1.4),
            marker=MARKERS[i % len(MARKERS)] if few else None,
            markersize=4,
            label=name,
        )
    if log:
        axes.set_yscale("log")
    else:
        _limits_without_spikes(axes, curves, smooth)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.margins(x=0.02)
    axes.legend(frameon=False)


def _limits_without_spikes(axes: Axes, curves: Curves, smooth: float) -> None:
    """From zero if the losses allow it, up to the highest smoothed value: single raw values may leave the picture."""
    drawn = np.concatenate([smoothed(values, smooth) for values in curves.values()])
    drawn = drawn[np.isfinite(drawn)]
    if drawn.size:
        axes.set_ylim(min(0.0, 1.05 * drawn.min()), 1.05 * drawn.max() or 1.0)


def smoothed(values: npt.ArrayLike, smooth: float) -> npt.NDArray[Any]:
    """Exponential moving average with weight ``smooth`` on the past, divided by the weight that it has seen so far.

    Parameters
    ----------
    values : array_like, shape (n,)
        Such as one loss a step.
    smooth : float, in [0, 1)
        0 leaves the values as they are.

    Returns
    -------
    ndarray of float64, shape (n,)

    Raises
    ------
    TypeError
        ``smooth`` is no number.
    ValueError
        ``smooth`` is outside [0, 1).

    Examples
    --------
    >>> smoothed([2.0, 2.0, 5.0], 0.5).round(3)
    array([2.   , 2.   , 3.714])
    """
    raw, smooth = np.asarray(values, dtype=float), _weight(smooth)
    result = np.empty_like(raw)
    total = weight = 0.0
    for i, value in enumerate(raw.tolist()):  # Python's floats, which do not warn of infinities
        total = smooth * total + (1 - smooth) * value
        weight = smooth * weight + (1 - smooth)
        result[i] = total / weight
    return result
