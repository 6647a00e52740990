"""Ask numpydoc about the docstring of every public name.

``python tools/check_docstrings.py`` prints a line for each fault and then exits with 1. It imports what it asks about,
so it needs fastnn compiled and scikit-learn, beside numpydoc (extra ``lint``).
"""

import importlib
import inspect
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from numpydoc.validate import validate

# The modules that users import; a class or function that several of them offer is asked about once.
MODULES = (
    "fastnn",
    "fastnn.callbacks",
    "fastnn.datasets",
    "fastnn.init",
    "fastnn.io",
    "fastnn.kernels",
    "fastnn.optim",
    "fastnn.plot",
    "fastnn.reference",
    "fastnn.schedules",
    "fastnn.sklearn",
)
# All of numpydoc's checks but these.
LEFT_OUT = {
    "ES01": "one line and the sections say all that there is to say of most functions",
    "SA01": "backticks name what else to see, where it matters",
    "PR04": "'As in `history`' stands for the type, too; scikit-learn's parameters have theirs in its documentation",
    "PR07": "a type with shape or range, such as `momentum : float in [0, 1)`, can be all there is to say",
    "PR08": "a description may begin with a name, which keeps its case",
    "RT03": "as PR07",
    "RT04": "as PR08",
    "SS05": "it takes a plural that begins a summary, 'Points on …', for a verb in the third person",
}


def members(module: ModuleType) -> list[str]:
    """What it lists in ``__all__``, or else the names without an underscore that it defines itself."""
    own = [name for name, thing in vars(module).items() if getattr(thing, "__module__", None) == module.__name__]
    return getattr(module, "__all__", [name for name in own if not name.startswith("_")])


def public_names() -> Iterator[tuple[str, bool]]:
    """Each public class, function, method and property of ours, and whether its docstring must have an example."""
    seen = set()
    for module in map(importlib.import_module, MODULES):
        for name in members(module):
            thing = getattr(module, name)
            if not (inspect.isclass(thing) or inspect.isroutine(thing)) or thing in seen:
                continue
            seen.add(thing)
            path = f"{module.__name__}.{name}"
            error = inspect.isclass(thing) and issubclass(thing, BaseException)
            yield path, not error
            if inspect.isclass(thing):
                yield from ((f"{path}.{method}", example) for method, example in methods(thing, seen))


def methods(owner: type, seen: set[Any]) -> Iterator[tuple[str, bool]]:
    """Those that fastnn defines. Properties, hooks and what scikit-learn's class has too need no example."""
    theirs = [base for base in owner.__mro__ if base.__module__.startswith("sklearn.")]
    for name in dir(owner):
        static = inspect.getattr_static(owner, name)
        is_property = isinstance(static, property)
        if name.startswith("_") or not (is_property or inspect.isroutine(static)):
            continue
        function = inspect.unwrap(static.fget if is_property else getattr(owner, name))
        function = getattr(function, "__func__", function)  # of a class method
        if str(getattr(function, "__module__", "")).startswith("fastnn") and function not in seen:
            seen.add(function)
            inherited = any(hasattr(base, name) for base in theirs)
            yield name, not (is_property or name.startswith("on_") or inherited)


def main() -> int:
    faults = 0
    for name, example in public_names():
        for code, message in validate(name)["errors"]:
            if code not in LEFT_OUT and (example or code != "EX01"):
                print(f"{name}: {code} {message}")
                faults += 1
    return min(faults, 1)


if __name__ == "__main__":
    sys.exit(main())
