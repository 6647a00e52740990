"""Fast multilayer perceptrons on the CPU. Public names, nothing else; `fastnn.MLP` is the place to start."""

import importlib
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastnn._interpreter import is_main

if any(find_spec(f"fastnn.{name}") is None for name in ("_core", "kernels", "engine")):
    raise ImportError(
        f"fastnn's compiled modules are not in {Path(__file__).resolve().parent}. If this is its source folder, build "
        "them here: python setup.py build_clib build_ext --inplace; or install it, pip install ., and start Python "
        "from another folder, so that the source folder does not stand before the installed package"
    )

if not is_main():
    raise ImportError("fastnn: wanted the main interpreter, got a sub-interpreter, which NumPy does not support either")

from fastnn import callbacks, optim, schedules
from fastnn.callbacks import Callback, EarlyStopping, ProgressBar
from fastnn.config import cpu, denormals, gemm, get_include, isa, show_config, threads
from fastnn.fitting import NonFiniteLossError
from fastnn.history import History
from fastnn.io import ModelFileError
from fastnn.mlp import MLP
from fastnn.optim import SGD, Adagrad, Adam, AdamW, Momentum, Optimizer, RMSprop

if TYPE_CHECKING:
    import fastnn.kernels as kernels
    from fastnn import datasets, plot, reference

__version__ = "0.1.0"

__all__ = [
    "MLP",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Callback",
    "EarlyStopping",
    "History",
    "ModelFileError",
    "Momentum",
    "NonFiniteLossError",
    "Optimizer",
    "ProgressBar",
    "RMSprop",
    "__version__",
    "callbacks",
    "cpu",
    "datasets",
    "denormals",
    "gemm",
    "get_include",
    "isa",
    "kernels",
    "optim",
    "plot",
    "reference",
    "schedules",
    "show_config",
    "threads",
]

# Imported when first used: training does not need them.
_LAZY = ("datasets", "kernels", "plot", "reference")


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return importlib.import_module(f"fastnn.{name}")
    raise AttributeError(f"module 'fastnn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
