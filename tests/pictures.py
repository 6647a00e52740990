"""Reads pictures back for the tests; not a test itself."""

from pathlib import Path

import numpy as np


def read_png(path: Path) -> np.ndarray:
    """Pixels (height, width, channels) in [0, 1] of a file that must be a PNG."""
    from matplotlib import image

    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    return image.imread(path)


def share_of(pixels: np.ndarray, colour: str, tolerance: float = 0.02) -> float:
    """Which share of the pixels has nearly this colour, given as #rrggbb."""
    wanted = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return float(np.mean(np.all(np.abs(pixels[..., :3] - wanted) < tolerance, axis=-1)))
