"""The regressor."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from sklearn import neural_network
from sklearn.base import _fit_context
from sklearn.metrics import r2_score
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.metaestimators import available_if

from fastnn._arrays import Array
from fastnn.sklearn._base import FastMLP
from fastnn.sklearn._compat import with_positions_of


class MLPRegressor(FastMLP, neural_network.MLPRegressor):  # type: ignore[misc]
    """Multilayer perceptron regressor: `sklearn.neural_network.MLPRegressor`, faster.

    The same parameters, attributes, random numbers and, up to rounding, results; the parameters from ``dropout`` on are
    new and do nothing by default.

    Parameters
    ----------
    loss : {"squared_error", "poisson", "huber", "quantile"}, default="squared_error"
        The first two as of scikit-learn. "huber" is half the square up to ``huber_delta`` and linear beyond, "quantile"
        the pinball loss. All but the first take up to twice its time.
    hidden_layer_sizes, activation, solver, alpha, batch_size, learning_rate, learning_rate_init, power_t, \
max_iter, shuffle, random_state, tol, verbose, warm_start, momentum, nesterovs_momentum, early_stopping, \
validation_fraction, beta_1, beta_2, epsilon, n_iter_no_change, max_fun
        As of `sklearn.neural_network.MLPRegressor`, whose defaults they have. Further values: ``activation`` also
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
    huber_delta : float, default=1.0
        Where loss "huber" becomes linear.
    quantile : float, default=0.5
        The quantile that loss "quantile" aims at.

    Attributes
    ----------
    coefs_, intercepts_, loss_, loss_curve_, best_loss_, validation_scores_, best_validation_score_, n_iter_, t_, \
n_layers_, n_outputs_, out_activation_, n_features_in_, feature_names_in_
        As of scikit-learn. After a fit ``coefs_`` and ``intercepts_`` are views of one vector; predictions follow when
        they are written to or replaced.
    validation_loss_curve_ : list of float, or None
        With ``early_stopping``, the loss of the validation rows after each epoch, without the penalty.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.preprocessing import scale
    >>> from fastnn.sklearn import MLPRegressor
    >>> X, y = (scale(values) for values in load_diabetes(return_X_y=True))
    >>> net = MLPRegressor(hidden_layer_sizes=[20], max_iter=50, tol=0.01, random_state=0).fit(X, y)
    >>> net.score(X, y) > 0.4
    True
    """

    _parameter_constraints: dict[str, Any] = {  # noqa: RUF012 - scikit-learn's name and form
        **neural_network.MLPRegressor._parameter_constraints,
        **FastMLP._own_constraints,
        "loss": [StrOptions({"squared_error", "poisson", "huber", "quantile"})],
        "huber_delta": [Interval(Real, 0, None, closed="neither")],
        "quantile": [Interval(Real, 0, 1, closed="neither")],
    }

    @with_positions_of(neural_network.MLPRegressor)
    def __init__(
        self,
        loss: Any = "squared_error",
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
        huber_delta: Any = 1.0,
        quantile: Any = 0.5,
    ) -> None:
        self.loss = loss
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
        self.huber_delta = huber_delta
        self.quantile = quantile

    @available_if(lambda est: est._check_solver())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """One epoch over the given data.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), optional

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            What ``fit`` refuses; other columns or sizes than before; nothing has changed then.
        AttributeError
            The solver is "lbfgs".
        """
        return self._fit(X, y, sample_weight=sample_weight, incremental=True)

    def predict(self, X: Any, *, check_input: bool = True) -> Array:
        """The outputs for the rows of X.

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
        out = self._forward_pass_fast(X, check_input)
        return out.ravel() if out.shape[1] == 1 else out

    # --- What `FastMLP` asks ------------------------------------------------------------------------------------------

    def _output_activation(self) -> str:
        return "exp" if self.loss == "poisson" else "identity"

    def _target(self, y: Array, dtype: np.dtype[Any]) -> Array:
        return np.require(y, dtype, "C")

    def _row_weights(self, y: Array, weight: Array | None, incremental: bool) -> Array | None:
        return weight

    def _validate(self, X: Any, y: Array, labels: Array, weight: Array | None) -> tuple[float, float]:
        """R² and loss of validation rows."""
        out = self._forward_pass_fast(X, check_input=False)
        if not np.isfinite(out).all():
            return np.nan, np.nan
        return _r2(labels, out, weight), self._validation_loss(out, y, weight)

    def _validation_loss(self, out: Array, y: Array, weight: Array | None) -> float:
        if self.loss == "squared_error":
            return 0.5 * float(np.average((out - y) ** 2, weights=weight, axis=0).mean())
        # The other losses take the linear output.
        rule, parameter = self._net.engine.rule, self._net.engine.parameter
        losses = np.average(
            rule(np.log(out) if self.loss == "poisson" else out, y, parameter)[0], weights=weight, axis=0
        )
        return float(losses.sum() if self.loss == "poisson" else losses.mean())


def _r2(y: Array, out: Array, weight: Array | None) -> float:
    """`r2_score` (n, outputs) without its checks, which take longer than an epoch of a small network."""
    rest = np.average((y - out) ** 2, weights=weight, axis=0)
    spread = np.average((y - np.average(y, weights=weight, axis=0)) ** 2, weights=weight, axis=0)
    if (spread == 0).any():  # scikit-learn says what such a score is
        return float(r2_score(y, out, sample_weight=weight))
    return float(np.mean(1 - rest / spread))
