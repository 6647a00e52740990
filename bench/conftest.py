"""What all benches share: equal threads for both sides, and what was measured where, beside each figure."""

import platform
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import scipy
from threadpoolctl import threadpool_limits

import fastnn
from fastnn import _core


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--threads", type=int, default=1, help="threads of the compiled side and of NumPy's BLAS (1)")


@pytest.fixture(autouse=True)
def equal_threads(request: pytest.FixtureRequest) -> Iterator[int]:
    """Both sides on the same number of threads for the length of a bench."""
    n = request.config.getoption("--threads")
    with fastnn.threads(n), threadpool_limits(n, user_api="blas"):
        yield n


@pytest.fixture
def facts(benchmark: Any, equal_threads: int) -> Callable[..., None]:
    """Writes into ``extra_info`` what a bare time does not say; further facts are keyword arguments."""

    def write(**more: Any) -> None:
        benchmark.extra_info.update(
            isa=_core.isa(),
            gemm=_core.gemm(),
            threads=equal_threads,
            python=platform.python_version(),
            numpy=np.__version__,
            scipy=scipy.__version__,
            fastnn=fastnn.__version__,
            **more,
        )

    return write
