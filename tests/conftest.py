"""Fixtures that run a test on every instruction set, dtype and way of multiplying matrices.

FASTNN_ISA and FASTNN_GEMM, when set, restrict the tests to that choice: one test on one ISA is
``FASTNN_ISA=avx2 pytest tests/test_kernels.py -k sigmoid``.
"""

import os
import sys
import sysconfig
from collections.abc import Iterator
from types import ModuleType

import pytest

from fastnn import _core, config, kernels, reference


def _choices(variable: str, available: tuple[str, ...]) -> tuple[str, ...]:
    """What the environment variable names, else everything available; "auto" restricts nothing."""
    wanted = os.environ.get(variable, "auto")
    if wanted in ("", "auto"):
        return available
    if wanted not in available:
        raise pytest.UsageError(f"{variable}={wanted}: this machine has {', '.join(available)}")
    return (wanted,)


ISAS = _choices("FASTNN_ISA", _core.available_isas())
GEMMS = _choices("FASTNN_GEMM", ("own", "blas"))
DTYPES = ("float32", "float64")
WITHOUT_GIL = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: takes more than a few seconds; leave out with -m 'not slow'")


def pytest_report_header() -> str:
    without = ", without the GIL" if WITHOUT_GIL and not sys._is_gil_enabled() else ""
    return f"fastnn: ISAs {', '.join(ISAS)}; matrix products {', '.join(GEMMS)}{without}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    """Model files need safetensors, which has no wheel for Pythons without the GIL and is built with Rust."""
    try:
        return (yield)
    except ModuleNotFoundError as error:
        if WITHOUT_GIL and error.name == "safetensors":
            pytest.skip("safetensors is not installed")
        raise


def assert_isa(name: str) -> None:
    """Fail unless the kernels that run now are those of instruction set `name`."""
    assert _core.isa() == name, f"asked for {name}, but the kernels of {_core.isa()} are in use"


@pytest.fixture(params=ISAS)
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Every available instruction set in turn, forced during the test."""
    with config.isa(request.param):
        assert_isa(request.param)
        yield request.param
        assert_isa(request.param)


@pytest.fixture(params=GEMMS)
def gemm(request: pytest.FixtureRequest) -> Iterator[str]:
    """Own kernels and BLAS in turn, forced during the test."""
    with config.gemm(request.param):
        assert _core.gemm() == request.param
        yield request.param
        assert _core.gemm() == request.param


@pytest.fixture(params=DTYPES)
def dtype(request: pytest.FixtureRequest) -> str:
    """float32 and float64 in turn."""
    return request.param


@pytest.fixture(params=["reference", *ISAS])
def implementation(request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    """The module with the ops: the reference, then the kernels on every available instruction set."""
    if request.param == "reference":
        yield reference
        return
    with config.isa(request.param):
        assert_isa(request.param)
        yield kernels
        assert_isa(request.param)
