"""`fastnn.sklearn` as scikit-learn's tools see it: their own estimator checks, parameters, copies, searches, frames."""

import inspect
import io
import pickle
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

import joblib
from sklearn import neural_network as theirs
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_iris
from sklearn.ensemble import BaggingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastnn import sklearn as ours
from fastnn.sklearn import accelerate

NAMES = ("MLPClassifier", "MLPRegressor")


# The settings with which scikit-learn checks its own; none is expected to fail.
CHECKS = parametrize_with_checks([getattr(ours, name)(max_iter=100) for name in NAMES]).mark


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
# A list, because before scikit-learn 1.6 it is a generator, which pytest is about to refuse.
@pytest.mark.parametrize(CHECKS.args[0], list(CHECKS.args[1]), **CHECKS.kwargs)
def test_scikit_learns_checks(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.parametrize("name", NAMES)
def test_parameters_are_theirs_and_new_ones_are_keywords(name: str) -> None:
    mine, other = (inspect.signature(getattr(module, name)).parameters for module in (ours, theirs))
    assert list(mine)[: len(other)] == list(other)
    for parameter in other.values():
        assert mine[parameter.name].default == parameter.default, parameter.name
        assert mine[parameter.name].kind == parameter.kind, parameter.name
    new = [p for p in mine.values() if p.name not in other]
    assert new and all(p.kind is inspect.Parameter.KEYWORD_ONLY for p in new)


@pytest.mark.parametrize("name", NAMES)
def test_by_position_as_theirs(name: str) -> None:
    first = list(inspect.signature(getattr(theirs, name)).parameters)[:2]
    mine, other = (getattr(module, name)(*first).get_params() for module in (ours, theirs))
    assert {key: mine[key] for key in other} == other
    with pytest.raises(TypeError, match="positional"):
        getattr(ours, name)(*first, "one", "too many")


@pytest.fixture(scope="module")
def fitted() -> Any:
    X, y = load_iris(return_X_y=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return ours.MLPClassifier((8,), random_state=0, max_iter=20).fit(X, y)


def test_copies_predict_the_same(fitted: Any, tmp_path: Path) -> None:
    X = load_iris().data
    expected = fitted.predict_proba(X)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).predict_proba(X), expected)
    joblib.dump(fitted, tmp_path / "model")
    mapped = joblib.load(tmp_path / "model", mmap_mode="r")
    np.testing.assert_array_equal(mapped.predict_proba(X), expected)
    assert not hasattr(clone(fitted), "coefs_")
    assert clone(fitted).get_params() == fitted.get_params()


