"""The classifier."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.special import xlogy
from sklearn import neural_network
from sklearn.base import _fit_context
from sklearn.metrics import accuracy_score
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target

from fastnn._arrays import Array
from fastnn._scalars import number
from fastnn.sklearn._base import FastMLP


class MLPClassifier(FastMLP, neural_network.MLPClassifier):  # type: ignore[misc]
    """Multilayer perceptron classifier: `sklearn.neural_network.MLPClassifier`, faster.

    The same parameters, attributes, random numbers and, up to rounding, results; the parameters from ``dropout`` on are
    new and do nothing by default.

    Parameters
    ----------
    hidden_layer_sizes, activation, solver, alpha, batch_size, learning_rate, learning_rate_init, power_t, \
max_iter, shuffle, random_state, tol, verbose, warm_start, momentum, nesterovs_momentum, early_stopping, \
validation_fraction, beta_1, beta_2, epsilon, n_iter_no_change, max_fun
        As of `sklearn.neural_network.MLPClassifier`, whose defaults they have. Further values: ``activation`` also
        "leaky_relu", "elu", "softplus", "gelu", "silu", or a list with a name, or (name, alpha), for each hidden layer;
        ``solver`` also "adamw".
    dropout : float or list of float, default=0.0
        The probability to drop a hidden output while training, one for all hidden layers or one for each. Not for
        "lbfgs".
    weight_decay : float, default=0.01
        Of solver "adamw", for every parameter; beside ``alpha``.
    clip_norm : float, optional
        Largest Euclidean norm of the gradient of a batch.
    callbacks : list of callable, optional
        Each is called with the estimator after every epoch; one that returns True ends training.
    progress : bool, default=False
        Show a progress bar over the epochs.
    n_jobs : int, optional
        Threads; -1 for all CPUs. By default what `fastnn.threads` says.
    class_weight : dict or "balanced", optional
        Multiplies the weight of each row by that of its class.

    Attributes
    ----------
    coefs_, intercepts_, loss_, loss_curve_, best_loss_, validation_scores_, best_validation_score_, n_iter_, t_, \
