"""What fastnn.sklearn asks of an engine beside a network's own settings: the compiled one and the reference's agree."""

from typing import Any

import numpy as np
import pytest

from fastnn._reference_engine import ReferenceEngine
from fastnn.engine import Engine
from fastnn.spec import NetworkSpec

OPTIONS: list[dict[str, Any]] = [
    {},
    {"loss_scale": 0.25},
    {"l2_by_weight": True},
    {"bound": float(np.finfo(np.float64).eps)},
    {"bound": 0.1, "loss_scale": 2.0, "l2_by_weight": True},
]
# Output -> activation, loss, whether targets are labels.
OUTPUTS = {
    "softmax of labels": ("softmax", "softmax_cross_entropy", True),
    "softmax of rows": ("softmax", "softmax_cross_entropy", False),
    "sigmoid": ("sigmoid", "sigmoid_cross_entropy", False),
}


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(options) or "none")
@pytest.mark.parametrize("weighted", [False, True], ids=["even", "weighted"])
@pytest.mark.parametrize("n_classes", [3, 150], ids=["short", "long"])
@pytest.mark.parametrize("output", OUTPUTS)
def test_both_engines_agree(output: str, n_classes: int, weighted: bool, options: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    activation, loss, takes_labels = OUTPUTS[output]
    labels = rng.integers(0, n_classes, 40)
    target = labels if takes_labels else np.eye(n_classes)[labels]
    # Large enough that some probabilities are beyond any bound.
    X, weight = 20 * rng.standard_normal((40, 5)), rng.uniform(0.5, 2, 40) if weighted else None
    layers = (("tanh", 0.0), (activation, 0.0))
    spec = NetworkSpec((5, 4, n_classes), layers, loss, keep=(1.0,), l2=0.3, dtype="float64")
    found = []
    parameters = 5 * rng.standard_normal(spec.n_parameters)
    for kind in (Engine, ReferenceEngine):
        engine = kind(spec)
        engine.parameters[...] = parameters
        for name, value in options.items():
            setattr(engine, name, value)
        cost = engine.loss_and_gradients(X, target, weight)
        assert cost == engine.loss(X, target, weight)
        found.append((cost, engine.gradients.copy()))
    (cost, gradients), (expected, wanted) = found
    np.testing.assert_allclose(cost, expected, rtol=1e-12)
    np.testing.assert_allclose(gradients, wanted, rtol=1e-9, atol=1e-12)
