"""What is used of scikit-learn beside its public names, in one place, and checked when it is imported.

The estimators here are subclasses of scikit-learn's own: validation of parameters and input, label encoding, tags,
``isinstance`` and whatever a new version adds to the surface come with that. The price is three private methods of
theirs that are called (`_validate_input`, `_check_solver` and the label binariser that the former makes), and two that
are replaced (`_fit`, `_forward_pass_fast`); they have been the same since scikit-learn 1.5. A version that drops one of
them fails at import with a message that says so, not in the middle of a fit.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import sklearn
from sklearn.neural_network import MLPClassifier, MLPRegressor

# Method -> the parameters that must be among its own.
_NEEDED = {
    "_fit": {"X", "y", "incremental"},
    "_forward_pass_fast": {"X", "check_input"},
    "_validate_input": {"X", "y", "incremental", "reset"},
    "_check_solver": set(),
}


def check_version() -> None:
    """Refuse a scikit-learn that has not what is built upon.

    Raises
    ------
    ImportError
        The message names the version and what is missing.
    """
    for base in (MLPClassifier, MLPRegressor):
        for name, parameters in _NEEDED.items():
            method = getattr(base, name, None)
            if method is None or not parameters <= set(inspect.signature(method).parameters):
                raise ImportError(
                    f"fastnn.sklearn does not know scikit-learn {sklearn.__version__}: {base.__name__}.{name} is "
                    "missing or takes other arguments; install another version of scikit-learn (>= 1.5) or of fastnn"
                )


def validate_X(estimator: Any, X: Any) -> Any:  # noqa: N802 - X is scikit-learn's
    """X for prediction, checked against what the estimator was fitted with."""
    try:
        from sklearn.utils.validation import validate_data
    except ImportError:  # before 1.6 a method did it
        return estimator._validate_data(X, accept_sparse=["csr", "csc"], reset=False)
    return validate_data(estimator, X, accept_sparse=["csr", "csc"], reset=False)


def with_positions_of(base: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make an ``__init__`` take by position what that of `base` takes: since 1.7 the regressor's loss is first."""

    def decorate(init: Callable[..., None]) -> Callable[..., None]:
        mine, theirs = (inspect.signature(function).parameters for function in (init, base.__init__))
        if list(mine)[: len(theirs)] == list(theirs):
            return init
        new = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for name, p in mine.items() if name not in theirs]
        signature = inspect.Signature([*(mine[name] for name in theirs), *new])

        @functools.wraps(init)
        def by_name(*args: Any, **kwargs: Any) -> None:
            init(**signature.bind(*args, **kwargs).arguments)

        by_name.__signature__ = signature  # type: ignore[attr-defined] # scikit-learn reads the parameters from it
        return by_name

    return decorate
