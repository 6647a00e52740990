"""What is timed, by its size: networks, activations, updates. No timing here."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import fastnn


@dataclass(frozen=True)
class Workload:
    """A network and the batch that it is trained on, or whose outputs it predicts."""

    sizes: tuple[int, ...]
    batch: int
    activation: str
    output: str
    optimizer: Callable[[], fastnn.Optimizer]

    @property
    def network_name(self) -> str:
        return "-".join(map(str, self.sizes))

    @property
    def name(self) -> str:
        """Of the training step, for the group: sizes, batch, optimiser."""
        return f"step {self.network_name} B{self.batch} {self.optimizer.__name__}"

    @property
    def layers(self) -> list[tuple[int, int]]:
        """Inputs and outputs of each."""
        return list(zip(self.sizes, self.sizes[1:], strict=False))

    @property
    def forward_flop(self) -> int:
        """Multiplications and additions of the matrix products of a prediction."""
        return 2 * self.batch * sum(i * o for i, o in self.layers)

    @property
    def flop(self) -> int:
        """The same of a step: forward, dW, and dX of all layers but the first."""
        return 3 * self.forward_flop - 2 * self.batch * math.prod(self.layers[0])

    def forward_bytes(self, dtype: str) -> int:
        """The least that a prediction moves: inputs and parameters in, outputs out."""
        ends = self.batch * (self.sizes[0] + self.sizes[-1])
        return np.dtype(dtype).itemsize * (ends + self._parameters)

    def bytes(self, dtype: str) -> int:
        """The least that a step moves: the batch in, parameters and the optimiser's state in and out."""
        state = {fastnn.SGD: 1, fastnn.Adam: 3}[type(self.optimizer())]
        batch = sum(a.nbytes for a in self.data(dtype))
        return batch + np.dtype(dtype).itemsize * 2 * state * self._parameters

    @property
    def _parameters(self) -> int:
        return sum((i + 1) * o for i, o in self.layers)

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


@dataclass(frozen=True)
class Product:
    """One product of a layer of B rows, I inputs, O outputs, by name: forward, input gradient, weight gradient."""

    name: str
    B: int
    I: int  # noqa: E741
    O: int  # noqa: E741

    @property
    def flop(self) -> int:
        return 2 * self.B * self.I * self.O

    def bytes(self, dtype: str) -> int:
        """The least that is moved: both operands and the result, once."""
        return np.dtype(dtype).itemsize * (self.B * self.I + self.I * self.O + self.B * self.O)

    def operands(self, dtype: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of all products of this layer: x, W, dY."""
        rng = np.random.default_rng(0)
        x, W, dY = (
            rng.standard_normal(shape, np.float32).astype(dtype)
            for shape in ((self.B, self.I), (self.I, self.O), (self.B, self.O))
        )
        return x, W, dY

    def factors(self, x: np.ndarray, W: np.ndarray, dY: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The two matrices whose product this is, as views."""
        return {"forward": (x, W), "input gradient": (dY, W.T), "weight gradient": (x.T, dY)}[self.name]

    @property
    def sizes(self) -> tuple[int, int, int]:
        """M, K and N: rows of the result, length of its sums, columns."""
        B, I, O = self.B, self.I, self.O  # noqa: E741
        return {"forward": (B, I, O), "input gradient": (B, O, I), "weight gradient": (I, B, O)}[self.name]


def sgd() -> fastnn.Optimizer:
    return fastnn.SGD(0.01)


def adam() -> fastnn.Optimizer:
    return fastnn.Adam(1e-3)


# The training steps, by the name of the bar that bench/bars.py holds them to.
STEPS = {
    "V1": [Workload(sizes, 128, "relu", "softmax", sgd) for sizes in ((784, 100, 100, 10), (784, *[100] * 4, 10))],
    "V2": [Workload(sizes, 128, "relu", "softmax", adam) for sizes in ((784, 100, 100, 10), (784, *[100] * 4, 10))],
    "V3": [Workload((4, 64, 64, 2), 32, "relu", "softmax", sgd)],
    "V4": [Workload((2, 4, 1), 400, "tanh", "sigmoid", sgd)],
    "V5": [Workload((4, 32, 16, 4), 10_000, "tanh", "identity", adam)],
    "V8": [
        Workload((784, 512, 512, 10), 256, "relu", "softmax", sgd),
        Workload((1024, 1024, 1024, 10), 256, "relu", "softmax", sgd),
        Workload((784, 2048, 2048, 10), 128, "relu", "softmax", sgd),
        Workload((1024, 4096, 1024), 512, "relu", "softmax", sgd),
    ],
}
# Training steps of small and medium widths, multiples of a vector and others, square layers and not.
WIDTHS = [
    Workload(sizes, batch, "relu", "softmax", sgd)
    for sizes, batch in (
        ((48, 48, 48, 10), 64), ((50, 50, 50, 10), 200), ((64, 64, 64, 10), 128), ((64, 100, 10), 200),
        ((70, 70, 70, 10), 64), ((100, 100, 100, 10), 128), ((784, 100, 100, 10), 128), ((100, 200, 50, 3), 512),
        ((128, 128, 128, 10), 64), ((130, 130, 130, 10), 100), ((130, 130, 130, 10), 512), ((200, 200, 200, 10), 256),
        ((256, 300, 256), 128), ((300, 300, 300, 10), 64), ((300, 130, 70, 48), 300), ((500, 500, 500, 10), 128),
        ((512, 512, 512, 10), 512),
    )
]  # fmt: skip
# One matrix product of a layer each: B rows, I inputs, O outputs.
LAYERS = [
    (64, 64, 64), (128, 784, 100), (128, 100, 100), (128, 128, 128), (200, 130, 70), (256, 300, 256), (120, 512, 512),
    (500, 500, 500), (1000, 64, 512), (64, 1000, 100), (512, 1024, 1024), (128, 784, 2048), (100, 2048, 2048),
    (2048, 100, 300),
]  # fmt: skip
# The predictions: of one row, which bars ask for, and of batches.
ROWS = {
    "V6": Workload((4, 64, 64, 2), 1, "relu", "softmax", sgd),
    "V7": Workload((64, 256, 256, 18), 1, "relu", "softmax", sgd),
}
BATCHES = [
    Workload((4, 64, 64, 2), 32, "relu", "softmax", sgd),
    Workload((64, 256, 256, 18), 32, "relu", "softmax", sgd),
    Workload((784, 100, 100, 10), 1000, "relu", "softmax", sgd),
    Workload((32, 1024, 1024, 8), 64, "relu", "softmax", sgd),
]
# Activations by columns; a million numbers each.
OPS = [
    ("relu", 1000),
    ("tanh", 1000),
    ("sigmoid", 1000),
    ("softmax", 10),
    ("softmax", 1000),
    ("gelu", 1000),
    ("silu", 1000),
]
# Parameters of an update: within the caches, and far beyond them.
ADAMS = [1 << 20, 32 << 20]
