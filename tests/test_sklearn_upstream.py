"""scikit-learn's own tests of its multilayer perceptrons, as shipped with the installed version, run against ours.

Its test module is loaded a second time from its source with our classes in the place of its own; the tests, their
parameters and their marks are then collected from here as if they stood in this file.
"""

import importlib.util
import inspect
import re
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

import sklearn.neural_network

from fastnn.sklearn import MLPClassifier, MLPRegressor

# Older versions of the module leave it to scikit-learn's settings of pytest; a test that expects one still does.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

PAGE = Path(__file__).resolve().parent.parent / "docs" / "moving-from-scikit-learn.md"
NARROW, WIDENED = "test_mlp_regressor_dtypes_casting", "rtol=5e-04"
# Test -> why it is left out, in the words of PAGE.
LEFT_OUT = {
    "test_gradient": "calls the private `_loss_grad_lbfgs` with lists for it to fill; `tests/test_gradients.py` "
    "compares our gradients with central differences",
    NARROW: "with scikit-learn 1.5 only, which wants 1e-4 between float32 and float64; from 1.6 on it is 5e-4",
}


def upstream() -> ModuleType | None:
    """scikit-learn's test module with our classes; None where a packager has left it out."""
    path = Path(sklearn.neural_network.__file__).parent / "tests" / "test_mlp.py"
    if not path.is_file():
        return None
    # Its imports run with our classes in the package that it imports from.
    names = {kind.__name__: kind for kind in (MLPClassifier, MLPRegressor)}
    with pytest.MonkeyPatch.context() as patch:
        for name, ours in names.items():
            patch.setattr(sklearn.neural_network, name, ours)
        spec = importlib.util.spec_from_file_location("sklearn_test_mlp_against_fastnn", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    assert all(getattr(module, name) is ours for name, ours in names.items())
    return module


MODULE = upstream()
FOUND = {name: test for name, test in vars(MODULE).items() if name.startswith("test_")} if MODULE else {}
for name, test in FOUND.items():
    left_out = name in LEFT_OUT and not (name == NARROW and WIDENED in inspect.getsource(test))
    globals()[name] = pytest.mark.skip(LEFT_OUT[name])(test) if left_out else test


@pytest.fixture
def global_random_seed() -> int:
    """A fixture of scikit-learn's conftest.py, with the seed that it has by default."""
    return 42


@pytest.mark.skipif(MODULE is None, reason="this scikit-learn comes without its tests")
def test_as_many_as_there_should_be() -> None:
    """A list that is empty, or names what is not there, would test nothing."""
    assert len(FOUND) >= 35
    assert set(LEFT_OUT) <= set(FOUND)


@pytest.mark.skipif(not PAGE.is_file(), reason="docs/ is not beside the tests")
def test_the_page_lists_the_same() -> None:
    assert dict(re.findall(r"^\| `(test_\w+)` \| (.*) \|$", PAGE.read_text("utf-8"), re.MULTILINE)) == LEFT_OUT
