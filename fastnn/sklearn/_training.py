"""The two ways to train an estimator: epochs of mini-batches, one call of the engine an epoch, and SciPy's L-BFGS."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import scipy.optimize
import scipy.sparse
from sklearn.base import is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from fastnn._arrays import Array
from fastnn._state import HYPER, OptimizerState
from fastnn.sklearn._callbacks import FitTasks
from fastnn.sklearn._net import Net

STOCHASTIC = ("sgd", "adam", "adamw")
NOT_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and need to be preprocessed."
)
# An X that the engine cannot read as it is, sparse or in another order, is copied at once up to here; a larger one a
# batch at a time, as scikit-learn does with all of them.
_COPY_BYTES = 1 << 28
_DENSE_ROWS = 1024
_STOPPED = 99  # SciPy's status where a callback has ended the search: no failure to converge


def dense(X: Any, dtype: np.dtype[Any]) -> Array:
    """X as the engine takes it."""
    return np.require(X.toarray() if scipy.sparse.issparse(X) else X, dtype, ["C", "A"])


def readable(X: Any, dtype: np.dtype[Any]) -> bool:
    """Whether the engine takes X as it is."""
    return not scipy.sparse.issparse(X) and X.dtype == dtype and X.flags.c_contiguous and X.flags.aligned


def prepared(X: Any, dtype: np.dtype[Any]) -> Any:
    """X as the engine takes it, or as rows to be copied in pieces where all at once would be too much."""
    if X.shape[0] * X.shape[1] * dtype.itemsize > _COPY_BYTES and not readable(X, dtype):
        return X.tocsr() if scipy.sparse.issparse(X) else X
    return dense(X, dtype)


class Rule:
    """scikit-learn's optimisers: an engine's state and the rate, which SGD changes between epochs."""

    def __init__(self, estimator: Any, net: Net) -> None:
        self.solver = estimator.solver
        self.rate_init = self.learning_rate = float(estimator.learning_rate_init)
        self.schedule, self.power_t = "constant", float(estimator.power_t)
        hyper = np.zeros(len(set(HYPER.values())))
        hyper[HYPER["lr"]] = self.learning_rate
        hyper[HYPER["clip"]] = estimator.clip_norm or 0.0
        kind = self.solver
        if kind == "sgd":
            self.schedule = estimator.learning_rate
            if estimator.momentum:
                kind = "nesterov" if estimator.nesterovs_momentum else "momentum"
                hyper[HYPER["momentum"]] = estimator.momentum
        else:
            hyper[HYPER["beta1"]], hyper[HYPER["beta2"]] = estimator.beta_1, estimator.beta_2
            hyper[HYPER["epsilon"]] = estimator.epsilon
            hyper[HYPER["epsilon_hat"]] = 1.0
            hyper[HYPER["weight_decay"]] = estimator.weight_decay if kind == "adamw" else 0.0
        self.state = OptimizerState(kind, hyper, net.key[0].n_parameters, net.key[0].dtype)

    def epoch_ended(self, t: int) -> None:
        """The rate of "invscaling" after t rows."""
        if self.schedule == "invscaling":
            self.learning_rate = self.rate_init / (t + 1) ** self.power_t

    def stops(self, message: str, verbose: bool) -> bool:
        """Whether training ends where it no longer improves; "adaptive" lowers the rate first."""
        if self.schedule != "adaptive" or self.learning_rate <= 1e-6:
            if verbose:
                too_small = " Learning rate too small." if self.schedule == "adaptive" else ""
                print(f"{message}{too_small} Stopping.")
            return True
        self.learning_rate /= 5.0
        if verbose:
            print(f"{message} Setting learning rate to {self.learning_rate:f}")
        return False

    def __getstate__(self) -> dict[str, Any]:
        # Without the snapshot, which is the engine's own and not used here.
        state = self.state
        return {**self.__dict__, "state": (state.kind, state.hyper, state.slots, state.t)}

    def __setstate__(self, values: dict[str, Any]) -> None:
        kind, hyper, slots, t = values["state"]
        self.__dict__.update(values)
        self.state = OptimizerState(kind, hyper, slots.shape[1], slots.dtype.name)
        self.state.slots[...] = slots
        self.state.t = t


def fit_stochastic(
    est: Any, net: Net, X: Any, y: Array, target: Array, weight: Array | None, incremental: bool, tasks: FitTasks
) -> None:
    """Train by mini-batches: scikit-learn's draws, its rules for stopping, its attributes."""
    if not incremental or not isinstance(getattr(est, "_optimizer", None), Rule):
        est._optimizer = Rule(est, net)
    if est.early_stopping and incremental:
        raise ValueError("partial_fit does not support early_stopping=True")
    validation = None
    if est.early_stopping:
        X, target, weight, validation = _split(est, X, y, target, weight)
    n = X.shape[0]
    epoch = _Epoch(est, net, prepared(X, net.engine.parameters.dtype), target, weight, _batch_size(est, n))
    best = getattr(est, "_best_parameters", None)
    if best is None or best.size != net.engine.parameters.size:
        est._best_parameters = net.engine.parameters.copy()
    order = np.arange(n)
    try:
        est.n_iter_ = 0
        for _ in _progress(est):
            tasks.begin(_kept(est, net))
            if est.shuffle:
                order = order[_permutation(n, est._random_state)]
            est.loss_ = epoch.run(order if est.shuffle else None)
            est.n_iter_ += 1
            est.t_ += n
            est.loss_curve_.append(est.loss_)
            if est.verbose:
                print(f"Iteration {est.n_iter_}, loss = {est.loss_:.8f}")
            _judge(est, net, validation)
            est._optimizer.epoch_ended(est.t_)
            asked = [callback(est) for callback in est.callbacks or ()]
            if tasks.end(_kept(est, net)) or any(answer is True for answer in asked):
                break
            if est._no_improvement_count > est.n_iter_no_change:
                what = "Validation score did" if est.early_stopping else "Training loss did"
                message = f"{what} not improve more than tol={est.tol:f} for {est.n_iter_no_change} consecutive epochs."
                if est._optimizer.stops(message, est.verbose):
                    break
                est._no_improvement_count = 0
            if incremental:
                break
            if est.n_iter_ == est.max_iter:
                warnings.warn(
                    f"Stochastic Optimizer: Maximum iterations ({est.max_iter}) reached and the optimization hasn't "
                    "converged yet.",
                    ConvergenceWarning,
                    stacklevel=2,
                )
    except KeyboardInterrupt:
        warnings.warn("Training interrupted by user.", stacklevel=2)
    if est.early_stopping:
        net.engine.parameters[...] = est._best_parameters


