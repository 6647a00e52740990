"""What the classifier and the regressor share: fit, prediction, and the engine behind the fitted attributes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from itertools import pairwise
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import scipy.sparse
from sklearn import get_config
from sklearn.base import _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from fastnn import _core
from fastnn._arrays import Array
from fastnn._scalars import integer
from fastnn.config import threads
from fastnn.sklearn._callbacks import CallbackSupport, FitTasks
from fastnn.sklearn._compat import validate_X
from fastnn.sklearn._convert import Convertible
from fastnn.sklearn._net import HIDDEN, Net, hidden_activations, hidden_drops, network_key
from fastnn.sklearn._training import NOT_FINITE, STOCHASTIC, dense, fit_lbfgs, fit_stochastic

_MOST_THREADS = 256  # of `fastnn.threads`
_ROWS = 1024  # of a sparse X that are made dense at a time


class FastMLP(Convertible, CallbackSupport):  # type: ignore[misc]
    """Goes in front of scikit-learn's class: its surface, other arithmetic."""

    # Of the parameters that scikit-learn does not have; the rest comes from its class.
    _own_constraints: ClassVar[dict[str, Any]] = {
        "activation": [StrOptions(set(HIDDEN)), list, tuple],
        "solver": [StrOptions({"lbfgs", *STOCHASTIC})],
        "dropout": [Interval(Real, 0, 1, closed="left"), list, tuple],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "clip_norm": [Interval(Real, 0, None, closed="neither"), None],
        "callbacks": [list, tuple, None],
        "progress": ["boolean"],
        "n_jobs": [Integral, None],
    }

    # --- Fit ----------------------------------------------------------------------------------------------------------

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Fit the model to X and y.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Class labels, or numbers for the regressor.
        sample_weight : array-like of shape (n_samples,), optional

        Returns
        -------
        self
        """
        return self._fit(X, y, sample_weight=sample_weight, incremental=False)

    def _fit(self: Any, X: Any, y: Any, sample_weight: Any = None, incremental: bool = False) -> Any:
        hidden = self._checked_hidden()
        tasks = FitTasks(self)
        try:
            self._train(X, y, sample_weight, incremental, hidden, tasks)
        except BaseException:
            if tasks.before is not None:
                # Refused for what only the data tell: the estimator is as it was. What scikit-learn's callbacks keep
                # stays, for they are taken down behind this.
                kept = {name: value for name, value in vars(self).items() if "callback" in name}
                vars(self).clear()
                vars(self).update(tasks.before | kept)
            raise
        return self

    def _checked_hidden(self: Any) -> list[int]:
        """The hidden layers' sizes, once all parameters that scikit-learn's constraints do not cover are sound."""
        hidden = self.hidden_layer_sizes if hasattr(self.hidden_layer_sizes, "__iter__") else [self.hidden_layer_sizes]
        hidden = [integer("hidden_layer_sizes", size) for size in hidden]
        if any(size <= 0 for size in hidden):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {hidden}.")
        hidden_activations(self.activation, len(hidden))
        hidden_drops(self.dropout, len(hidden))
        for callback in self.callbacks or ():
            if not callable(callback):
                raise TypeError(f"callbacks: wanted callables, got {callback!r}")
        self._n_threads()
        self._check_class_weight()
        return hidden

    def _train(
        self: Any, X: Any, y: Any, sample_weight: Any, incremental: bool, hidden: list[int], tasks: FitTasks
    ) -> None:
        first = not hasattr(self, "coefs_") or (not self.warm_start and not incremental)
        sizes = [*hidden, None] if first else [W.shape[1] for W in self.coefs_]
        if hidden != sizes[:-1]:
            raise ValueError(f"hidden_layer_sizes: wanted {sizes[:-1]} as fitted, to go on from there, got {hidden}")
        given = X, y, sample_weight
        X, y = self._validate_input(X, y, incremental, reset=first)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X)
        y = y.reshape(-1, 1) if y.ndim == 1 else y
        if sizes[-1] not in (None, y.shape[1]):
            raise ValueError(f"y: wanted {sizes[-1]} outputs as fitted, to go on from there, got {y.shape[1]}")
        self.n_outputs_ = y.shape[1]
        self._random_state = check_random_state(self.random_state)
        if first:
            self._begin([X.shape[1], *hidden, self.n_outputs_], X.dtype)
        # At every fit: a warm start may come with another loss, solver or early_stopping.
        self.out_activation_, self._fitted_loss = self._output_activation(), self.loss
        if self.solver in STOCHASTIC:
            self._begin_record(first)
        net = self._training_net(first)
        dtype = net.engine.parameters.dtype
        weight = self._row_weights(y, sample_weight, incremental)
        weight = None if weight is None else np.require(weight, dtype, "C")
        target = self._target(y, dtype)
        # L-BFGS tells the end of an iteration only: the next one begins with it, and the last of these never runs.
        step = (
            ("iteration", self.max_iter + 1)
            if self.solver == "lbfgs"
            else ("epoch", 1 if incremental else self.max_iter)
        )
        tasks.open(*given, *step)
        with self._threads():
            if self.solver == "lbfgs":
                fit_lbfgs(self, net, X, target, weight, tasks)
            else:
                fit_stochastic(self, net, X, y, target, weight, incremental, tasks)
        if not np.isfinite(net.engine.parameters).all():
            raise ValueError(NOT_FINITE)
        tasks.close()

    def _begin(self: Any, sizes: list[int], dtype: np.dtype[Any]) -> None:
        """All fitted attributes, and initial weights from scikit-learn's draws."""
        self.n_iter_ = self.t_ = 0
        self.n_layers_ = len(sizes)
        self.coefs_, self.intercepts_ = [], []
        for n_in, n_out in pairwise(sizes):
            bound = np.sqrt((2.0 if self.activation == "logistic" else 6.0) / (n_in + n_out))
            W = self._random_state.uniform(-bound, bound, (n_in, n_out))
            self.coefs_.append(W.astype(dtype, copy=False))
            b = self._random_state.uniform(-bound, bound, n_out)
            self.intercepts_.append(b.astype(dtype, copy=False))
        if np.any(self.dropout):
            self._dropout_seed = int(self._random_state.randint(2**31 - 1))
        self._best_parameters = None

    def _begin_record(self: Any, first: bool) -> None:
        """What is kept of the epochs: all of it at first, later what another solver or early_stopping had none of."""
        early = self.early_stopping
        record = {
            "loss_curve_": [],
            "_no_improvement_count": 0,
            "best_loss_": None if early else np.inf,
            "best_validation_score_": -np.inf if early else None,
            "validation_scores_": [] if early else None,
            "validation_loss_curve_": [] if early else None,
        }
        for name, value in record.items():
            if first or not hasattr(self, name) or (getattr(self, name) is None) != (value is None):
                setattr(self, name, value)
                if name == "best_validation_score_":
                    self._best_parameters = None  # those of the best score

    def _training_net(self: Any, first: bool) -> Net:
        """The engine to train with; afterwards `coefs_` and `intercepts_` are views of its parameters."""
        key, net = network_key(self, self.coefs_, training=True), self.__dict__.get("_net")
        if first or net is None or net.key != key or not net.holds(self.coefs_, self.intercepts_):
            # Other memory than before: whoever kept the arrays of an earlier fit finds them as they were.
            self._adopt(Net(key, self.activation))
        return self._net

    def _adopt(self: Any, net: Net) -> None:
        net.copy_in(self.coefs_, self.intercepts_)
        self._net, self.coefs_, self.intercepts_ = net, list(net.coefs), list(net.intercepts)

    @contextlib.contextmanager
    def _threads(self: Any) -> Iterator[None]:
        if self.n_jobs is None:
            yield
            return
        with threads(self._n_threads()):
            yield

    def _n_threads(self: Any) -> int:
        if self.n_jobs is None:
            return _core.num_threads()
        count = integer("n_jobs", self.n_jobs, high=_MOST_THREADS)
        return count if count > 0 else min(max(1, (os.cpu_count() or 1) + 1 + count), _MOST_THREADS)

    def _check_class_weight(self) -> None:
        """Nothing to check where there is no such parameter."""

    def _check_solver(self: Any) -> bool:
        if self.solver not in STOCHASTIC:
            raise AttributeError(
                f"partial_fit is only available for stochastic optimizers. {self.solver} is not stochastic."
            )
        return True

    # --- Prediction ---------------------------------------------------------------------------------------------------

    def _engine(self: Any) -> Any:
        """The engine that holds `coefs_` and `intercepts_` as they are now, whoever wrote them."""
        net = self.__dict__.get("_net")
        if net is not None and net.activation == self.activation and net.holds(self.coefs_, self.intercepts_):
            return net.engine
        # Arrays of somebody else, which may change behind our back: copied at every call, into memory of their own.
        key = network_key(self, self.coefs_, training=False)
        other = self.__dict__.get("_other_net")
        if other is None or other.key != key:
            other = self._other_net = Net(key, self.activation)
        other.copy_in(self.coefs_, self.intercepts_)
        return other.engine

    def _forward_pass_fast(self: Any, X: Any, check_input: bool = True) -> Array:
        """The outputs for X (n, n_features)."""
        if not check_input and self.n_jobs is None:
            # In a straight line: for one row each further call would show.
            try:
                net = self._net
                coefs, intercepts = self.coefs_, self.intercepts_
                known = net.activation == self.activation and net.holds(coefs, intercepts)
            except (AttributeError, TypeError, ValueError):
                known = False  # not fitted, or coefficients that are no arrays
            if known and (out := net.engine.try_predict(X, None)) is not None:
                return out
        try:
            engine = self._engine()
        except AttributeError:
            check_is_fitted(self)
            raise
        dtype = engine.parameters.dtype
        wide = dtype
        if check_input:
            X = self._checked(X, dtype)
            wide = np.result_type(dtype, X.dtype)
        with self._threads() if self.n_jobs is not None else contextlib.nullcontext():
            if not scipy.sparse.issparse(X):
                out = engine.predict(dense(X, dtype))
            else:
                parts = [engine.predict(dense(X[i : i + _ROWS], dtype)) for i in range(0, X.shape[0], _ROWS)]
                out = np.concatenate(parts)
        return out if out.dtype == wide else out.astype(wide)

    def _checked(self: Any, X: Any, dtype: np.dtype[Any]) -> Any:
        """X as scikit-learn's validation leaves it; in short for an array that it would pass on."""
        if (
            type(X) is np.ndarray
            and X.dtype == dtype
            and X.ndim == 2
            and len(X) > 0
            and X.shape[1] == self.n_features_in_
            and not hasattr(self, "feature_names_in_")
            # A sum is finite where all are, but for overflows, which the long way then tells apart.
            and (get_config()["assume_finite"] or np.isfinite(X.sum()))
        ):
            return X
        return validate_X(self, X)

    def input_gradient(self: Any, X: Any, output: int | None = None) -> Array:
        """The gradient of one output, for classifiers a probability, in each row of X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        output : int, optional
            Which output; by default the largest of each row.

        Returns
        -------
        ndarray of shape (n_samples, n_features)

        Raises
        ------
        NotFittedError, ValueError, TypeError
            As ``predict``; ``output`` is no number of an output.

        Examples
        --------
        >>> from fastnn.sklearn import MLPRegressor
        >>> X = np.linspace(-1, 1, 50).reshape(-1, 1)
        >>> net = MLPRegressor(hidden_layer_sizes=[], solver="lbfgs", alpha=0.0).fit(X, 3 * X.ravel() + 1)
        >>> net.input_gradient([[0.5]]).round(2)
        array([[3.]])
        """
        check_is_fitted(self)
        engine = self._engine()
        if output is not None:
            output = integer("output", output, 0, self.n_outputs_ - 1)
        x = dense(self._checked(X, engine.parameters.dtype), engine.parameters.dtype)
        choice = engine.predict(x).argmax(axis=1) if output is None else output
        dy = np.zeros((len(x), self.n_outputs_), x.dtype)
        dy[np.arange(len(x)), choice] = 1
        return engine.input_gradient(x, dy)

    # --- Copies -------------------------------------------------------------------------------------------------------

    def __getstate__(self: Any) -> dict[str, Any]:
        inherited: Any = super().__getstate__()
        state: dict[str, Any] = dict(inherited)
        for name in ("_net", "_other_net"):  # made again from coefs_ and intercepts_
            state.pop(name, None)
        return state

    def __setstate__(self: Any, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._restore()

    def _restore(self: Any) -> None:
        """An engine for the coefficients that are there."""
        if hasattr(self, "coefs_"):
            # Parameters may have been set since the fit that no engine can have: it is `predict` that says so.
            with contextlib.suppress(TypeError, ValueError):
                self._adopt(Net(network_key(self, self.coefs_, training=False), self.activation))
