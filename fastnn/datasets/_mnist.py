"""MNIST and data sets of the same form, from four IDX files that the user has. Never downloads anything.

An IDX file is a big-endian header (magic number 0x000008dd for bytes in dd dimensions, then each dimension in 32 bits)
and the bytes themselves, the last dimension fastest.
"""

import gzip
import os
import reprlib
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import numpy.typing as npt

from fastnn.datasets._data import Array, DataError, ImageData, real_dtype

# A header that is damaged can claim any size: nothing that real files of this kind hold comes near this.
_MOST_BYTES = 1 << 30
_CHUNK = 1 << 20


def load_mnist(directory: str | os.PathLike[str], *, dtype: npt.DTypeLike = "float32") -> ImageData:
    """MNIST, or a set of the same form (Fashion-MNIST, KMNIST), from a folder of four IDX files.

    Parameters
    ----------
    directory : path
        Holds ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``, ``t10k-images-idx3-ubyte`` and
        ``t10k-labels-idx1-ubyte``, each plain or with ``.gz`` behind the name (the plain one wins).
    dtype : {"float32", "float64"}
        Of the pixels.

    Returns
    -------
    ImageData
        For MNIST ``X_train`` (60000, 784), ``y_train`` (60000,), ``X_test`` (10000, 784), ``y_test`` (10000,),
        ``image_shape`` (28, 28). Pixels are k/255 with k = 0 … 255.

    Raises
    ------
    TypeError
        ``directory`` is no path.
    DataError
        The folder or a file is missing or unreadable, a file is not gzip though it is called so, is cut short or too
        long, has another magic number, holds no image, or the files do not fit each other. The message is one sentence.

    Examples
    --------
    >>> load_mnist("no/such/folder")
    Traceback (most recent call last):
        ...
    fastnn.datasets.DataError: no/such/folder: there is no such folder
    """
    real = real_dtype(dtype)
    try:
        folder = Path(directory)
    except TypeError:
        raise TypeError(f"directory: wanted a path, got {reprlib.repr(directory)}") from None
    try:
        if not folder.exists():
            raise DataError(f"{folder}: there is no such folder")
        if not folder.is_dir():
            raise DataError(f"{folder}: wanted a folder of IDX files, got a file")
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror or error})") from None
    X_train, y_train, train_shape = _images_and_labels(folder, "train", real)
    X_test, y_test, test_shape = _images_and_labels(folder, "t10k", real)
    if train_shape != test_shape:
        raise DataError(
            f"{folder}: training images are {_size(train_shape)} pixels but test images {_size(test_shape)}"
        )
    return ImageData(X_train, y_train, X_test, y_test, train_shape, f"{folder.resolve().name} (IDX files)")


def _size(shape: tuple[int, int]) -> str:
    return f"{shape[0]}×{shape[1]}"


def _images_and_labels(folder: Path, part: str, real: np.dtype[np.floating]) -> tuple[Array, Array, tuple[int, int]]:
    """One part's pixels (n, height*width), labels (n,) and image shape, checked against each other."""
    image_path = _find(folder, f"{part}-images-idx3-ubyte")
    label_path = _find(folder, f"{part}-labels-idx1-ubyte")
    images, labels = _read_idx(image_path, 3), _read_idx(label_path, 1)
    if len(images) != len(labels):
        raise DataError(
            f"{folder}: {image_path.name} has {len(images)} images but {label_path.name} {len(labels)} labels"
        )
    if images.size == 0:
        raise DataError(f"{image_path}: holds no pixels, its shape is {images.shape}")
    if labels.max() > 9:
        raise DataError(f"{label_path}: wanted labels 0 to 9, got {labels.max()}")
    X = images.reshape(len(images), -1).astype(real)
    X /= real.type(255)
    return X, labels.astype(np.intp), (images.shape[1], images.shape[2])


def _find(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise DataError(f"{folder}: there is no file {name} or {name}.gz in this folder")


def _read_idx(path: Path, dimensions: int) -> Array:
    """The uint8 array in an IDX file of so many dimensions; every kind of damage is a DataError."""
    try:
        if path.suffix == ".gz":
            with gzip.open(path, "rb") as stream:
                return _parse_idx(path, cast(BinaryIO, stream), dimensions)
        with path.open("rb") as stream:
            return _parse_idx(path, stream, dimensions)
    except EOFError:
        raise DataError(f"{path}: the gzip file is cut short") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: not a gzip file, or a damaged one ({error})") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None


def _parse_idx(path: Path, stream: BinaryIO, dimensions: int) -> Array:
    header = stream.read(4 + 4 * dimensions)
    wanted_magic = 0x0800 + dimensions
    if len(header) >= 4 and (magic := struct.unpack(">I", header[:4])[0]) != wanted_magic:
        raise DataError(f"{path}: wanted the IDX magic number {wanted_magic}, got {magic}")
    if len(header) < 4 + 4 * dimensions:
        raise DataError(f"{path}: cut short within its {4 + 4 * dimensions}-byte header ({len(header)} bytes)")
    shape = struct.unpack(f">{dimensions}I", header[4:])
    size = 1
    for length in shape:
        size *= length  # Python integers: no header can make this overflow
    if size > _MOST_BYTES:
        raise DataError(f"{path}: its header claims {' × '.join(map(str, shape))} bytes, more than this can be")
    body = bytearray()
    while len(body) <= size and (piece := stream.read(min(_CHUNK, size + 1 - len(body)))):
        body += piece
    if len(body) != size:
        held = f"{len(body)}" if len(body) < size else "more"
        raise DataError(f"{path}: its header promises {size} bytes of data, the file holds {held}")
    return np.frombuffer(body, dtype=np.uint8).reshape(shape)
