"""What every loader returns, the one error they raise, and the split that needs no random numbers."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastnn._scalars import integer

Array = npt.NDArray[Any]


class DataError(ValueError):
    """A data file or folder is missing, damaged or not what was asked for; the message is one sentence."""

    __module__ = "fastnn.datasets"  # the public place, which tracebacks then name


class ImageData(NamedTuple):
    """Labelled images as rows, divided into training and test data.

    The parameters are its fields.

    Parameters
    ----------
    X_train : ndarray, shape (n, height * width), float32 or float64
        Pixels in [0, 1], 0 is the background; one image a row, its pixels row by row.
    y_train : ndarray of intp, shape (n,)
        The labels, 0 to 9.
    X_test, y_test : ndarray
        The same of the test data.
    image_shape : tuple of int
        (height, width), so ``X_test[0].reshape(data.image_shape)`` is a picture.
    name : str
        What the data are, for headings.

    Examples
    --------
    >>> data = datasets.load_digits()
    >>> data.name, data.X_test.shape, data.X_test[0].reshape(data.image_shape).shape
    ('UCI optical digits', (364, 64), (8, 8))
    """

    X_train: Array
    y_train: Array
    X_test: Array
    y_test: Array
    image_shape: tuple[int, int]
    name: str


def real_dtype(dtype: npt.DTypeLike) -> np.dtype[Any]:
    """The NumPy dtype of ``dtype``; ValueError unless it is float32 or float64, TypeError if it is none."""
    try:
        wanted = np.dtype(dtype)
    except TypeError:
        raise TypeError(f"dtype: wanted float32 or float64, got {dtype!r}") from None
    if wanted not in (np.float32, np.float64):
        raise ValueError(f"dtype: wanted float32 or float64, got {wanted}")
    return wanted


def stratified_split(y: npt.ArrayLike, every: int = 5) -> tuple[Array, Array]:
    """Divide rows into training and test rows, each class in the same proportion, without random numbers.

    Of each class, in the order given, every ``every``-th row is a test row, beginning with the first.

    Parameters
    ----------
    y : array_like, shape (n,)
        The class of each row.
    every : int
        At least 2; about ``n / every`` rows are test rows.

    Returns
    -------
    train : ndarray of intp
        Row numbers, increasing.
    test : ndarray of intp
        Row numbers, increasing; with those of ``train`` every row exactly once.

    Raises
    ------
    TypeError
        ``every`` is no integer.
    ValueError
        ``y`` is not one-dimensional or ``every`` is below 2.

    Examples
    --------
    >>> stratified_split(["a", "a", "b", "a", "b"], every=2)
    (array([1, 4]), array([0, 2, 3]))
    """
    labels = np.asarray(y)
    if labels.ndim != 1:
        raise ValueError(f"y: wanted one dimension, got shape {labels.shape}")
    every = integer("every", every, 2)
    is_test = np.zeros(labels.size, dtype=bool)
    for label in np.unique(labels):
        is_test[np.flatnonzero(labels == label)[::every]] = True
    return np.flatnonzero(~is_test), np.flatnonzero(is_test)
