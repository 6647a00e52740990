"""scikit-learn's own multilayer perceptrons: one batch of ``partial_fit``, ``predict_proba``, and whole estimators."""

import warnings
from typing import Any

import numpy as np
from workloads import Workload

import fastnn
from peers.contender import Call, Contender, Learner, Unavailable, layers, need


def _classes(workload: Workload) -> int | None:
    """Of the classifier that is this network; None where it is a regressor."""
    n_out = workload.sizes[-1]
    if workload.output == "identity":
        return None
    if workload.output == "softmax" and n_out > 2:
        return n_out
    if workload.output == "sigmoid" and n_out == 1:
        return 2
    raise Unavailable(f"scikit-learn has no {workload.output} of {n_out}")


def _model(workload: Workload, net: fastnn.MLP) -> tuple[Any, np.ndarray, np.ndarray]:
    """An estimator with our parameters, inputs, and targets in its own form."""
    classes = _classes(workload)
    (networks,) = need("sklearn.neural_network")
    ours = workload.optimizer()
    settings = {
        "hidden_layer_sizes": workload.sizes[1:-1],
        "activation": workload.activation,
        "solver": {fastnn.SGD: "sgd", fastnn.Adam: "adam"}[type(ours)],
        "alpha": 0.0,
        "batch_size": workload.batch,
        "learning_rate_init": ours.lr,
        "shuffle": False,
        "momentum": 0.0,
        "nesterovs_momentum": False,
    }
    X, y = workload.data(net.dtype.name)
    if classes is None:
        model = networks.MLPRegressor(**settings)
        model.partial_fit(X, y)
    else:
        y = y.ravel().astype(np.int64)
        model = networks.MLPClassifier(**settings)
        model.partial_fit(X, y, classes=np.arange(classes))
    _set_parameters(model, net)
    return model, X, y


def _set_parameters(model: Any, net: fastnn.MLP) -> None:
    """Those of our network in a model that has made a first step."""
    for mine, theirs in zip(layers(net), zip(model.coefs_, model.intercepts_, strict=True), strict=True):
        for a, b in zip(mine, theirs, strict=True):
            b[...] = a
    del model._optimizer  # the moments of that first step; the next one makes another


def step(workload: Workload, dtype: str) -> Contender:
    """``partial_fit`` of one batch."""
    model, X, y = _model(workload, workload.network(dtype, "compiled"))
    # Its squared error is a mean over the outputs too, its gradient is not.
    scale = workload.sizes[-1] if workload.output == "identity" else 1

    def call() -> float:
        model.partial_fit(X, y)
        return model.loss_ * scale

    # Its Adam adds epsilon before it corrects the moments, as in the paper's faster form.
    tolerance = 2e-4 if isinstance(workload.optimizer(), fastnn.Adam) else 0.0
    return Contender(call, losses=tuple(call() for _ in range(3)), tolerance=tolerance)


def predict(workload: Workload, net: fastnn.MLP, X: np.ndarray) -> Call:
    """``predict_proba`` of a classifier, ``predict`` of a regressor."""
    model, _, _ = _model(workload, net)
    if workload.output == "sigmoid":
        return lambda: model.predict_proba(X)[:, 1:]
    function = model.predict if workload.output == "identity" else model.predict_proba
    return lambda: function(X)


def learner(net: fastnn.MLP, X: np.ndarray, y: np.ndarray, batch: int, rate: float, seed: int) -> Learner:
    """``partial_fit``, which is an epoch; two rows make the arrays that get our network's parameters."""
    (networks,) = need("sklearn.neural_network")
    settings = {"hidden_layer_sizes": net.sizes[1:-1], "alpha": 0.0, "batch_size": batch, "learning_rate_init": rate}
    model = networks.MLPClassifier(**settings, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that two rows are fewer than a batch
        model.partial_fit(X[:2], y[:2], classes=np.arange(net.sizes[-1]))
    _set_parameters(model, net)
    return Learner(lambda: model.partial_fit(X, y), model.predict)


def estimator(module: str, name: str) -> type:
    """The class of that name: scikit-learn's, or ours with its interface."""
    (found,) = need(module)
    return getattr(found, name)