def _permutation(n: int, random_state: np.random.RandomState) -> Array:
    """The draw of `sklearn.utils.shuffle`, whose checks take five times as long as the shuffling of 2,000 rows."""
    index = np.arange(n)
    random_state.shuffle(index)
    return index


def _kept(est: Any, net: Net) -> Array:
    """The parameters that a fit is left with when it stops now."""
    return est._best_parameters if est.early_stopping else net.engine.parameters


class _Epoch:
    """The data of a fit and room for an epoch's losses."""

    def __init__(self, est: Any, net: Net, X: Any, target: Array, weight: Array | None, size: int) -> None:
        self.engine, self.rule, self.size = net.engine, est._optimizer, size
        self.X, self.target, self.weight, self.keeps_best = X, target, weight, est.early_stopping
        n = X.shape[0]
        self.rows = np.full(-(-n // size), size)
        self.rows[-1] = n - (len(self.rows) - 1) * size
        self.losses = np.empty(len(self.rows))

    def run(self, order: Array | None) -> float:
        """One epoch; its mean loss. ValueError where it is no longer finite and there is nothing to go back to."""
        rates = np.full(len(self.rows), self.rule.learning_rate)
        if not readable(self.X, self.engine.parameters.dtype):
            done = self._pieces(np.arange(self.X.shape[0]) if order is None else order, rates)
        else:
            done = self.engine.run(
                self.X,
                self.target,
                self.weight,
                self.rule.state,
                self.size,
                False,
                0,
                0,
                rates,
                self.losses,
                False,
                order,
            )
        if done < len(self.rows):
            if not self.keeps_best:
                raise ValueError(NOT_FINITE)
            # Early stopping goes back to the best parameters; until then these are as scikit-learn's would be.
            self.engine.parameters[...] = np.nan
            return float("nan")
        return float(self.losses @ self.rows) / int(self.rows.sum())

    def _pieces(self, order: Array, rates: Array) -> int:
        """A step at a time; no name holds on to a dense piece while the next one is made."""
        run, state = self.engine.run, self.rule.state
        for k in range(len(self.rows)):
            rows = order[k * self.size : (k + 1) * self.size]
            weight = None if self.weight is None else self.weight[rows]
            x = dense(self.X[rows], self.engine.parameters.dtype)
            one, rate = self.losses[k : k + 1], rates[k : k + 1]
            done = run(x, self.target[rows], weight, state, len(rows), False, 0, 0, rate, one, False)
            del x
            if not done:
                return k
        return len(self.rows)


def _batch_size(est: Any, n: int) -> int:
    if est.batch_size == "auto":
        return min(200, n)
    if est.batch_size > n:
        warnings.warn(
            "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped", stacklevel=3
        )
    return int(np.clip(est.batch_size, 1, n))


def _progress(est: Any) -> Any:
    if not est.progress:
        return range(est.max_iter)
    from tqdm.auto import tqdm

    return tqdm(range(est.max_iter), desc=type(est).__name__, unit="epoch")


def _split(est: Any, X: Any, y: Array, target: Array, weight: Array | None) -> tuple[Any, Array, Array | None, Any]:
    """Rows to train on, and (X, y, weight) to validate with: scikit-learn's draw."""
    arrays = [X, target, y] if weight is None else [X, target, y, weight]
    parts = train_test_split(
        *arrays,
        random_state=est._random_state,
        test_size=est.validation_fraction,
        # y as scikit-learn has it, one column for two classes: the others are not stratified.
        stratify=y if is_classifier(est) and est.n_outputs_ == 1 else None,
    )
    X_train, X_val, target, _, _, y_val = parts[:6]
    weight, weight_val = parts[6:] if len(parts) > 6 else (None, None)
    if X_val.shape[0] < 2:
        raise ValueError("The validation set is too small. Increase 'validation_fraction' or the size of your dataset.")
    labels = est._label_binarizer.inverse_transform(y_val) if is_classifier(est) else y_val
    return X_train, target, weight, (X_val, y_val, labels, weight_val)


def _judge(est: Any, net: Net, validation: Any) -> None:
    """Count the epochs without a better loss, or validation score; keep the best."""
    if validation is None:
        latest = est.loss_curve_[-1]
        est._no_improvement_count = est._no_improvement_count + 1 if latest > est.best_loss_ - est.tol else 0
        est.best_loss_ = min(est.best_loss_, latest)
        return
    X, y, labels, weight = validation
    score, loss = est._validate(X, y, labels, weight)
    est.validation_scores_.append(score)
    est.validation_loss_curve_.append(loss)
    if est.verbose:
        print(f"Validation score: {score:f}")
    est._no_improvement_count = est._no_improvement_count + 1 if score < est.best_validation_score_ + est.tol else 0
    if score > est.best_validation_score_:
        est.best_validation_score_ = score
        est._best_parameters = net.engine.parameters.copy()


def fit_lbfgs(est: Any, net: Net, X: Any, target: Array, weight: Array | None, tasks: FitTasks) -> None:
    """Minimise the cost of all rows by SciPy's L-BFGS-B over the flat vector of parameters."""
    from sklearn.utils.optimize import _check_optimize_result

    objective = _Objective(net, prepared(X, net.engine.parameters.dtype), target, weight, float(est.alpha))

    def report(intermediate_result: Any) -> None:
        est.n_iter_ += 1
        est.loss_ = float(intermediate_result.fun)
        if est.verbose:
            print(f"Iteration {est.n_iter_}, loss = {est.loss_:.8f}")
        asked = [callback(est) for callback in est.callbacks or ()]
        if tasks.end(intermediate_result.x) or any(answer is True for answer in asked):
            raise StopIteration
        tasks.begin(intermediate_result.x)

    est.n_iter_ = 0
    tasks.begin(net.engine.parameters)
    result = scipy.optimize.minimize(
        objective,
        net.engine.parameters.astype(np.float64),
        method="L-BFGS-B",
        jac=True,
        callback=report if est.verbose or est.callbacks or tasks.fit else None,
        options={"maxfun": est.max_fun, "maxiter": est.max_iter, "gtol": est.tol},
    )
    if result.status == _STOPPED:
        est.n_iter_ = result.nit
    else:
        est.n_iter_ = _check_optimize_result("lbfgs", result, est.max_iter)
    est.loss_ = result.fun
    net.engine.parameters[...] = result.x


class _Objective:
    """Cost and gradient as functions of the parameters."""

    def __init__(self, net: Net, X: Any, target: Array, weight: Array | None, alpha: float) -> None:
        self.engine, self.spec = net.engine, net.key[0]
        self.X, self.target, self.weight, self.alpha = X, target, weight, alpha

    def __call__(self, parameters: Array) -> tuple[float, Array]:
        engine = self.engine
        engine.parameters[...] = parameters
        if not readable(self.X, engine.parameters.dtype):
            return self._pieces()
        cost = engine.loss_and_gradients(self.X, self.target, self.weight)
        # A copy: SciPy keeps the gradients of earlier points.
        return cost, engine.gradients.astype(np.float64)

    def _pieces(self) -> tuple[float, Array]:
        """The same in chunks of rows; every chunk brings the penalty, which counts once."""
        n, cost, gradient, chunks = self.X.shape[0], 0.0, np.zeros(self.spec.n_parameters), 0
        whole = n if self.weight is None else float(self.weight.sum())
        for start in range(0, n, _DENSE_ROWS):
            rows = slice(start, start + _DENSE_ROWS)
            weight = None if self.weight is None else self.weight[rows]
            share = (min(_DENSE_ROWS, n - start) if weight is None else float(weight.sum())) / whole
            if share == 0:
                continue
            x = dense(self.X[rows], self.engine.parameters.dtype)
            cost += share * self.engine.loss_and_gradients(x, self.target[rows], weight)
            del x  # before the next one is made
            gradient += share * self.engine.gradients
            chunks += 1
        for (W, _), (dW, _) in zip(
            self.spec.layer_views(self.engine.parameters), self.spec.layer_views(gradient), strict=True
        ):
            cost -= (chunks - 1) * 0.5 * self.alpha / whole * float(np.square(W, dtype=np.float64).sum())
            dW -= (chunks - 1) * self.alpha / whole * W
        return cost, gradient
