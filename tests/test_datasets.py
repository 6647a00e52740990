"""The shipped digits, MNIST folders whole and damaged, the flower."""

import gzip
import hashlib
import os
import struct
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from idx_files import idx_bytes, write_idx_folder

from fastnn.datasets import DataError, load_digits, load_mnist, make_flower, stratified_split

IMAGES, LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"


def test_digits_are_the_uci_test_set() -> None:
    data = load_digits()
    assert data.X_train.shape == (1433, 64) and data.X_test.shape == (364, 64)
    assert data.X_train.dtype == np.float32 and data.y_train.dtype == np.intp
    assert data.X_train.min() == 0 and data.X_train.max() == 1
    counts = np.bincount(np.concatenate([data.y_train, data.y_test]))
    assert counts.tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]  # as the UCI page lists them
    assert set(np.bincount(data.y_test)) == {35, 36, 37}
    levels = np.concatenate([data.X_train, data.X_test]).astype(np.float64) * 16
    assert np.array_equal(levels, levels.round())


def test_digits_file_is_small_and_unchanged() -> None:
    packed = resources.files("fastnn.datasets").joinpath("digits.npz")
    assert len(packed.read_bytes()) < 100_000
    with packed.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
        pixels = file["images"].tobytes() + file["labels"].tobytes()
    assert hashlib.sha256(pixels).hexdigest() == "87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826"
    assert "CC BY 4.0" in resources.files("fastnn.datasets").joinpath("README.md").read_text("utf-8")


def test_digits_dtype() -> None:
    assert load_digits(dtype=np.float64).X_test.dtype == np.float64
    with pytest.raises(ValueError, match="wanted float32 or float64, got int32"):
        load_digits(dtype="int32")
    with pytest.raises(TypeError, match="dtype: wanted float32 or float64, got 'x'"):
        load_digits(dtype="x")


def test_stratified_split_keeps_proportions_and_every_row() -> None:
    y = np.random.default_rng(0).permutation(np.repeat([3, 7, 9], [50, 100, 10]))
    train, test = stratified_split(y, every=5)
    assert np.array_equal(np.sort(np.concatenate([train, test])), np.arange(160))
    assert [int((y[test] == c).sum()) for c in (3, 7, 9)] == [10, 20, 2]
    with pytest.raises(ValueError, match="every"):
        stratified_split(y, every=1)
    with pytest.raises(TypeError, match=r"every: wanted an integer, got 2\.5"):
        stratified_split(y, every=2.5)
    with pytest.raises(ValueError, match="one dimension"):
        stratified_split(np.eye(2))


