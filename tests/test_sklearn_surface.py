"""`fastnn.sklearn` as scikit-learn's tools see it: their own estimator checks, parameters, copies, searches, frames."""

import inspect
import io
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

import joblib
from sklearn import neural_network as theirs
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastnn import sklearn as ours

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


def test_progress_is_theirs_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    X, y = load_iris(return_X_y=True)
    written = []
    for module in (ours, theirs):
        with pytest.warns(ConvergenceWarning):
            module.MLPClassifier((5,), max_iter=3, random_state=0, verbose=True).fit(X, y)
        written.append(io.StringIO(capsys.readouterr().out).read())
    assert written[0] == written[1]
