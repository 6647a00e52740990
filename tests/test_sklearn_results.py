"""`fastnn.sklearn` beside scikit-learn's own estimators: same random numbers, same losses, same outputs."""

import inspect
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

from sklearn import neural_network as theirs
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from fastnn import sklearn as ours

# The rates keep every loss falling: where it jumps about, rounding decides and equality means nothing.
SOLVERS: dict[str, dict[str, Any]] = {
    "plain": {"solver": "sgd", "momentum": 0.0, "learning_rate_init": 0.05},
    "momentum": {"solver": "sgd", "nesterovs_momentum": False, "learning_rate_init": 0.01},
    "nesterov": {"solver": "sgd", "learning_rate_init": 0.01},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.1},
    "adaptive": {"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 0.05, "tol": 1e-2},
    "adam": {"solver": "adam"},
}


@pytest.fixture(autouse=True)
def no_convergence_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    X, y = load_digits(return_X_y=True)
    return X / 16, y


def both(name: str, X: Any, y: Any, **settings: Any) -> list[Any]:
    """Ours and theirs, fitted."""
    settings = {"random_state": 3, "hidden_layer_sizes": (30,), "max_iter": 50, **settings}
    return [getattr(module, name)(**settings).fit(X, y) for module in (ours, theirs)]


def assert_same_fit(mine: Any, other: Any, rtol: float = 1e-6) -> None:
    np.testing.assert_allclose(mine.loss_curve_, other.loss_curve_, rtol=rtol)
    assert (mine.n_iter_, mine.t_, mine.out_activation_) == (other.n_iter_, other.t_, other.out_activation_)
    for a, b in zip(mine.coefs_ + mine.intercepts_, other.coefs_ + other.intercepts_, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("early_stopping", [False, True], ids=["to the end", "early stopping"])
@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("solver", SOLVERS)
def test_loss_curve(digits: Any, solver: str, activation: str, early_stopping: bool) -> None:
    mine, other = both(
        "MLPClassifier", *digits, activation=activation, early_stopping=early_stopping, **SOLVERS[solver]
    )
    assert_same_fit(mine, other)
    if early_stopping:
        np.testing.assert_allclose(mine.validation_scores_, other.validation_scores_, rtol=1e-12)
        assert mine.best_validation_score_ == pytest.approx(other.best_validation_score_, rel=1e-12)


def test_a_wrong_rule_would_be_seen(digits: Any) -> None:
    mine, other = both("MLPClassifier", *digits, max_iter=3)
    other.set_params(epsilon=1e-6).fit(*digits)
    with pytest.raises(AssertionError):
        assert_same_fit(mine, other)


def test_outputs(digits: Any) -> None:
    X, y = digits
    mine, other = both("MLPClassifier", X, y, max_iter=10)
    np.testing.assert_array_equal(mine.predict(X), other.predict(X))
    np.testing.assert_allclose(mine.predict_proba(X), other.predict_proba(X), rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(mine.predict_log_proba(X), other.predict_log_proba(X), rtol=1e-6)
    assert mine.score(X, y) == other.score(X, y)


@pytest.mark.parametrize("kind", ["binary", "multilabel", "one row a batch", "short last batch", "float32"])
def test_other_targets_and_batches(digits: Any, kind: str) -> None:
    X, y = digits[0][:300], digits[1][:300]
    settings: dict[str, Any] = {"max_iter": 8}
    rtol = 1e-6
    if kind == "binary":
        y = y > 4
    elif kind == "multilabel":
        y = np.stack([y > 4, y % 2 == 0, y < 3], axis=1).astype(int)
    elif kind == "one row a batch":
        settings |= {"batch_size": 1, "max_iter": 2}
    elif kind == "short last batch":
        settings["batch_size"] = 77
    else:
        X, rtol = X.astype(np.float32), 1e-4
    mine, other = both("MLPClassifier", X, y, **settings)
    if kind == "float32":
        assert mine.coefs_[0].dtype == np.float32
        np.testing.assert_allclose(mine.loss_curve_, other.loss_curve_, rtol=rtol)
    else:
        assert_same_fit(mine, other)


@pytest.mark.parametrize("outputs", [1, 3])
def test_regressor(digits: Any, outputs: int) -> None:
    X = digits[0]
    y = np.sin(X[:, :outputs] + X[:, 20 : 20 + outputs] * 3 + X[:, 30 : 30 + outputs])
    mine, other = both("MLPRegressor", X, y[:, 0] if outputs == 1 else y, max_iter=20)
    assert_same_fit(mine, other)
    np.testing.assert_allclose(mine.predict(X), other.predict(X), rtol=1e-5, atol=1e-8)
    assert mine.score(X, y) == pytest.approx(other.score(X, y), rel=1e-6)


TARGETS: dict[str, Any] = {
    "names": lambda y: np.array(["no", "perhaps", "yes"])[y % 3],
    "multilabel": lambda y: np.stack([y > 4, y % 2 == 0], axis=1).astype(int),
    "one output": lambda y: y / 9.0,
    "two outputs": lambda y: np.stack([y / 9.0, np.cos(y)], axis=1),
    "constant output": lambda y: np.stack([y / 9.0, np.ones(len(y))], axis=1),
}


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("kind", TARGETS)
def test_validation_scores(digits: Any, kind: str, weighted: bool) -> None:
    name = "MLPRegressor" if "output" in kind else "MLPClassifier"
    settings = {"random_state": 3, "hidden_layer_sizes": (30,), "max_iter": 8, "early_stopping": True}
    mine, other = (getattr(module, name)(**settings) for module in (ours, theirs))
    weight = {"sample_weight": np.linspace(0.1, 2, len(digits[1]))} if weighted else {}
    if weighted and "sample_weight" not in inspect.signature(other.fit).parameters:
        pytest.skip("this scikit-learn's perceptrons take no weights")
    for estimator in (mine, other):
        estimator.fit(digits[0], TARGETS[kind](digits[1]), **weight)
    np.testing.assert_allclose(mine.validation_scores_, other.validation_scores_, rtol=1e-9)


def test_partial_fit_and_warm_start(digits: Any) -> None:
    X, y = digits
    pair = [module.MLPClassifier((20,), random_state=1) for module in (ours, theirs)]
    for estimator in pair:
        for rows in (slice(0, 500), slice(500, 1000), slice(0, 200)):
            estimator.partial_fit(X[rows], y[rows], classes=np.arange(10))
    assert_same_fit(*pair)
    pair = [module.MLPClassifier((20,), random_state=1, warm_start=True, max_iter=4) for module in (ours, theirs)]
    for estimator in pair:
        estimator.fit(X, y).fit(X, y)
    assert_same_fit(*pair)


def test_lbfgs(digits: Any) -> None:
    X, y = digits
    mine, other = both("MLPClassifier", X, y, solver="lbfgs", max_iter=15)
    assert mine.loss_ == pytest.approx(other.loss_, rel=1e-6)
    np.testing.assert_array_equal(mine.predict(X), other.predict(X))


def test_sparse_is_the_same_as_dense(digits: Any) -> None:
    sparse = pytest.importorskip("scipy.sparse")
    X, y = digits
    dense, other = (ours.MLPClassifier((20,), random_state=1, max_iter=3).fit(x, y) for x in (X, sparse.csr_matrix(X)))
    assert_same_fit(dense, other)
    np.testing.assert_allclose(dense.predict_proba(X), other.predict_proba(sparse.csr_matrix(X)), rtol=1e-12)
