"""`MLPClassifier` and `MLPRegressor` with scikit-learn's interface and results, trained by fastnn's engine.

To move a program over, change one import: ``from fastnn.sklearn import MLPClassifier, MLPRegressor``.
"""

try:
    import sklearn  # noqa: F401
except ImportError as error:
    raise ImportError(
        "fastnn.sklearn wants scikit-learn >= 1.5: pip install fastnn[sklearn] (or scikit-learn)"
    ) from error

from fastnn.sklearn._compat import check_version

check_version()

from fastnn.sklearn._classifier import MLPClassifier  # noqa: E402 - after the check, whose message is the clearer one
from fastnn.sklearn._convert import accelerate  # noqa: E402
from fastnn.sklearn._regressor import MLPRegressor  # noqa: E402

__all__ = ["MLPClassifier", "MLPRegressor", "accelerate"]
