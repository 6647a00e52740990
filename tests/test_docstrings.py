"""The examples in the docstrings of the whole package run and give what they show."""

import doctest
import importlib
import inspect
import pkgutil

import numpy as np
import pytest

import fastnn

# What an example may use without saying so: `np`, and the public names.
NAMES = {"np": np, "fastnn": fastnn, **{name: getattr(fastnn, name) for name in fastnn.__all__}}

# Whose examples need a package that need not be there.
OPTIONAL = {"fastnn.sklearn": "sklearn", "fastnn.plot": "matplotlib", "fastnn.history": "matplotlib"}

# Where scikit-learn is missing, fastnn.sklearn stands for the modules in it, which cannot be found.
MODULES = [found.name for found in pkgutil.walk_packages(fastnn.__path__, "fastnn.") if found.name != "fastnn.__main__"]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    for prefix, package in OPTIONAL.items():
        if f"{name}.".startswith(f"{prefix}."):
            pytest.importorskip(package, reason=f"the examples need {package}")
    module = importlib.import_module(name)
    names = {key: value for key, value in NAMES.items() if key not in vars(module)}
    result = doctest.testmod(module, extraglobs=names)
    assert result.failed == 0
    if module.__file__.endswith(".py"):
        assert result.attempted == inspect.getsource(module).count(">>> "), "doctest does not see every example"
    elif name == "fastnn.kernels":
        assert result.attempted >= len(module.__all__) - 3  # the reference's, with these functions


@pytest.mark.parametrize("name", fastnn.__all__)
def test_public_names_are_described(name: str) -> None:
    thing = getattr(fastnn, name)
    assert name == "__version__" or len(thing.__doc__) > 30
