"""Fits and predictions of `fastnn.sklearn` beside scikit-learn's own classes. No timing here.

That both sides reach the same loss, or predict the same, is asserted when they are made.
"""

import os
import warnings
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import numpy as np
from peers import ESTIMATORS, OURS, Contender, Unavailable
from peers.contender import need
from races import Lineup, Race, agreeing, made

THEIRS = "scikit-learn"
# By which the losses may differ at the end of a fit.
TOLERANCES = {"float32": 1e-3, "float64": 1e-6}


@dataclass(frozen=True)
class Fit:
    """An estimator and what it is fitted to; for a prediction, what it has learned from."""

    data: str
    dtype: str
    settings: dict[str, Any] = field(hash=False)
    estimator: str = "MLPClassifier"

    def model(self, side: str) -> Any:
        try:
            return ESTIMATORS[side](self.estimator)(random_state=0, **self.settings)
        except TypeError as error:  # an older scikit-learn
            raise Unavailable(str(error)) from None

    def fitted(self, side: str, X: np.ndarray, y: np.ndarray) -> Any:
        """Fitted without the warnings that a few epochs are not enough."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self.model(side).fit(X, y)


def _digits(dtype: str) -> tuple[np.ndarray, ...]:
    (datasets,) = need("sklearn.datasets")
    X, y = datasets.load_digits(return_X_y=True)
    X = (X / 16).astype(dtype)
    return X, y, X


def _mnist(dtype: str) -> tuple[np.ndarray, ...]:
    from fastnn.datasets import load_mnist

    if not os.environ.get("FASTNN_DATA"):
        raise Unavailable("FASTNN_DATA does not name a folder of MNIST files")
    data = load_mnist(os.environ["FASTNN_DATA"], dtype=dtype)
    return data.X_train, data.y_train, data.X_test


_SETS: dict[str, Callable[[str], tuple[np.ndarray, ...]]] = {"digits": _digits, "MNIST": _mnist}


@cache
def _data(name: str, dtype: str) -> tuple[np.ndarray, ...]:
    """Inputs and labels to learn from, and inputs to predict."""
    return _SETS[name](dtype)


def fit(name: str, task: Fit) -> Race:
    """A whole fit."""

    def contender(side: str) -> Contender:
        X, y, _ = _data(task.data, task.dtype)
        return Contender(partial(task.fitted, side, X, y), losses=(task.fitted(side, X, y).loss_,))

    def make(sides: Collection[str]) -> tuple[Lineup, dict[str, str]]:
        found, absent = made({side: partial(contender, side) for side in ESTIMATORS}, sides)
        expected = found[OURS] if OURS in found else contender(OURS) if found else None
        for side, one in found.items():
            np.testing.assert_allclose(one.losses, expected.losses, rtol=TOLERANCES[task.dtype], err_msg=side)
        return found, absent

    return Race(name, tuple(ESTIMATORS), make, task.dtype)


def prediction(name: str, task: Fit, rows: int, **ours: Any) -> Race:
    """The classes of some rows, by estimators with the same coefficients; ``ours`` are arguments for our side."""

    def make(sides: Collection[str]) -> tuple[Lineup, dict[str, str]]:
        found, absent = made({side: partial(_learned, side, task) for side in ESTIMATORS}, sides)
        if not found:
            return {}, absent
        X = _data(task.data, task.dtype)[2][:rows]
        reference = next(iter(found.values()))
        agreeing({side: partial(model.predict_proba, X) for side, model in found.items()}, reference.predict_proba(X))
        more = {OURS: ours}
        calls = {side: partial(model.predict, X, **more.get(side, {})) for side, model in found.items()}
        return agreeing(calls, reference.predict(X)), absent

    return Race(name, tuple(ESTIMATORS), make, task.dtype)


def _learned(side: str, task: Fit) -> Any:
    """scikit-learn's estimator after a fit, or ours made from it."""
    X, y, _ = _data(task.data, task.dtype)
    theirs = task.fitted(THEIRS, X, y)
    return ESTIMATORS[OURS](task.estimator).from_sklearn(theirs) if side == OURS else theirs


def _mnist_fit(hidden: tuple[int, ...], solver: str) -> Race:
    settings = {"hidden_layer_sizes": hidden, "solver": solver, "max_iter": 1}
    return fit(f"fit MNIST, {hidden}, {solver}, 1 epoch, float32", Fit("MNIST", "float32", settings))


# By the name of the bar that bench/estimators.py holds them to. scikit-learn's defaults where nothing is said: one
# hidden layer of 100, batches of 200.
RACES: dict[str, list[Race]] = {
    "digits": [
        fit(f"fit digits, adam, 200 epochs, {dtype}", Fit("digits", dtype, {"max_iter": 200}))
        for dtype in ("float64", "float32")
    ],
    "early": [
        fit(
            "fit digits, adam, 50 epochs, early stopping, float64",
            Fit("digits", "float64", {"max_iter": 50, "early_stopping": True, "n_iter_no_change": 50}),
        )
    ],
    "lbfgs": [fit("fit digits, lbfgs, float64", Fit("digits", "float64", {"solver": "lbfgs", "max_iter": 200}))],
    "adam": [_mnist_fit(hidden, "adam") for hidden in ((100,), (100, 100))],
    "sgd": [_mnist_fit(hidden, "sgd") for hidden in ((100,), (100, 100))],
    "Poisson": [
        fit(
            "fit digits, regressor, Poisson loss, 50 epochs, float64",
            Fit("digits", "float64", {"loss": "poisson", "max_iter": 50}, "MLPRegressor"),
        )
    ],
    "row": [prediction("predict 1 row of digits, float64", Fit("digits", "float64", {"max_iter": 5}), 1)],
    "unchecked": [
        prediction(
            "predict 1 row of digits, float64, check_input=False",
            Fit("digits", "float64", {"max_iter": 5}),
            1,
            check_input=False,
        )
    ],
    "rows": [prediction("predict 10,000 rows of MNIST, float32", Fit("MNIST", "float32", {"max_iter": 1}), 10_000)],
}
