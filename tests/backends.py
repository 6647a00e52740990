"""What the tests run everything on: both backends of `MLP`, both twins of the ops. Not a test itself."""

import numpy as np
import pytest

import fastnn

BACKENDS = ("compiled", "reference")

on_both = pytest.mark.parametrize("backend", BACKENDS)
on_both_ops = pytest.mark.parametrize("ops", [fastnn.kernels, fastnn.reference], ids=["kernels", "reference"])

# The project's table: relative to the float64 reference, for sums of ordinary length.
TOLERANCE = {"float32": 5e-6, "float64": 1e-12}


def relative_error(a: np.ndarray, b: np.ndarray) -> float:
    """Norm of the difference over the sum of the norms; 0 for two zero vectors."""
    a, b = np.asarray(a, np.float64).ravel(), np.asarray(b, np.float64).ravel()
    size = np.linalg.norm(a) + np.linalg.norm(b)
    return float(np.linalg.norm(a - b) / size) if size else 0.0


def central_differences(net: fastnn.MLP, where: np.ndarray, *args: object, step: int | None = None) -> np.ndarray:
    """Derivatives of ``net.loss(*args)`` by the parameters numbered ``where``, by a fourth-order formula."""
    h, p = 1e-4, net.parameters
    derivatives = np.empty(len(where))
    for k, i in enumerate(where):
        kept = p[i]
        values = []
        for shift in (-2, -1, 1, 2):
            p[i] = kept + shift * h
            values.append(net.loss(*args, step=step))
        p[i] = kept
        derivatives[k] = (8 * (values[2] - values[1]) - (values[3] - values[0])) / (12 * h)
    return derivatives
