"""`fastnn.sklearn` when parameters are set after a fit: copies, predictions, and the fits that go on from there."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

from sklearn import neural_network
from sklearn.datasets import load_iris

from fastnn.sklearn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)
COPIES: dict[str, Callable[[Any], Any]] = {
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "deepcopy": copy.deepcopy,
}


def regressor(**settings: Any) -> Any:
    return MLPRegressor(**{"hidden_layer_sizes": (37, 64), "max_iter": 3, "random_state": 0, **settings})


def classifier(**settings: Any) -> Any:
    return MLPClassifier(**{"hidden_layer_sizes": (5,), "max_iter": 3, "random_state": 0, **settings})


@pytest.mark.parametrize("copied", COPIES)
@pytest.mark.parametrize("later", ["squared_error", "poisson", "huber", "quantile", ["no", "loss"]], ids=str)
@pytest.mark.parametrize("loss", ["squared_error", "poisson", "huber", "quantile"])
def test_copies_predict_with_the_loss_that_was_fitted(loss: str, later: Any, copied: str) -> None:
    model = regressor(loss=loss).fit(X, Y)
    expected = model.predict(X)
    model.set_params(loss=later, huber_delta="no number", quantile=None)
    other = COPIES[copied](model)
    np.testing.assert_array_equal(other.predict(X), expected)
    np.testing.assert_array_equal(other.input_gradient(X), model.input_gradient(X))
    model.coefs_ = [W.copy() for W in model.coefs_]  # an engine made anew, for arrays that are not its own
    np.testing.assert_array_equal(model.predict(X), expected)


@pytest.mark.parametrize("copied", COPIES)
@pytest.mark.parametrize("activation", ["nonsense", ["relu", "tanh"], None, [3]], ids=str)
def test_an_activation_without_an_engine_is_refused_by_predict_not_by_copies(activation: Any, copied: str) -> None:
    model = classifier().fit(X, Y)
    expected = model.predict_proba(X)
    model.set_params(hidden_layer_sizes=(5, 5), activation=activation)
    other = COPIES[copied](model)
    messages = []
    for one in (model, other):
        with pytest.raises((TypeError, ValueError)) as refused:
            one.predict_proba(X)
        messages.append(str(refused.value))
    assert messages[0] == messages[1]
    other.set_params(activation="relu")
    np.testing.assert_array_equal(other.predict_proba(X), expected)


@pytest.mark.parametrize(("first", "then"), [("squared_error", "poisson"), ("poisson", "huber")])
def test_a_warm_start_with_another_loss_has_its_output(first: str, then: str) -> None:
    model = regressor(loss=first, warm_start=True).fit(X, Y)
    model.set_params(loss=then).fit(X, Y)
    assert model.out_activation_ == ("exp" if then == "poisson" else "identity")
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), model.predict(X))


def test_to_sklearn_predicts_with_the_loss_that_was_fitted_or_refuses() -> None:
    model = regressor(loss="poisson").fit(X, Y).set_params(loss="squared_error")
    if "loss" in neural_network.MLPRegressor().get_params():
        np.testing.assert_allclose(model.to_sklearn().predict(X), model.predict(X), rtol=1e-12)
    else:
        with pytest.raises(ValueError, match="this scikit-learn has no loss 'poisson'"):
            model.to_sklearn()


def go_on(model: Any, incremental: bool, y: Any = Y) -> Any:
    return model.partial_fit(X, y) if incremental else model.fit(X, y)


@pytest.mark.parametrize("incremental", [False, True], ids=["warm start", "partial_fit"])
@pytest.mark.parametrize("make", [classifier, regressor])
def test_other_sizes_than_fitted_are_refused(make: Any, incremental: bool) -> None:
    model = make(hidden_layer_sizes=(5,), warm_start=True).fit(X, Y)
    model.set_params(hidden_layer_sizes=(50, 50))
    before, expected = dict(vars(model)), model.predict(X)
    with pytest.raises(ValueError, match=r"hidden_layer_sizes: wanted \[5\] as fitted.*got \[50, 50\]"):
        go_on(model, incremental)
    assert vars(model) == before
    np.testing.assert_array_equal(model.predict(X), expected)
    model.set_params(hidden_layer_sizes=np.array([5]))
    go_on(model, incremental)
    model.set_params(hidden_layer_sizes=2, warm_start=False).fit(X, Y)
    assert model.coefs_[0].shape == (4, 2)


@pytest.mark.parametrize("incremental", [False, True], ids=["warm start", "partial_fit"])
@pytest.mark.parametrize(("fitted", "got"), [(1, 2), (2, 1)])
def test_another_number_of_outputs_than_fitted_is_refused(fitted: int, got: int, incremental: bool) -> None:
    targets = {1: Y, 2: X[:, :2]}
    model = regressor(warm_start=True).fit(X, targets[fitted])
    before = dict(vars(model))
    with pytest.raises(ValueError, match=f"y: wanted {fitted} outputs as fitted.*got {got}"):
        go_on(model, incremental, targets[got])
    assert vars(model) == before


# How it was fitted, and what is set then; partial_fit refuses early stopping.
CHANGES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "early stopping on": ({}, {"early_stopping": True}),
    "early stopping off": ({"early_stopping": True}, {"early_stopping": False}),
    "lbfgs to adam": ({"solver": "lbfgs"}, {"solver": "adam"}),
    "lbfgs to early stopping": ({"solver": "lbfgs"}, {"solver": "sgd", "early_stopping": True}),
}


@pytest.mark.parametrize(
    ("change", "incremental"),
    [*((name, False) for name in CHANGES), ("early stopping off", True), ("lbfgs to adam", True)],
)
@pytest.mark.parametrize("make", [classifier, regressor])
def test_what_was_not_recorded_begins_when_it_is_asked_for(make: Any, change: str, incremental: bool) -> None:
    settings, then = CHANGES[change]
    model = make(warm_start=True, **settings).fit(X, Y)
    start, curve = model.coefs_[0].copy(), list(getattr(model, "loss_curve_", []))
    go_on(model.set_params(**then), incremental)
    epochs = 1 if incremental else 3
    assert (model.coefs_[0] != start).any()
    assert model.loss_curve_[: len(curve)] == curve and len(model.loss_curve_) == len(curve) + epochs
    if model.early_stopping:
        assert model.best_loss_ is None and len(model.validation_scores_) == len(model.validation_loss_curve_) == epochs
        assert model.best_validation_score_ == max(model.validation_scores_)
    else:
        assert model.best_loss_ <= min(model.loss_curve_[len(curve) :])
        assert model.best_validation_score_ is model.validation_scores_ is model.validation_loss_curve_ is None


def test_early_stopping_goes_back_no_further_than_where_it_was_turned_on() -> None:
    model = regressor(warm_start=True).fit(X, Y)
    start = [W.copy() for W in model.coefs_]
    model.set_params(early_stopping=True, solver="sgd", learning_rate_init=1e300)
    with np.errstate(all="ignore"):
        model.fit(X, Y)
    for W, before in zip(model.coefs_, start, strict=True):
        np.testing.assert_array_equal(W, before)


def test_a_fit_of_scikit_learn_with_early_stopping_goes_on() -> None:
    slow = neural_network.MLPClassifier((5,), early_stopping=True, warm_start=True, max_iter=3, random_state=0)
    model = MLPClassifier.from_sklearn(slow.fit(X, Y)).fit(X, Y)
    assert len(model.validation_scores_) == 6 and len(model.validation_loss_curve_) == 3