@pytest.mark.parametrize("compressed", [True, False])
def test_mnist_folder(tmp_path: Path, compressed: bool) -> None:
    data = load_mnist(write_idx_folder(tmp_path, compressed=compressed), dtype="float64")
    assert data.X_train.shape == (60, 144) and data.X_test.shape == (20, 144)
    assert data.image_shape == (12, 12) and data.X_train.dtype == np.float64
    assert data.y_test.tolist() == [*range(10), *range(10)]
    assert data.X_train.max() == 1 and data.X_train[0].reshape(12, 12)[0, 0] == 1  # label 0: the first square is bright
    assert float(data.X_train[0, 11] * 255).is_integer()


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def _rewrite(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        path.write_bytes(gzip.compress(change(gzip.decompress(path.read_bytes()))))

    return damage


def _flip_inside(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 0xFF
    path.write_bytes(bytes(raw))


DAMAGES: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "missing": (IMAGES, Path.unlink, "there is no file train-images-idx3-ubyte or train-images-idx3-ubyte.gz"),
    "folder in its place": (LABELS, lambda p: (p.unlink(), p.mkdir())[1], "there is no file train-labels"),
    "not gzip": (IMAGES, lambda p: p.write_bytes(b"<html>not found</html>") and None, "not a gzip file"),
    "empty": (IMAGES, lambda p: p.write_bytes(b"") and None, "cut short within its 16-byte header"),
    "gzip cut short": (IMAGES, _cut, "cut short"),
    "gzip damaged": (IMAGES, _flip_inside, "damaged"),
    "header cut short": (LABELS, _rewrite(lambda raw: raw[:6]), r"8-byte header \(6 bytes\)"),
    "data cut short": (IMAGES, _rewrite(lambda raw: raw[:-5]), "promises 8640 bytes of data, the file holds 8635"),
    "too long": (LABELS, _rewrite(lambda raw: raw + b"x"), "promises 60 bytes of data, the file holds more"),
    "wrong magic": (IMAGES, _rewrite(lambda raw: b"\0\0\x08\1" + raw[4:]), "magic number 2051, got 2049"),
    "other counts": (LABELS, lambda p: p.write_bytes(gzip.compress(idx_bytes(np.zeros(7, np.uint8)))) and None,
                     "has 60 images but train-labels-idx1-ubyte.gz 7 labels"),
    "label 200": (LABELS, _rewrite(lambda raw: raw[:-1] + b"\xc8"), "wanted labels 0 to 9, got 200"),
    "huge claim": (IMAGES, _rewrite(lambda raw: raw[:4] + struct.pack(">III", 2**32 - 1, 2**32 - 1, 2**32 - 1)),
                   "more than this can be"),
    "no image": (IMAGES, lambda p: p.write_bytes(gzip.compress(idx_bytes(np.zeros((0, 12, 12), np.uint8)))) and None,
                 "0 images"),
    "another size": (IMAGES, lambda p: p.write_bytes(gzip.compress(idx_bytes(np.zeros((60, 9, 9), np.uint8)))) and None,
                     "training images are 9×9 pixels but test images 12×12"),
}  # fmt: skip


@pytest.mark.parametrize("kind", DAMAGES)
def test_damaged_mnist_is_one_clear_sentence(tmp_path: Path, kind: str) -> None:
    name, damage, message = DAMAGES[kind]
    damage(write_idx_folder(tmp_path) / name)
    with pytest.raises(DataError, match=message) as caught:
        load_mnist(tmp_path)
    assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)


def test_mnist_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such folder"):
        load_mnist(tmp_path / "absent")
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(DataError, match="wanted a folder of IDX files, got a file"):
        load_mnist(file)
    with pytest.raises(DataError, match=r"a: (there is no such folder|cannot be read)"):  # the name is too long
        load_mnist("a" * 5000)


@pytest.mark.parametrize("directory", [None, b"folder", 3])
def test_what_is_no_path_is_refused(directory: object) -> None:
    with pytest.raises(TypeError, match=f"directory: wanted a path, got {directory!r}"):
        load_mnist(directory)


@pytest.mark.skipif("FASTNN_DATA" not in os.environ, reason="FASTNN_DATA does not name a folder of MNIST files")
def test_real_mnist() -> None:
    data = load_mnist(os.environ["FASTNN_DATA"])
    assert data.X_train.shape == (60000, 784) and data.X_test.shape == (10000, 784)
    assert np.bincount(data.y_test).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_flower_is_balanced_seeded_and_not_linearly_separable() -> None:
    X, y = make_flower(401, seed=3, dtype="float64")
    assert X.shape == (401, 2) and np.bincount(y).tolist() == [200, 201]
    assert np.array_equal(X, make_flower(401, seed=3, dtype="float64")[0])
    assert not np.array_equal(X, make_flower(401, seed=4, dtype="float64")[0])
    assert 3.5 < np.linalg.norm(X, axis=1).max() < 5.0  # four units of petal and its noise
    plane = np.linalg.lstsq(np.c_[X, np.ones(401)], 2.0 * y - 1, rcond=None)[0]
    assert np.mean((np.c_[X, np.ones(401)] @ plane > 0) == y) < 0.65
    with pytest.raises(ValueError, match="at least 2 points, got 1"):
        make_flower(1)
    for n in (2.5, "4"):
        with pytest.raises(TypeError, match=f"n: wanted an integer, got {n!r}"):
            make_flower(n)
