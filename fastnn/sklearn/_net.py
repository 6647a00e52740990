"""One engine with scikit-learn's view of its parameters: lists of coefficients and intercepts."""

from __future__ import annotations

from collections.abc import Sequence
from operator import is_
from typing import Any

import numpy as np

from fastnn._arrays import Array
from fastnn.engine import Engine
from fastnn.sklearn._losses import RULES, LossEngine
from fastnn.spec import NetworkSpec, _activation

# scikit-learn's names that differ, and the losses that contain the output's activation.
_NAMES = {"logistic": "sigmoid"}
_LOSSES = {"softmax": "softmax_cross_entropy", "logistic": "sigmoid_cross_entropy"}
HIDDEN = ("identity", "logistic", "tanh", "relu", "leaky_relu", "elu", "softplus", "gelu", "silu")


def hidden_activations(activation: Any, n_hidden: int) -> tuple[tuple[str, float], ...]:
    """One (name, alpha) for each hidden layer.

    Parameters
    ----------
    activation : str, or sequence of str or (str, float)
        The estimator's parameter.
    n_hidden : int

    Raises
    ------
    ValueError
        An unknown name, or another number of them than there are hidden layers.
    """
    values = [activation] * n_hidden if isinstance(activation, str) else list(activation)
    if len(values) != n_hidden:
        raise ValueError(f"activation: wanted one name or {n_hidden}, one per hidden layer, got {activation!r}")
    found = []
    for value in values:
        name = value if isinstance(value, str) else value[0]
        if name not in HIDDEN:
            raise ValueError(f"activation: wanted one of {', '.join(HIDDEN)}, got {name!r}")
        name = _NAMES.get(name, name)
        found.append(_activation(name if isinstance(value, str) else (name, value[1])))
    return tuple(found)


class Net:
    """An engine for an estimator, and what tells whether it still is the right one.

    Attributes
    ----------
    engine : Engine or LossEngine
    coefs, intercepts : tuple of ndarray
        Views of the engine's parameters.
    key : tuple
        Everything that the engine was made from.
    """

    __slots__ = ("activation", "coefs", "engine", "intercepts", "key")

    def __init__(self, key: tuple[Any, ...], activation: Any) -> None:
        spec, loss, parameter = key
        self.key, self.activation = key, activation
        engine: Any = LossEngine(spec, loss, parameter) if loss in RULES else Engine(spec)
        self.engine: Any = engine
        # scikit-learn reports squared errors as a mean over the outputs, but descends along the gradient of their sum.
        if loss not in ("log_loss", "poisson"):
            engine.loss_scale = 1.0 / spec.sizes[-1]
        engine.l2_by_weight = True
        if loss == "log_loss":
            engine.bound = float(np.finfo(spec.dtype).eps)
        views = spec.layer_views(engine.parameters)
        self.coefs: tuple[Array, ...] = tuple(W for W, _ in views)
        self.intercepts: tuple[Array, ...] = tuple(b for _, b in views)

    def holds(self, coefs: Sequence[Any], intercepts: Sequence[Any]) -> bool:
        """Whether these lists are made of this engine's own arrays."""
        return (
            len(coefs) == len(self.coefs) == len(intercepts)
            and all(map(is_, self.coefs, coefs))
            and all(map(is_, self.intercepts, intercepts))
        )

    def copy_in(self, coefs: Sequence[Any], intercepts: Sequence[Any]) -> None:
        """Take over the values of other arrays."""
        for mine, other in zip(self.coefs + self.intercepts, [*coefs, *intercepts], strict=True):
            if mine is not other:
                mine[...] = other


def network_key(estimator: Any, coefs: Sequence[Any], *, training: bool) -> tuple[Any, ...]:
    """What an engine for these coefficients is made from: spec, loss and the loss's parameter."""
    sizes = (coefs[0].shape[0], *(W.shape[1] for W in coefs))
    dtype = np.result_type(*coefs)
    out, loss = estimator.out_activation_, estimator.loss
    output = "identity" if loss in RULES else _NAMES.get(out, out)
    drops = estimator.dropout if hasattr(estimator.dropout, "__iter__") else [estimator.dropout] * (len(sizes) - 2)
    spec = NetworkSpec(
        sizes=sizes,
        activations=(*hidden_activations(estimator.activation, len(sizes) - 2), (output, 0.0)),
        loss=_LOSSES.get(out, "squared_error"),
        keep=tuple(1.0 - float(drop) for drop in drops) if training else (1.0,) * (len(sizes) - 2),
        l2=float(estimator.alpha) if training else 0.0,
        dtype="float32" if dtype == np.float32 else "float64",
        seed=getattr(estimator, "_dropout_seed", 0),
    )
    parameter = {"huber": "huber_delta", "quantile": "quantile"}.get(loss)
    return spec, loss, getattr(estimator, parameter) if parameter else 0.0