def test_edited_weights_are_used(fitted: Any) -> None:
    X = load_iris().data
    edited = pickle.loads(pickle.dumps(fitted))
    edited.coefs_ = [np.zeros_like(W) for W in edited.coefs_]
    edited.intercepts_ = [np.zeros_like(b) for b in edited.intercepts_]
    np.testing.assert_allclose(edited.predict_proba(X), 1 / 3, rtol=1e-12)
    edited.intercepts_[-1][0] = 50.0
    assert (edited.predict(X) == edited.classes_[0]).all()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_search_in_a_pipeline() -> None:
    X, y = load_iris(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), ours.MLPClassifier(random_state=0, max_iter=60, learning_rate_init=0.01))
    search = GridSearchCV(pipeline, {"mlpclassifier__hidden_layer_sizes": [(1,), (20,)]}, cv=3, n_jobs=2).fit(X, y)
    assert search.best_score_ > 0.7
    assert search.best_params_["mlpclassifier__hidden_layer_sizes"] == (20,)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "wrong", [{"alpha": -1}, {"activation": "relux"}, {"hidden_layer_sizes": (0,)}, {"solver": "x"}, {"batch_size": -2}]
)
def test_same_errors_as_theirs(name: str, wrong: dict[str, Any]) -> None:
    X, y = load_iris(return_X_y=True)
    with pytest.raises(ValueError, match=r"parameter|must be|got") as expected:
        getattr(theirs, name)(**wrong).fit(X, y)
    with pytest.raises(type(expected.value)):
        getattr(ours, name)(**wrong).fit(X, y)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "half a unit": ({"hidden_layer_sizes": [2.7]}, "hidden_layer_sizes: wanted an integer, got 2.7"),
    "a word": ({"hidden_layer_sizes": ["4"]}, "hidden_layer_sizes: wanted an integer, got '4'"),
    "drops": ({"dropout": [0.1, 0.2]}, r"dropout: wanted one number or 1.*got \[0.1, 0.2\]"),
    "no drop": ({"dropout": ["a"]}, "dropout: wanted a number, got 'a'"),
    "drop": ({"dropout": [1.0]}, r"dropout: wanted probabilities in \[0, 1\), got 1.0"),
    "elu": ({"activation": [("elu", -1)]}, "activation 'elu': wanted a finite alpha > 0, got -1"),
    "number": ({"activation": [3]}, "activation: wanted a name or a pair.*got 3"),
    "no pair": ({"activation": [("elu",)]}, r"activation: wanted a name or a pair.*got \('elu',\)"),
    "threads": ({"n_jobs": 1000}, "n_jobs: wanted at most 256, got 1000"),
    "callback": ({"callbacks": [3]}, "callbacks: wanted callables, got 3"),
    "weights": ({"class_weight": "foo"}, "class_weight: wanted 'balanced' or a dict of weights, got 'foo'"),
    "no weight": ({"class_weight": {0: "a"}}, "class_weight: wanted a number, got 'a'"),
    "class": ({"class_weight": {5: 1}}, "class_weight: wanted a weight for each class of y, got {5: 1}"),
    "early": ({"early_stopping": True, "validation_fraction": 0.001}, "validation|test_size|early_stopping"),
}


def test_a_first_partial_fit_that_is_refused_fixes_no_classes() -> None:
    model = ours.MLPClassifier([3], random_state=0)
    with pytest.raises(ValueError, match="NaN"):
        model.partial_fit([[np.nan], [1.0]], [0, 1], classes=[0, 1])
    assert not hasattr(model, "classes_")
    model.partial_fit([[0.0], [1.0]], [5, 6], classes=[5, 6])
    np.testing.assert_array_equal(model.classes_, [5, 6])


@pytest.mark.parametrize("incremental", [False, True], ids=["fit", "partial_fit"])
@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_fit_leaves_the_model_as_it_was(fitted: Any, name: str, incremental: bool) -> None:
    X, y = load_iris(return_X_y=True)
    expected, model = fitted.predict_proba(X), pickle.loads(pickle.dumps(fitted))
    wrong, message = REFUSED[name]
    before = {key: value for key, value in vars(model).items() if key not in wrong}
    model.set_params(**wrong)
    with pytest.raises((TypeError, ValueError), match=message):
        model.partial_fit(X, y) if incremental else model.fit(X, y)
    after = vars(model)
    assert {key: after[key] for key in after if key not in wrong} == before
    model.set_params(**{key: getattr(fitted, key) for key in wrong})
    np.testing.assert_array_equal(model.predict_proba(X), expected)


def test_a_refused_first_fit_leaves_nothing() -> None:
    X, y = load_iris(return_X_y=True)
    model = ours.MLPClassifier(class_weight={5: 1})
    with pytest.raises(ValueError, match="class_weight"):
        model.fit(X, y)
    assert vars(model) == vars(ours.MLPClassifier(class_weight={5: 1}))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_an_activation_that_is_written_to_is_used() -> None:
    X, y = load_iris(return_X_y=True)
    model = ours.MLPClassifier((4, 4), activation=["relu", "tanh"], max_iter=2, random_state=0).fit(X, y)
    model.activation[0] = "logistic"
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(model.predict_proba(X), again.predict_proba(X))
    np.testing.assert_array_equal(model.predict_proba(X[:1], check_input=False), again.predict_proba(X[:1]))


@pytest.mark.parametrize(("output", "error"), [(1.5, TypeError), ("a", TypeError), (3, ValueError), (-1, ValueError)])
def test_input_gradient_names_the_output(fitted: Any, output: Any, error: Any) -> None:
    with pytest.raises(error, match="output: wanted"):
        fitted.input_gradient(load_iris().data, output=output)


