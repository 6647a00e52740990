"""The networks that are timed, and the names of the two sides. No timing here."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import fastnn

# The two sides of each group: backends of MLP, and what kernels and reference stand for.
SIDES = ("compiled", "reference")


@dataclass(frozen=True)
class Workload:
    """A network and the batch that it is trained on."""

    sizes: tuple[int, ...]
    batch: int
    activation: str
    output: str
    optimizer: Callable[[], fastnn.Optimizer]

    @property
    def name(self) -> str:
        """For the group: sizes, batch, optimiser."""
        return f"step {'-'.join(map(str, self.sizes))} B{self.batch} {self.optimizer.__name__}"

    @property
    def flop(self) -> int:
        """Multiplications and additions of the matrix products: forward, dW, and dX of all layers but the first."""
        products = [i * o for i, o in zip(self.sizes, self.sizes[1:], strict=False)]
        return 2 * self.batch * (3 * sum(products) - products[0])

    def data(self, dtype: str) -> tuple[np.ndarray, np.ndarray]:
        """Inputs, and labels or rows of targets as the output asks for."""
        rng = np.random.default_rng(0)
        n_out = self.sizes[-1]
        X = rng.standard_normal((self.batch, self.sizes[0])).astype(dtype)
        if self.output == "softmax":
            return X, rng.integers(0, n_out, self.batch)
        if self.output == "sigmoid":
            return X, rng.integers(0, 2, (self.batch, n_out)).astype(dtype)
        return X, rng.standard_normal((self.batch, n_out)).astype(dtype)

    def network(self, dtype: str, side: str) -> fastnn.MLP:
        """The network at its start, the same on both sides."""
        return fastnn.MLP(self.sizes, self.activation, self.output, dtype=dtype, seed=0, backend=side)


def sgd() -> fastnn.Optimizer:
    return fastnn.SGD(0.01)


def adam() -> fastnn.Optimizer:
    return fastnn.Adam(1e-3)


WORKLOADS = [
    Workload((784, 100, 100, 10), 128, "relu", "softmax", sgd),
    Workload((784, 100, 100, 10), 128, "relu", "softmax", adam),
    Workload((4, 64, 64, 2), 32, "relu", "softmax", sgd),
    Workload((2, 4, 1), 400, "tanh", "sigmoid", sgd),
    Workload((4, 32, 16, 4), 10_000, "tanh", "identity", adam),
]

# The training steps of the bars that bench/bars.py prints, by the bar's name.
STEPS = {
    "V1": [Workload(sizes, 128, "relu", "softmax", sgd) for sizes in ((784, 100, 100, 10), (784, *[100] * 4, 10))],
    "V2": [Workload(sizes, 128, "relu", "softmax", adam) for sizes in ((784, 100, 100, 10), (784, *[100] * 4, 10))],
    "V3": [Workload((4, 64, 64, 2), 32, "relu", "softmax", sgd)],
    "V4": [Workload((2, 4, 1), 400, "tanh", "sigmoid", sgd)],
    "V5": [Workload((4, 32, 16, 4), 10_000, "tanh", "identity", adam)],
    "V8": [
        Workload((784, 512, 512, 10), 256, "relu", "softmax", sgd),
        Workload((1024, 4096, 1024), 512, "relu", "softmax", sgd),
    ],
}
# Networks that predict one row.
ROWS = {
    "V6": Workload((4, 64, 64, 2), 1, "relu", "softmax", sgd),
    "V7": Workload((64, 256, 256, 18), 1, "relu", "softmax", sgd),
}
