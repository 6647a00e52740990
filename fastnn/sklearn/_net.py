"""One engine with scikit-learn's view of its parameters: lists of coefficients and intercepts."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from operator import is_
from typing import Any

import numpy as np

from fastnn._arrays import Array
from fastnn._scalars import number
from fastnn.engine import Engine
from fastnn.sklearn._losses import RULES, LossEngine
from fastnn.spec import NetworkSpec, _activation, _check_activation

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
    TypeError
        Neither a name nor a pair.
    ValueError
        An unknown name, an alpha that it does not take, or another number of them than there are hidden layers.
    """
    values = [activation] * n_hidden if isinstance(activation, str) else list(activation)
    if len(values) != n_hidden:
        raise ValueError(f"activation: wanted one name or {n_hidden}, one per hidden layer, got {activation!r}")
    found = []
    for value in values:
        name = value[0] if isinstance(value, (list, tuple)) and len(value) == 2 else value
        if not isinstance(name, str):
            raise TypeError(f"activation: wanted a name or a pair (name, alpha), got {value!r}")
        if name not in HIDDEN:
            raise ValueError(f"activation: wanted one of {', '.join(HIDDEN)}, got {name!r}")
        name = _NAMES.get(name, name)
        found.append(_activation(name if isinstance(value, str) else (name, value[1])))
        _check_activation(*found[-1])
    return tuple(found)


def hidden_drops(dropout: Any, n_hidden: int) -> tuple[float, ...]:
    """The probability to drop an output of each hidden layer.

    Parameters
    ----------
    dropout : float or sequence of float
        The estimator's parameter.
    n_hidden : int

    Raises
    ------
    TypeError
        One is no number.
    ValueError
        One is not in [0, 1), or there is another number of them than there are hidden layers.
    """
    values = list(dropout) if hasattr(dropout, "__iter__") else [dropout] * n_hidden
    if len(values) != n_hidden:
        raise ValueError(f"dropout: wanted one number or {n_hidden}, one per hidden layer, got {dropout!r}")
    drops = tuple(number("dropout", value) for value in values)
    for drop in drops:
        if not 0.0 <= drop < 1.0:
            raise ValueError(f"dropout: wanted probabilities in [0, 1), got {drop}")
    return drops


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
        # A copy: the estimator's own may be a list that is written to.
        self.key, self.activation = key, copy.deepcopy(activation)
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
    """What an engine for these coefficients is made from: spec, loss and the loss's parameter.

    The loss is that of the last fit, whatever the estimator's parameter is now; scikit-learn's tell it by their output.
    """
    sizes = (coefs[0].shape[0], *(W.shape[1] for W in coefs))
    dtype = np.result_type(*coefs)
    out = estimator.out_activation_
    loss = getattr(estimator, "_fitted_loss", {"exp": "poisson", "identity": "squared_error"}.get(out, "log_loss"))
    output = "identity" if loss in RULES else _NAMES.get(out, out)
    drops = hidden_drops(estimator.dropout, len(sizes) - 2) if training else (0.0,) * (len(sizes) - 2)
    spec = NetworkSpec(
        sizes=sizes,
        activations=(*hidden_activations(estimator.activation, len(sizes) - 2), (output, 0.0)),
        loss=_LOSSES.get(out, "squared_error"),
        keep=tuple(1.0 - drop for drop in drops),
        l2=float(estimator.alpha) if training else 0.0,
        dtype="float32" if dtype == np.float32 else "float64",
        seed=getattr(estimator, "_dropout_seed", 0),
    )
    parameter = {"huber": "huber_delta", "quantile": "quantile"}.get(loss) if training else None
    return spec, loss, getattr(estimator, parameter) if parameter else 0.0