def test_it_says_that_it_did_not_converge() -> None:
    X, y = load_iris(return_X_y=True)
    with pytest.warns(ConvergenceWarning, match="reached and the optimization hasn't converged"):
        ours.MLPClassifier(max_iter=2, random_state=0).fit(X, y)


def test_conversions_predict_the_same() -> None:
    X, y = load_iris(return_X_y=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        other = theirs.MLPClassifier((8,), random_state=0, max_iter=20).fit(X, y)
    mine = ours.MLPClassifier.from_sklearn(other)
    np.testing.assert_allclose(mine.predict_proba(X), other.predict_proba(X), rtol=1e-12)
    np.testing.assert_allclose(mine.to_sklearn().predict_proba(X), other.predict_proba(X), rtol=1e-12)


NET = theirs.MLPRegressor(hidden_layer_sizes=(5,), random_state=0, max_iter=20)
GRID = {"mlpregressor__alpha": [0.0, 1.0]}
# What holds a perceptron -> where it is after a fit.
HOLDERS: dict[str, tuple[Any, Callable[[Any], Any]]] = {
    "itself": (NET, lambda fitted: fitted),
    "pipeline": (make_pipeline(StandardScaler(), NET), lambda fitted: fitted[-1]),
    "pipeline in a pipeline": (
        make_pipeline(StandardScaler(), make_pipeline("passthrough", NET)),
        lambda fitted: fitted[-1][-1],
    ),
    "search": (
        GridSearchCV(make_pipeline(StandardScaler(), NET), GRID, cv=2),
        lambda fitted: fitted.best_estimator_[-1],
    ),
    "target": (TransformedTargetRegressor(NET, transformer=StandardScaler()), lambda fitted: fitted.regressor_),
    "bagging": (BaggingRegressor(NET, 2, random_state=0), lambda fitted: fitted.estimators_[1]),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("kind", HOLDERS)
def test_accelerate_whatever_holds_a_perceptron(kind: str) -> None:
    holder, net = HOLDERS[kind]
    X, y = load_iris(return_X_y=True)
    slow = clone(holder).fit(X, y)
    fast = accelerate(slow)
    assert type(net(slow)) is theirs.MLPRegressor and type(net(fast)) is ours.MLPRegressor
    before = slow.predict(X)
    np.testing.assert_allclose(fast.predict(X), before, rtol=1e-12)
    # Nothing is shared: the copy learns something else, the original does not notice.
    fast.fit(-2 * X, 3 * y)
    assert type(net(fast)) is ours.MLPRegressor
    np.testing.assert_array_equal(slow.predict(X), before)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_accelerate_the_best_of_a_search() -> None:
    X, y = load_iris(return_X_y=True)
    search = GridSearchCV(make_pipeline(StandardScaler(), NET), GRID, cv=2).fit(X, y)
    fast = accelerate(search.best_estimator_)
    assert type(fast[-1]) is ours.MLPRegressor and fast[-1].alpha == search.best_params_["mlpregressor__alpha"]
    np.testing.assert_allclose(fast.predict(X), search.predict(X), rtol=1e-12)


@pytest.mark.parametrize(
    "other",
    [StandardScaler(), make_pipeline(StandardScaler(), Ridge()), theirs.MLPRegressor, None, "MLPRegressor"],
    ids=repr,
)
def test_accelerate_says_what_came(other: Any) -> None:
    with pytest.raises(
        TypeError, match=f"wanted scikit-learn's MLPClassifier or MLPRegressor.*{re.escape(repr(other))}"
    ):
        accelerate(other)


def test_progress_is_theirs_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    X, y = load_iris(return_X_y=True)
    written = []
    for module in (ours, theirs):
        with pytest.warns(ConvergenceWarning):
            module.MLPClassifier((5,), max_iter=3, random_state=0, verbose=True).fit(X, y)
        written.append(io.StringIO(capsys.readouterr().out).read())
    assert written[0] == written[1]
