"""Grey pictures in rows and columns, plain or with what a network took them for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastnn._arrays import numbers
from fastnn._scalars import integer
from fastnn.plot._figure import COLOURS, Path, finish, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure, FigureBase

_MISTAKE = COLOURS[1]
_TEXT = "#404040"
_FRAME = "#A0A0A0"


def as_images(images: npt.ArrayLike, shape: tuple[int, int] | None = None) -> npt.NDArray[Any]:
    """Rows of pixels as pictures (n, height, width); pictures stay as they are.

    Parameters
    ----------
    images : array_like, shape (n, height, width) or (n, height * width)
    shape : (height, width), optional
        For rows; without it they must be square pictures.

    Returns
    -------
    ndarray, shape (n, height, width)
        The same values, not copied where that can be.

    Raises
    ------
    ValueError
        The rows are not square, or not of ``shape``.

    Examples
    --------
    >>> as_images(np.zeros((5, 64))).shape
    (5, 8, 8)
    """
    array = numbers("images", images)
    if array.ndim == 3:
        return array
    if array.ndim != 2:
        raise ValueError(f"images: wanted (n, height, width) or (n, pixels), got shape {array.shape}")
    if shape is None:
        side = round(array.shape[1] ** 0.5)
        shape = (side, side)
    if len(shape) != 2:
        raise ValueError(f"shape: wanted (height, width), got {shape}")
    if shape[0] * shape[1] != array.shape[1]:
        raise ValueError(f"images: {array.shape[1]} pixels a row do not make {shape[0]}×{shape[1]}; give shape=")
    return array.reshape(-1, *shape)


def image_grid(
    images: npt.ArrayLike,
    titles: Iterable[str] | None = None,
    path: Path = None,
    *,
    columns: int | None = None,
    shape: tuple[int, int] | None = None,
    title: str | None = None,
    figure: FigureBase | None = None,
) -> Figure:
    """Grey pictures in rows and columns: digits, reconstructions, or the weights of hidden units.

    Parameters
    ----------
    images : array_like, shape (n, height, width) or (n, height * width)
        Drawn dark on light; all on one scale, from the smallest to the largest value.
    titles : iterable of str, optional
        One above each picture.
    path
        As in `history`.
    columns : int, optional
        Pictures in a row; default about as many as rows.
    shape : (height, width), optional
        For rows of pixels that are not square.
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
        No image, or a shape that does not fit.

    Examples
    --------
    >>> net = MLP([64, 6, 10], seed=0)
    >>> figure = plot.image_grid(net.weights[0].T, columns=3)
    >>> len(figure.axes)
    6
    """
    pictures = as_images(images, shape)
    figure = figure or _grid_figure(len(pictures), columns)
    _draw_grid(figure, pictures, columns, title, list(titles or ()), set())
    return finish(figure, path)


def predictions(
    images: npt.ArrayLike,
    labels: npt.ArrayLike,
    predicted: npt.ArrayLike,
    path: Path = None,
    *,
    columns: int | None = None,
    shape: tuple[int, int] | None = None,
    title: str | None = None,
    figure: FigureBase | None = None,
) -> Figure:
    """Pictures with what a network took them for; each mistake is framed and says "8, is 3".

    Parameters
    ----------
    images
        As in `image_grid`.
    labels, predicted : array_like, shape (n,)
        The true classes and the network's.
    path
        As in `history`.
    columns, shape
        As in `image_grid`.
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
        Lengths differ, no image, or a shape that does not fit.

    Examples
    --------
    >>> figure = plot.predictions(datasets.load_digits().X_test[:2], labels=[3, 7], predicted=[8, 7])
    >>> [axes.get_title() for axes in figure.axes]
    ['8, is 3', '7']
    """
    true, found, pictures = np.asarray(labels), np.asarray(predicted), as_images(images, shape)
    if not len(pictures) == len(true) == len(found):
        raise ValueError(f"wanted equally many, got {len(pictures)} images, {len(true)} labels, {len(found)} predicted")
    texts = [f"{f}" if f == t else f"{f}, is {t}" for t, f in zip(true, found, strict=True)]
    figure = figure or _grid_figure(len(pictures), columns)
    _draw_grid(figure, pictures, columns, title, texts, set(np.flatnonzero(true != found)))
    return finish(figure, path)


def _columns(n: int, columns: int | None) -> int:
    if columns is None:
        return max(1, int(np.ceil(np.sqrt(n))))
    return max(1, min(integer("columns", columns, 1), n))  # an empty column would only make the pictures smaller


def _grid_figure(n: int, columns: int | None) -> Figure:
    across = _columns(n, columns)
    return new_figure(0.8 * across + 0.2, 1.0 * np.ceil(n / across) + 0.4)


def _draw_grid(
    figure: FigureBase,
    pictures: npt.NDArray[Any],
    columns: int | None,
    title: str | None,
    texts: Sequence[str],
    mistakes: set[int],
) -> None:
    """The pictures, the texts above them, and a thick frame in another colour round the mistakes."""
    if len(pictures) == 0:
        raise ValueError("images: wanted at least one")
    across = _columns(len(pictures), columns)
    grid = figure.subplots(-(-len(pictures) // across), across, squeeze=False).ravel()
    finite = pictures[np.isfinite(pictures)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    for i, axes in enumerate(grid):
        if i >= len(pictures):
            axes.set_axis_off()
            continue
        axes.imshow(pictures[i], cmap="gray_r", vmin=low, vmax=high if high > low else low + 1, interpolation="nearest")
        axes.set_xticks([])
        axes.set_yticks([])
        wrong = i in mistakes
        axes.spines[:].set_color(_MISTAKE if wrong else _FRAME)
        axes.spines[:].set_linewidth(2.5 if wrong else 0.6)
        if i < len(texts):
            style = {"color": _MISTAKE, "fontweight": "bold"} if wrong else {"color": _TEXT}
            axes.set_title(texts[i], fontsize="small", pad=3, **style)
    if title:
        figure.suptitle(title, fontsize="medium")
