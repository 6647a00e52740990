"""Between scikit-learn's fitted estimators and ours."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, Self

from sklearn import neural_network
from sklearn.base import BaseEstimator

# Of our own making, or of scikit-learn's optimiser: the other side could not read it. Callbacks belong to training.
_PRIVATE = frozenset(
    {"_net", "_other_net", "_fitted_loss", "_optimizer", "_skl_callbacks"}
    | {"_best_parameters", "_best_coefs", "_best_intercepts"}
)


class Convertible:
    """Copies from and to scikit-learn's class of the same name."""

    @classmethod
    def from_sklearn(cls, estimator: Any) -> Self:
        """A copy of an estimator of scikit-learn, fitted or not, that predicts the same, faster.

        Parameters
        ----------
        estimator : sklearn.neural_network.MLPClassifier or MLPRegressor
            Not changed. The running means of its optimiser stay behind: `partial_fit` starts new ones.

        Returns
        -------
        MLPClassifier or MLPRegressor

        Examples
        --------
        >>> from sklearn import datasets, neural_network
        >>> from fastnn.sklearn import MLPClassifier
        >>> X, y = datasets.load_iris(return_X_y=True)
        >>> slow = neural_network.MLPClassifier([5], solver="lbfgs", random_state=0).fit(X, y)
        >>> bool((MLPClassifier.from_sklearn(slow).predict(X) == slow.predict(X)).all())
        True
        """
        wanted = getattr(neural_network, cls.__name__)
        if not isinstance(estimator, wanted):
            raise TypeError(f"estimator: wanted a {wanted.__module__.split('._')[0]}.{cls.__name__}, got {estimator!r}")
        new: Any = cls(**estimator.get_params(deep=False))
        _copy_fitted(estimator, new)
        new._restore()
        return new

    def to_sklearn(self: Any) -> Any:
        """A copy as scikit-learn's own estimator, which needs no fastnn where it is loaded.

        Returns
        -------
        sklearn.neural_network.MLPClassifier or MLPRegressor

        Raises
        ------
        ValueError
            A parameter has a value that scikit-learn has not: another activation, solver or loss. What only training
            looks at (``dropout``, ``clip_norm`` …) is left out.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from fastnn.sklearn import MLPClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> net = MLPClassifier([5], solver="lbfgs", random_state=0).fit(X, y)
        >>> slow = net.to_sklearn()
        >>> type(slow).__module__.partition(".")[0], bool((slow.predict(X) == net.predict(X)).all())
        ('sklearn', True)
        """
        target = getattr(neural_network, _name(self))
        params = {name: value for name, value in self.get_params(deep=False).items() if name in _parameters(target)}
        new = target(**params)
        try:
            new._validate_params()
        except ValueError as error:
            raise ValueError(f"to_sklearn: scikit-learn has not all of this estimator: {error}") from error
        # Once fitted, the output counts, whatever the parameter is now.
        loss = "poisson" if getattr(self, "out_activation_", None) == "exp" else self.loss
        if loss not in ("log_loss", "squared_error", "poisson") or (loss == "poisson" and "loss" not in params):
            raise ValueError(f"to_sklearn: this scikit-learn has no loss {loss!r}")
        _copy_fitted(self, new)
        return new


def accelerate(estimator: Any) -> Any:
    """A copy of a fitted estimator of scikit-learn that predicts the same, faster.

    Parameters
    ----------
    estimator : sklearn.neural_network.MLPClassifier or MLPRegressor, or an estimator made of others
        A pipeline, a search, an ensemble …: every perceptron in it is replaced, the rest is copied. Not changed.

    Returns
    -------
    MLPClassifier or MLPRegressor, or an estimator of the kind given

    Raises
    ------
    TypeError
        There is no perceptron in it.

    Examples
    --------
    >>> from sklearn import datasets, neural_network, pipeline, preprocessing
    >>> from fastnn.sklearn import accelerate
    >>> X, y = datasets.load_diabetes(return_X_y=True)
    >>> net = neural_network.MLPRegressor(hidden_layer_sizes=[5], solver="lbfgs", tol=10.0)
    >>> slow = pipeline.make_pipeline(preprocessing.StandardScaler(), net).fit(X, y)
    >>> bool(np.allclose(accelerate(slow).predict(X), slow.predict(X)))
    True
    """
    from fastnn.sklearn._classifier import MLPClassifier
    from fastnn.sklearn._regressor import MLPRegressor

    # What `deepcopy` finds in its memo it takes for copied already.
    memo: dict[int, Any] = {}
    for net in _perceptrons(estimator):
        kind: Any = MLPClassifier if isinstance(net, neural_network.MLPClassifier) else MLPRegressor
        memo[id(net)] = kind.from_sklearn(net)
    if not memo:
        raise TypeError(
            "estimator: wanted scikit-learn's MLPClassifier or MLPRegressor, or a pipeline or another estimator with "
            f"one in it, got {estimator!r}"
        )
    return copy.deepcopy(estimator, memo)


def _perceptrons(thing: Any) -> Iterator[Any]:
    """Those of scikit-learn in an estimator, its parameters and what it has fitted."""
    if isinstance(thing, (neural_network.MLPClassifier, neural_network.MLPRegressor)):
        yield thing
    elif isinstance(thing, (BaseEstimator, dict, list, tuple)):
        inside = vars(thing) if isinstance(thing, BaseEstimator) else thing
        for value in inside.values() if isinstance(inside, dict) else inside:
            yield from _perceptrons(value)


def _name(estimator: Any) -> str:
    return "MLPClassifier" if isinstance(estimator, neural_network.MLPClassifier) else "MLPRegressor"


def _parameters(kind: Any) -> set[str]:
    return set(kind().get_params())


def _copy_fitted(source: Any, target: Any) -> None:
    """Copy every attribute that is no parameter."""
    parameters = set(source.get_params(deep=False)) | {"loss"}
    for name, value in vars(source).items():
        if name not in parameters and name not in _PRIVATE:
            setattr(target, name, copy.deepcopy(value))
