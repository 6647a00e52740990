"""One training step of whole networks, compiled beside NumPy: one group a network, agreement checked first."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from workloads import SIDES, WORKLOADS, Workload

# Steps after which both sides must have the same parameters; few: Adam magnifies rounding where gradients vanish.
_STEPS = 3


def _check_agreement(workload: Workload, dtype: str) -> None:
    """Both sides make the same steps."""
    X, y = workload.data(dtype)
    nets = {side: workload.network(dtype, side) for side in SIDES}
    for net in nets.values():
        optimizer = workload.optimizer()
        for _ in range(_STEPS):
            net.train_step(X, y, optimizer)
    compiled, reference = (nets[side].parameters for side in SIDES)
    tolerance = 2e-5 if dtype == "float32" else 1e-11
    np.testing.assert_allclose(compiled, reference, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda w: w.name.replace(" ", "_"))
def test_train_step(workload: Workload, dtype: str, side: str, benchmark: Any, facts: Callable[..., None]) -> None:
    _check_agreement(workload, dtype)
    X, y = workload.data(dtype)
    net, optimizer = workload.network(dtype, side), workload.optimizer()
    benchmark.group = f"{workload.name} {dtype}"
    facts(side=side, dtype=dtype, sizes=workload.sizes, batch=workload.batch, flop=workload.flop)
    benchmark(net.train_step, X, y, optimizer)
    assert np.isfinite(net.parameters).all()
