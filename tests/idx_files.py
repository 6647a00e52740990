"""Small folders of IDX files for the tests that read them; not a test itself."""

import gzip
import struct
from pathlib import Path

import numpy as np

PARTS = (("train", 60), ("t10k", 20))


def idx_bytes(array: np.ndarray) -> bytes:
    """An IDX file's bytes for a uint8 array."""
    return struct.pack(f">I{array.ndim}I", 0x0800 + array.ndim, *array.shape) + array.tobytes()


def write_idx_folder(folder: Path, *, compressed: bool = True, side: int = 12) -> Path:
    """Four files of bright squares whose place tells the label: a problem that a network learns in a few epochs."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(5)
    for part, n in PARTS:
        labels = (np.arange(n) % 10).astype(np.uint8)
        images = rng.integers(0, 60, (n, side, side), dtype=np.uint8)
        for image, label in zip(images, labels, strict=True):
            row, column = divmod(int(label), 4)
            image[4 * row : 4 * row + 4, 3 * column : 3 * column + 3] = 255
        for name, array in ((f"{part}-images-idx3-ubyte", images), (f"{part}-labels-idx1-ubyte", labels)):
            raw = idx_bytes(array)
            path = folder / (f"{name}.gz" if compressed else name)
            path.write_bytes(gzip.compress(raw) if compressed else raw)
    return folder
