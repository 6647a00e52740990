"""The examples in the docstrings of the Python layer run and give what they show."""

import doctest
import importlib

import numpy as np
import pytest

import fastnn

# What an example may use without saying so: `np`, and the public names.
NAMES = {"np": np, "fastnn": fastnn, **{name: getattr(fastnn, name) for name in fastnn.__all__}}


MODULES = ["_network", "callbacks", "config", "fitting", "history", "init", "io", "losses", "mlp", "optim", "schedules"]
SKLEARN = [f"sklearn.{name}" for name in ("_base", "_classifier", "_convert", "_regressor")]


@pytest.mark.parametrize("name", MODULES + SKLEARN)
def test_examples(name: str) -> None:
    if name in SKLEARN:
        pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    module = importlib.import_module(f"fastnn.{name}")
    result = doctest.testmod(module, extraglobs={key: value for key, value in NAMES.items() if key not in vars(module)})
    assert result.failed == 0
    assert result.attempted > 0 or name in ("fitting", "io", "losses")


@pytest.mark.parametrize("name", fastnn.__all__)
def test_public_names_are_described(name: str) -> None:
    thing = getattr(fastnn, name)
    assert name == "__version__" or len(thing.__doc__) > 30
