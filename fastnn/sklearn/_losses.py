"""Losses of the regressor that the compiled engine does not have: the reference engine with another data term.

The data term is NumPy, all else the compiled ops, one call after another. Each takes the last layer's linear output.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import xlogy

from fastnn import kernels
from fastnn._arrays import Array
from fastnn._reference_engine import ReferenceEngine
from fastnn.spec import NetworkSpec

# (linear output, target, parameter) -> (loss, slope), elementwise
Rule = Callable[[Array, Array, float], tuple[Array, Array]]


def poisson(z: Array, t: Array, _: float) -> tuple[Array, Array]:
    """Half the Poisson deviance of the mean e^z."""
    mean = np.exp(z)
    return xlogy(t, t / mean) - t + mean, mean - t


def huber(z: Array, t: Array, delta: float) -> tuple[Array, Array]:
    """Half the square within delta, linear beyond."""
    residual = z - t
    slope = np.clip(residual, -delta, delta)
    return slope * (residual - 0.5 * slope), slope


def quantile(z: Array, t: Array, q: float) -> tuple[Array, Array]:
    """The pinball loss, whose minimum is at the quantile q."""
    residual = z - t
    slope = np.where(residual > 0, 1.0 - q, -q).astype(z.dtype)
    return slope * residual, slope


RULES: dict[str, Rule] = {"poisson": poisson, "huber": huber, "quantile": quantile}


class LossEngine(ReferenceEngine):
    """`ReferenceEngine` over compiled ops, its loss one of `RULES`; with "poisson", ``predict`` gives means."""

    ops = kernels

    def __init__(self, spec: NetworkSpec, loss: str, parameter: float) -> None:
        super().__init__(spec)
        self.rule, self.parameter = RULES[loss], parameter
        self.log_link = loss == "poisson"

    def predict(self, X: Array, out: Array | None = None) -> Array:
        """The outputs, behind the link."""
        y = super().predict(X, out)
        return np.exp(y, out=y) if self.log_link else y

    def input_gradient(self, X: Array, dY: Array, out: Array | None = None) -> Array:
        """The vector–Jacobian product, through the link."""
        return super().input_gradient(X, dY * self.predict(X) if self.log_link else dY, out)

    def _loss(self, y: Array, target: Array, weight: Array | None, *, gradient: bool) -> tuple[float, Any]:
        share: Any = np.full(len(y), 1.0 / len(y)) if weight is None else weight / (weight.sum() or 1.0)
        loss, slope = self.rule(y, target, self.parameter)
        total = float(share @ loss.sum(axis=1, dtype=np.float64))
        return total, (slope * share[:, None]).astype(y.dtype) if gradient else None
