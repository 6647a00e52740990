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
@pytest.mark.parametrize("activation", ["tanh", ["silu"], [("leaky_relu", 0.3)]], ids=str)
def test_copies_predict_with_the_activation_that_was_set(activation: Any, copied: str) -> None:
    model = classifier().fit(X, Y)
    before = model.predict_proba(X)
    model.set_params(activation=activation)
    expected = model.predict_proba(X)
    assert (expected != before).any()
    np.testing.assert_array_equal(COPIES[copied](model).predict_proba(X), expected)


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