n_layers_, n_outputs_, out_activation_, n_features_in_, feature_names_in_, classes_
        As of scikit-learn. After a fit ``coefs_`` and ``intercepts_`` are views of one vector; predictions follow when
        they are written to or replaced.
    validation_loss_curve_ : list of float, or None
        With ``early_stopping``, the loss of the validation rows after each epoch, without the penalty.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fastnn.sklearn import MLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> net = MLPClassifier([20], solver="lbfgs", random_state=0).fit(X, y)
    >>> net.score(X, y) > 0.95
    True
    """

    _parameter_constraints: dict[str, Any] = {  # noqa: RUF012 - scikit-learn's name and form
        **neural_network.MLPClassifier._parameter_constraints,
        **FastMLP._own_constraints,
        "class_weight": [dict, str, None],
    }

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: Any = "adam",
        alpha: Any = 0.0001,
        batch_size: Any = "auto",
        learning_rate: Any = "constant",
        learning_rate_init: Any = 0.001,
        power_t: Any = 0.5,
        max_iter: Any = 200,
        shuffle: Any = True,
        random_state: Any = None,
        tol: Any = 1e-4,
        verbose: Any = False,
        warm_start: Any = False,
        momentum: Any = 0.9,
        nesterovs_momentum: Any = True,
        early_stopping: Any = False,
        validation_fraction: Any = 0.1,
        beta_1: Any = 0.9,
        beta_2: Any = 0.999,
        epsilon: Any = 1e-8,
        n_iter_no_change: Any = 10,
        max_fun: Any = 15000,
        dropout: Any = 0.0,
        weight_decay: Any = 0.01,
        clip_norm: Any = None,
        callbacks: Any = None,
        progress: Any = False,
        n_jobs: Any = None,
        class_weight: Any = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.dropout = dropout
        self.weight_decay = weight_decay
        self.clip_norm = clip_norm
        self.callbacks = callbacks
        self.progress = progress
        self.n_jobs = n_jobs
        self.class_weight = class_weight
        self.loss = "log_loss"

    @available_if(lambda est: est._check_solver())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Any:
        """One epoch over the given data.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), optional
        classes : array-like, optional
            All classes that any call will bring; wanted at the first call.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            What ``fit`` refuses; other classes, columns or sizes than before; nothing has changed then.
        AttributeError
            The solver is "lbfgs".
        """
        known = hasattr(self, "classes_")
        try:
            if _check_partial_fit_first_call(self, classes):
                self._label_binarizer = LabelBinarizer()
                self._label_binarizer.fit(y if type_of_target(y).startswith("multilabel") else classes)
            return self._fit(X, y, sample_weight=sample_weight, incremental=True)
        except BaseException:
            if not known and not hasattr(self, "coefs_"):  # refused: the next call is the first again
                self.__dict__.pop("classes_", None)
            raise

    def predict(self, X: Any, *, check_input: bool = True) -> Array:
        """The classes of the rows of X.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        check_input : bool, default=True
            False leaves out every check of X, which for few rows takes most of the time: X has to be a C-contiguous
            array of the coefficients' dtype and of the right shape, without NaN or infinity.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ValueError, TypeError
            X has other columns than in ``fit``, NaN or infinity, or is not of real numbers.
        """
        return self._predict(X, check_input)

    def _predict(self, X: Any, check_input: bool = True) -> Array:
        return self._labels(self._forward_pass_fast(X, check_input))

    def predict_proba(self, X: Any, *, check_input: bool = True) -> Array:
        """The probability of each class, or of each label of several.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        check_input : bool, default=True
            As of `predict`.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)

        Raises
        ------
        NotFittedError, ValueError, TypeError
            As `predict`.
        """
        out = self._forward_pass_fast(X, check_input)
        return np.concatenate([1 - out, out], axis=1) if out.shape[1] == 1 else out

    def predict_log_proba(self, X: Any, *, check_input: bool = True) -> Array:
        """The logarithm of `predict_proba`.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        check_input : bool, default=True
            As of `predict`.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        p = self.predict_proba(X, check_input=check_input)
        return np.log(p, out=p)

    # --- What `FastMLP` asks ------------------------------------------------------------------------------------------

    def _output_activation(self) -> str:
        return "softmax" if self._label_binarizer.y_type_ == "multiclass" else "logistic"

    def _target(self, y: Array, dtype: np.dtype[Any]) -> Array:
        """Labels 0, 1, 2 … for softmax, else rows of 0 and 1."""
        if self.out_activation_ == "softmax":
            return y.argmax(axis=1)
        return np.require(y, dtype, "C")

    def _row_weights(self, y: Array, weight: Array | None, incremental: bool) -> Array | None:
        if self.class_weight is None:
            return weight
        if incremental and self.class_weight == "balanced":
            raise ValueError(
                "class_weight='balanced' is not supported for partial_fit, which does not see all of y: give a dict, "
                "such as sklearn.utils.class_weight.compute_class_weight makes"
            )
        labels = self._label_binarizer.inverse_transform(y.astype(int))
        try:
            found = compute_sample_weight(self.class_weight, labels)
        except ValueError as error:
            raise ValueError(f"class_weight: wanted a weight for each class of y, got {self.class_weight!r}") from error
        return found if weight is None else found * weight

    def _check_class_weight(self) -> None:
        weight = self.class_weight
        if isinstance(weight, str) and weight != "balanced":
            raise ValueError(f"class_weight: wanted 'balanced' or a dict of weights, got {weight!r}")
        if isinstance(weight, dict):
            for value in weight.values():
                if not math.isfinite(number("class_weight", value)):
                    raise ValueError(f"class_weight: wanted finite numbers, got {value!r}")

    def _labels(self, out: Array) -> Array:
        """What `LabelBinarizer.inverse_transform` makes of the outputs, without its checks."""
        classes = self.classes_
        if self.out_activation_ == "softmax":
            return classes.take(out.argmax(axis=-1))
        if out.shape[1] == 1 and len(classes) == 2:
            return classes.take(out[:, 0] > 0.5)
        return self._label_binarizer.inverse_transform(out.ravel() if self.n_outputs_ == 1 else out)

    def _validate(self, X: Any, y: Array, labels: Array, weight: Array | None) -> tuple[float, float]:
        """Accuracy and loss of validation rows; y as the binariser made it."""
        out = self._forward_pass_fast(X, check_input=False)
        if not np.isfinite(out).all():
            return np.nan, np.nan
        score = _accuracy(labels, self._labels(out), weight)
        p = np.clip(out, np.finfo(out.dtype).eps, 1 - np.finfo(out.dtype).eps)
        losses = xlogy(y, p) if self.out_activation_ == "softmax" else xlogy(y, p) + xlogy(1 - y.astype(int), 1 - p)
        return score, -float(np.average(losses, weights=weight, axis=0).sum())


def _accuracy(labels: Array, predicted: Array, weight: Array | None) -> float:
    """`accuracy_score` without its checks of labels, which take longer than an epoch of a small network."""
    if labels.ndim == predicted.ndim == 1:
        return float(np.average(labels == predicted, weights=weight))
    return float(accuracy_score(labels, predicted, sample_weight=weight))
