"""The docstrings of the whole package: their examples run and give what they show, and every public name has one."""

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
OPTIONAL = {
    "fastnn.sklearn": "sklearn",
    "fastnn.plot": "matplotlib",
    "fastnn.history": "matplotlib",
    "fastnn.io": "safetensors",  # which without the GIL has no wheel yet
    "fastnn._network": "safetensors",
}

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
        assert result.attempted > 0  # the reference's, with these functions


PUBLIC = (fastnn, fastnn.datasets, fastnn.kernels, fastnn.optim, fastnn.plot, fastnn.reference)


@pytest.mark.parametrize(("module", "name"), [(module.__name__, name) for module in PUBLIC for name in module.__all__])
def test_public_names_are_described(module: str, name: str) -> None:
    """And functions and classes have an example; tools/check_docstrings.py asks for more, and about methods."""
    thing = getattr(importlib.import_module(module), name)
    if inspect.isroutine(thing) or (inspect.isclass(thing) and not issubclass(thing, Exception)):
        assert ">>> " in thing.__doc__
    elif inspect.isclass(thing) or inspect.ismodule(thing):
        assert len(thing.__doc__) > 30
