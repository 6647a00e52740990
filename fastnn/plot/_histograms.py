"""How the activations of hidden layers are distributed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastnn.plot._figure import COLOURS, Path, finish, new_figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, FigureBase


def activation_histograms(
    net: Any,
    X: npt.ArrayLike,
    path: Path = None,
    *,
    bins: int = 40,
    limits: tuple[float, float] | None = None,
    figure: FigureBase | None = None,
) -> Figure:
    """How the outputs of each hidden layer are distributed: one row of axes a network, one column a layer.

    Parameters
    ----------
    net : MLP, sequence of MLP, or mapping of str to MLP
        The networks; a mapping's keys are written beside the rows.
    X : array_like, shape (n, n_in)
        The input that is sent through them.
    path
        As in `history`.
    bins : int
        Columns in each histogram.
    limits : (low, high), optional
        Of the activations, the same for all, such as (0, 1) for sigmoid layers; default each row its own.
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
        No network, or one without a hidden layer.

    Examples
    --------
    >>> nets = {init: MLP([2, 8, 8, 1], "tanh", init=init, seed=0) for init in ("xavier", "he")}
    >>> X, y = datasets.make_flower(100)
    >>> figure = plot.activation_histograms(nets, X)
    >>> len(figure.axes)
    4
    """
    nets = _by_name(net)
    layers = {name: [np.asarray(a).ravel() for a in one.activations(X)[:-1]] for name, one in nets.items()}
    columns = max((len(values) for values in layers.values()), default=0)
    if columns == 0:
        raise ValueError("net: wanted at least one network with a hidden layer")
    figure = figure or new_figure(1.2 + 2.0 * columns, 0.8 + 1.6 * len(layers))
    grid = figure.subplots(len(layers), columns, squeeze=False)
    for row, (name, values) in enumerate(layers.items()):
        finite = [v[np.isfinite(v)] for v in values]
        low, high = limits or _span(np.concatenate(finite))
        for column in range(columns):
            axes: Axes = grid[row, column]
            style(axes)
            if column >= len(values):
                axes.set_axis_off()
                continue
            counts, edges = np.histogram(finite[column], bins=bins, range=(low, high))
            axes.bar(
                edges[:-1], 100 * counts / max(finite[column].size, 1), np.diff(edges), align="edge", color=COLOURS[0]
            )
            axes.set_xlim(low, high)
            axes.tick_params(labelsize="x-small")
            if row == 0:
                axes.set_title(f"hidden layer {column + 1}", fontsize="small")
            if row == len(layers) - 1:
                axes.set_xlabel("activation", fontsize="small")
            if column == 0:
                axes.set_ylabel(f"{name}\nshare [%]" if name else "share [%]", fontsize="small")
    return finish(figure, path)


def _span(values: npt.NDArray[Any]) -> tuple[float, float]:
    """From the smallest to the largest value, or half a unit to each side of the only one."""
    if values.size == 0:
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    return (low, high) if low < high else (low - 0.5, high + 0.5)


def _by_name(net: Any) -> dict[str, Any]:
    if isinstance(net, Mapping):
        return dict(net)
    if isinstance(net, Sequence):
        return {f"network {i + 1}": one for i, one in enumerate(net)}
    return {"": net}
