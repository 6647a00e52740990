"""What a classifier of points in the plane answers everywhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastnn._scalars import integer
from fastnn.plot._figure import COLOURS, MARKERS, Path, finish, labelled_axes, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, FigureBase


def decision_boundary(
    net: Callable[[npt.NDArray[Any]], npt.ArrayLike],
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    path: Path = None,
    *,
    threshold: float = 0.5,
    resolution: int = 300,
    title: str | None = None,
    figure: FigureBase | None = None,
) -> Figure:
    """What a classifier of points in the plane answers everywhere, and the points themselves.

    Parameters
    ----------
    net : MLP, or any function of (m, 2) that gives (m,), (m, 1) or (m, classes)
        One output: its value is drawn in shades and the line is at ``threshold``. Several: the largest one decides.
    X : array_like, shape (n, 2)
        Points; the picture reaches a tenth beyond them.
    y : array_like, shape (n,)
        Their classes, 0, 1, …: colour and marker of a point.
    path
        As in `history`.
    threshold : float
        0.5 for a probability, 0 for a logit.
    resolution : int
        Points along each side at which the network is asked.
    title, figure
        As in `history`.

    Returns
    -------
    Figure

    Raises
    ------
    ImportError
        matplotlib is not installed.
    ValueError
        ``X`` is not (n, 2), or ``y`` does not have n values.

    Examples
    --------
    >>> X, y = datasets.make_flower(100)
    >>> figure = plot.decision_boundary(MLP([2, 8, 1], task="binary", seed=0), X, y, resolution=50)
    >>> figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()
    ('first input', 'second input')
    """
    points, classes = np.asarray(X), np.asarray(y).ravel().astype(int)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) == 0:
        raise ValueError(f"X: wanted shape (n, 2), got {points.shape}")
    if len(classes) != len(points):
        raise ValueError(f"y: wanted {len(points)} classes, got {len(classes)}")
    resolution = integer("resolution", resolution, 2)
    figure = figure or new_figure(5.2, 4.4)
    axes = labelled_axes(figure, "first input", "second input", title)
    axes.grid(False)
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.1 * np.maximum(high - low, 1e-3)
    sides = [np.linspace(low[i] - margin[i], high[i] + margin[i], resolution) for i in (0, 1)]
    across, up = np.meshgrid(*sides)
    places = np.stack([across.ravel(), up.ravel()], axis=1).astype(points.dtype)
    answer = np.asarray(net(places), dtype=float).reshape(len(places), -1)
    if answer.shape[1] == 1:
        _draw_shades(axes, figure, sides, answer.reshape(across.shape), threshold)
    else:
        _draw_regions(axes, sides, answer.argmax(axis=1).reshape(across.shape))
    for c in np.unique(classes):
        chosen = points[classes == c]
        axes.scatter(
            chosen[:, 0],
            chosen[:, 1],
            s=18,
            color=COLOURS[c % len(COLOURS)],
            marker=MARKERS[c % len(MARKERS)],
            edgecolors="white",
            linewidths=0.5,
            label=f"class {c}",
        )
    axes.legend(loc="upper right", fontsize="small", framealpha=0.9)
    return finish(figure, path)


def _draw_shades(
    axes: Axes, figure: FigureBase, sides: list[npt.NDArray[Any]], answer: npt.NDArray[Any], threshold: float
) -> None:
    """One output: shades from the colour of class 0 to that of class 1, and the line between them."""
    from matplotlib.colors import LinearSegmentedColormap, TwoSlopeNorm

    colours = LinearSegmentedColormap.from_list("classes", [COLOURS[0], "#F7F7F7", COLOURS[1]])
    reach = max(abs(answer - threshold).max(), 1e-6)
    norm = TwoSlopeNorm(threshold, threshold - reach, threshold + reach)
    shades = axes.pcolormesh(*sides, answer, cmap=colours, norm=norm, alpha=0.55, shading="nearest", rasterized=True)
    axes.contour(*sides, answer, levels=[threshold], colors="black", linewidths=1.2)
    figure.colorbar(shades, ax=axes, label="network output")


def _draw_regions(axes: Axes, sides: list[npt.NDArray[Any]], winner: npt.NDArray[Any]) -> None:
    """Several outputs: each region in the colour of its class, lines between them."""
    from matplotlib.colors import ListedColormap

    top = int(winner.max()) + 1
    colours = ListedColormap([COLOURS[c % len(COLOURS)] for c in range(top)])
    axes.pcolormesh(
        *sides, winner, cmap=colours, vmin=-0.5, vmax=top - 0.5, alpha=0.35, shading="nearest", rasterized=True
    )
    axes.contour(*sides, winner, levels=np.arange(top - 1) + 0.5, colors="black", linewidths=1.0)
