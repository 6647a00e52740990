"""The 1,797 digits that ship with the package. Reads one file beside this one, and nothing else."""

from importlib import resources

import numpy as np
import numpy.typing as npt

from fastnn.datasets._data import ImageData, real_dtype, stratified_split


def load_digits(*, dtype: npt.DTypeLike = "float32") -> ImageData:
    """The UCI optical digits: 1,797 real handwritten digits of 8×8 pixels, divided into 1,433 and 364.

    The division is fixed: of each class every fifth image, in the order of the original file, is test data
    (`stratified_split`), so both parts hold all ten classes and all thirteen writers.

    Parameters
    ----------
    dtype : {"float32", "float64"}
        Of the pixels.

    Returns
    -------
    ImageData
        ``X_train`` (1433, 64), ``y_train`` (1433,), ``X_test`` (364, 64), ``y_test`` (364,), ``image_shape`` (8, 8).
        Pixels are k/16 with k = 0 … 16, the share of ink in a 4×4 block of the scan.

    Notes
    -----
    Source: E. Alpaydin and C. Kaynak, *Optical Recognition of Handwritten Digits*, UCI Machine Learning Repository,
    1998, https://doi.org/10.24432/C50P49, licence CC BY 4.0; only the container was changed (see README.md beside
    this file).

    Examples
    --------
    >>> data = load_digits()
    >>> data.X_train.shape, data.X_test.shape, data.X_train.dtype
    ((1433, 64), (364, 64), dtype('float32'))
    """
    real = real_dtype(dtype)
    packed = resources.files("fastnn.datasets").joinpath("digits.npz")
    with packed.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
        images, labels = file["images"], file["labels"]
    X = images.reshape(len(images), -1).astype(real) / real.type(16)
    y = labels.astype(np.intp)
    train, test = stratified_split(y, every=5)
    return ImageData(X[train], y[train], X[test], y[test], (8, 8), "UCI optical digits")
