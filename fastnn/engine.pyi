# The compiled network; fastnn._reference_engine.ReferenceEngine defines what it does.
from typing import Any, Self, final

from fastnn._arrays import Array
from fastnn.optim import OptimizerState
from fastnn.spec import NetworkSpec

@final
class Engine:
    spec: NetworkSpec
    parameters: Array
    gradients: Array
    deterministic: bool
    loss_scale: float
    bound: float
    l2_by_weight: bool

    def __new__(cls, spec: NetworkSpec) -> Self: ...
    def predict(self, X: Array, out: Array | None = None) -> Array: ...
    def try_predict(self, X: Any, out: Any, /) -> Array | None: ...
    def activations(self, X: Array) -> list[Array]: ...
    def input_gradient(self, X: Array, dY: Array, out: Array | None = None) -> Array: ...
    def loss(self, X: Array, target: Array, weight: Array | None, step: int | None = None) -> float: ...
    def loss_and_gradients(self, X: Array, target: Array, weight: Array | None, step: int | None = None) -> float: ...
    def train_step(self, X: Any, target: Any, weight: Any, state: OptimizerState) -> float: ...
    def try_train_step(self, X: Any, target: Any, weight: Any, state: OptimizerState, /) -> float | None: ...
    def try_batch(self, X: Any, target: Any, weight: Any, /) -> tuple[Array, Array, Array | None] | None: ...
    def run(
        self,
        X: Array,
        target: Array,
        weight: Array | None,
        state: OptimizerState,
        batch_size: int,
        shuffle: bool,
        epoch: int,
        batch: int,
        lr: Array,
        losses: Array,
        snapshot: bool,
        order: Array | None = None,
    ) -> int: ...
