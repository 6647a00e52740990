"""`fastnn.sklearn` with pandas and polars frames: what scikit-learn's own estimators do with them, ours do."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

from sklearn import neural_network as theirs
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastnn import sklearn as ours

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
NAMES = ("MLPClassifier", "MLPRegressor")
COLUMNS = ["sepal length", "sepal width", "petal length", "petal width"]
X, Y = load_iris(return_X_y=True)


@pytest.fixture(params=["pandas", "polars"])
def library(request: pytest.FixtureRequest) -> Any:
    found = pytest.importorskip(request.param)
    # The protocol by which scikit-learn 1.5 reads them is gone from newer versions of polars.
    if not hasattr(StandardScaler().fit(frame(found)), "feature_names_in_"):
        pytest.skip(f"this scikit-learn does not see the names in a frame of this {request.param}")
    return found


def frame(library: Any, columns: list[str] = COLUMNS, dtype: Any = float) -> Any:
    """The flowers with these columns; one that they do not have is noise."""
    values = np.random.default_rng(0).normal(size=(len(columns), len(X)))
    for name, column in zip(columns, values, strict=True):
        column[...] = X[:, COLUMNS.index(name)] if name in COLUMNS else column
    return library.DataFrame({name: column.astype(dtype) for name, column in zip(columns, values, strict=True)})


def estimator(module: Any, name: str, **settings: Any) -> Any:
    return getattr(module, name)(hidden_layer_sizes=(5,), max_iter=5, random_state=0, **settings)


def outcome(call: Callable[[], Any]) -> Any:
    """The error or the warnings of a call, in words, and what it returned."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        try:
            result, error = call(), None
        except Exception as raised:
            result, error = None, (type(raised), str(raised))
    return error, [(one.category, str(one.message)) for one in seen], result


@pytest.mark.parametrize("early_stopping", [False, True], ids=["to the end", "early stopping"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "int64"])
@pytest.mark.parametrize("name", NAMES)
def test_fit_and_predict(library: Any, name: str, dtype: str, early_stopping: bool) -> None:
    table, y = frame(library, dtype=dtype), library.Series(Y)
    other = estimator(theirs, name).fit(table, y)
    # In whatever dtype scikit-learn reads the frame: float32 in one of polars becomes float64.
    array = table.to_numpy().astype(other.coefs_[0].dtype)
    by_frame, by_array = (
        estimator(ours, name, early_stopping=early_stopping).fit(*data) for data in ((table, y), (array, Y))
    )
    assert by_frame.coefs_[0].dtype == array.dtype
    assert list(by_frame.feature_names_in_) == list(other.feature_names_in_) == COLUMNS
    assert by_frame.feature_names_in_.dtype == other.feature_names_in_.dtype
    assert by_frame.n_features_in_ == 4
    assert by_frame.loss_curve_ == by_array.loss_curve_
    for method in ("predict", "predict_proba") if name == "MLPClassifier" else ("predict",):
        error, seen, found = outcome(lambda method=method: getattr(by_frame, method)(table))
        assert error is None and seen == []  # a frame with the right names is no reason to complain
        assert type(found) is np.ndarray and found.dtype == getattr(other, method)(table).dtype
        np.testing.assert_array_equal(found, getattr(by_array, method)(array))
    assert by_frame.score(table, y) == by_array.score(array, Y)


@pytest.mark.parametrize("name", NAMES)
def test_labels_in_a_frame(library: Any, name: str) -> None:
    """One column warns as scikit-learn does; words are classes."""
    y = library.DataFrame({"kind": Y})
    mine, other = (outcome(lambda module=module: estimator(module, name).fit(X, y)) for module in (ours, theirs))
    assert mine[:2] == other[:2]
    assert any("column-vector" in message for _, message in mine[1])
    if name == "MLPClassifier":
        words = library.Series(np.array(["setosa", "versicolor", "virginica"])[Y].tolist())
        mine, other = (estimator(module, name).fit(X, words) for module in (ours, theirs))
        np.testing.assert_array_equal(mine.predict(X), other.predict(X))
        assert mine.classes_.tolist() == other.classes_.tolist()


# What is fitted, and what is predicted from: names of columns, or None for an array.
MISMATCHES = {
    "other order": (COLUMNS, COLUMNS[::-1]),
    "one fewer": (COLUMNS, COLUMNS[:3]),
    "one more": (COLUMNS, [*COLUMNS, "colour"]),
    "another name": (COLUMNS, [*COLUMNS[:3], "colour"]),
    "no names": (COLUMNS, None),
    "names that were not there": (None, COLUMNS),
}


@pytest.mark.parametrize("kind", MISMATCHES)
@pytest.mark.parametrize("name", NAMES)
def test_wrong_names_are_told_as_theirs_tell_them(library: Any, name: str, kind: str) -> None:
    fitted_with, given = (X if columns is None else frame(library, columns) for columns in MISMATCHES[kind])
    found = []
    for module in (ours, theirs):
        fitted = estimator(module, name).fit(fitted_with, Y)
        calls = [fitted.predict, lambda table, fitted=fitted: fitted.partial_fit(table, Y)]
        found.append([outcome(lambda call=call: call(given))[:2] for call in calls])
    assert found[0] == found[1]
    assert all("feature names" in str(problem) for problem in found[0])


@pytest.mark.parametrize("name", NAMES)
def test_another_fit_forgets_the_names(library: Any, name: str) -> None:
    mine = estimator(ours, name).fit(frame(library), Y)
    assert list(mine.fit(frame(library, COLUMNS[:2]), Y).feature_names_in_) == COLUMNS[:2]
    assert not hasattr(mine.fit(X, Y), "feature_names_in_")
    assert not hasattr(clone(mine.fit(frame(library), Y)), "feature_names_in_")


@pytest.mark.parametrize("name", NAMES)
def test_names_survive_conversion(library: Any, name: str) -> None:
    """The names go over, and with them the complaint."""
    other = estimator(theirs, name).fit(frame(library), Y)
    mine = ours.accelerate(other)
    for copy in (mine, mine.to_sklearn()):
        assert list(copy.feature_names_in_) == COLUMNS
        with pytest.raises(ValueError, match="same order"):
            copy.predict(frame(library, COLUMNS[::-1]))


@pytest.mark.parametrize("name", NAMES)
def test_set_output(library: Any, name: str) -> None:
    """A perceptron transforms nothing, so it has no set_output, and a Pipeline passes it by."""
    assert hasattr(estimator(ours, name), "set_output") == hasattr(estimator(theirs, name), "set_output")
    kind = library.__name__
    found = []
    for module in (ours, theirs):
        net = estimator(module, name)
        pipeline = make_pipeline(StandardScaler().set_output(transform=kind), net).fit(frame(library), Y)
        assert list(net.feature_names_in_) == COLUMNS  # a frame came to it
        inside = outcome(lambda pipeline=pipeline: pipeline.predict(frame(library)))
        assert inside[:2] == (None, [])
        # A pipeline hands it on to all steps; the last one is no transformer.
        whole = make_pipeline(StandardScaler(), estimator(module, name))
        problem = outcome(lambda whole=whole: whole.set_output(transform=kind).fit(frame(library), Y))[0]
        found.append((inside[2], problem))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-6)
    assert found[0][1] == found[1][1]


def test_gradient_of_a_frame(library: Any) -> None:
    mine = estimator(ours, "MLPClassifier").fit(frame(library), Y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # an array has no names
        np.testing.assert_array_equal(mine.input_gradient(frame(library)), mine.input_gradient(X))
    with pytest.raises(ValueError, match="same order"):
        mine.input_gradient(frame(library, COLUMNS[::-1]))
