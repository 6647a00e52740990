"""A new figure, its axes, and how it is written: what all pictures share. The one place for colours and the canvas."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeAlias, cast

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, FigureBase

Path: TypeAlias = str | os.PathLike[str] | None

# Okabe & Ito, "Color Universal Design", in an order in which neighbours differ most.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
LINES = ("-", "--", "-.", ":")
MARKERS = ("o", "^", "s", "D", "v", "P", "X")


def new_figure(width: float = 6.4, height: float = 4.0) -> Figure:
    """An empty figure of ``width`` × ``height`` inches (at 150 dots an inch) that needs no display.

    Parameters
    ----------
    width, height : float
        In inches, > 0.

    Returns
    -------
    Figure

    Raises
    ------
    ImportError
        matplotlib is not installed; the message names the extra that brings it.

    Examples
    --------
    >>> figure = new_figure(8, 3)
    >>> left, right = figure.subfigures(1, 2)
    >>> for part, losses in ((left, [0.7, 0.5]), (right, [0.7, 0.6])):
    ...     _ = plot.history(History(loss=losses), figure=part)
    >>> len(figure.axes)
    2
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine
    except ImportError as error:
        raise ImportError('pictures need matplotlib: pip install "fastnn[plot]"') from error
    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08)
    figure = Figure(figsize=(width, height), dpi=150, layout=layout, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def finish(figure: FigureBase, path: Path) -> Figure:
    """Write the figure if a path is given; the whole figure, where a subfigure was drawn into."""
    whole = cast("Figure", figure.figure)  # of a subfigure: the outermost one that holds it
    if path is not None:
        whole.savefig(path)
    return whole


def labelled_axes(figure: FigureBase, xlabel: str, ylabel: str, title: str | None = None) -> Axes:
    """One labelled pair of axes with a quiet frame and grid."""
    axes = figure.add_subplot()
    style(axes)
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    if title:
        axes.set_title(title, fontsize="medium")
    return axes


def style(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True, color="#E0E0E0", linewidth=0.6)
    axes.set_axisbelow(True)
