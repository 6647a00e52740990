"""Random networks for the gradient tests, and their cost written a second time, for automatic differentiation.

Not a test itself. `cost` uses nothing of fastnn but the dropout masks, and the formulas as a textbook has them.
"""

from typing import Any, NamedTuple

import numpy as np

from fastnn import MLP, reference
from fastnn.spec import NetworkSpec

HIDDEN = [
    "identity",
    "sigmoid",
    "tanh",
    "relu",
    ("leaky_relu", 0.1),
    ("elu", 1.3),
    "softplus",
    "gelu",
    "silu",
    "softmax",
]
OUTPUTS = [
    ("softmax", "softmax_cross_entropy"),
    ("identity", "softmax_cross_entropy"),
    ("sigmoid", "sigmoid_cross_entropy"),
    ("identity", "sigmoid_cross_entropy"),
    *((name, "squared_error") for name in HIDDEN),
]
N_CASES = 42


class Case(NamedTuple):
    """A network's arguments and data for it; ``step`` None: no dropout."""

    arguments: dict[str, Any]
    X: np.ndarray
    target: np.ndarray
    weight: np.ndarray | None
    step: int | None

    def network(self, backend: str, dtype: str = "float64") -> MLP:
        net = MLP(**self.arguments, dtype=dtype, backend=backend)
        for b in net.biases:
            b[...] = np.random.default_rng(7).normal(scale=0.3, size=b.shape)
        return net


def random_case(number: int) -> Case:
    """1 to 6 layers of 1 to 300 units; the number walks through activations, losses and forms of regularisation."""
    rng = np.random.default_rng(number)
    depth = 1 + number % 6
    # Few wide layers, many narrow ones: the logarithm of the width is even.
    sizes = [int(n) for n in np.exp(rng.uniform(0, np.log(300), depth + 1)).round()]
    if number % 7 == 0:
        sizes[rng.integers(depth + 1)] = 300
    hidden = [HIDDEN[(number + 3 * k) % len(HIDDEN)] for k in range(depth - 1)]
    output, loss = OUTPUTS[number % len(OUTPUTS)]
    sparsity = None
    if number % 5 == 4 and depth > 1:
        hidden, sparsity = ["sigmoid"] * (depth - 1), (0.1, 0.5)
    dropping = number % 3 == 1 and depth > 1
    rows = int(rng.integers(1, 24))
    arguments = {
        "sizes": sizes,
        "activation": hidden,
        "output": output,
        "loss": loss,
        "dropout": [float(p) for p in rng.uniform(0.1, 0.6, depth - 1)] if dropping else 0.0,
        "l2": float(rng.uniform(0.01, 1)) if number % 4 else 0.0,
        "l2_form": ("mean", "sum")[number // 2 % 2],
        "sparsity": sparsity,
        "seed": number,
    }
    weight = rng.uniform(0, 2, rows) if number % 2 else None
    target = _target(loss, rng, rows, sizes[-1], labels=number % 4 < 2)
    return Case(arguments, rng.normal(size=(rows, sizes[0])), target, weight, number if dropping else None)


def _target(loss: str, rng: np.random.Generator, rows: int, outputs: int, labels: bool) -> np.ndarray:
    if loss == "softmax_cross_entropy":
        return rng.integers(0, outputs, rows) if labels else rng.dirichlet(np.ones(outputs), rows)
    if loss == "sigmoid_cross_entropy":
        return rng.uniform(size=(rows, outputs))
    return rng.normal(size=(rows, outputs))


def masks(spec: NetworkSpec, rows: int, step: int | None) -> list[np.ndarray | float]:
    """Per hidden layer what its output is multiplied by."""
    if step is None:
        return [1.0] * len(spec.keep)
    ones = ((np.ones((rows, n)), keep) for n, keep in zip(spec.sizes[1:-1], spec.keep, strict=True))
    return [reference.dropout_forward(x, keep, spec.seed, step=step, layer=i) for i, (x, keep) in enumerate(ones)]


def functions(anp: Any, erf: Any) -> dict[str, Any]:
    """The activations of (z, alpha) over a NumPy-like module."""

    def softmax(z: Any, _: float) -> Any:
        e = anp.exp(z - anp.max(z, axis=1, keepdims=True))
        return e / anp.sum(e, axis=1, keepdims=True)

    return {
        "identity": lambda z, _: z,
        "sigmoid": lambda z, _: 1 / (1 + anp.exp(-z)),
        "tanh": lambda z, _: anp.tanh(z),
        "relu": lambda z, _: anp.where(z > 0, z, 0.0),
        "leaky_relu": lambda z, alpha: anp.where(z > 0, z, alpha * z),
        "elu": lambda z, alpha: anp.where(z > 0, z, alpha * (anp.exp(anp.where(z > 0, 0.0, z)) - 1)),
        "softplus": lambda z, _: anp.log1p(anp.exp(-anp.abs(z))) + anp.where(z > 0, z, 0.0),
        "gelu": lambda z, _: z * 0.5 * (1 + erf(z / np.sqrt(2))),
        "silu": lambda z, _: z / (1 + anp.exp(-z)),
        "softmax": softmax,
    }


def cost(anp: Any, erf: Any, spec: NetworkSpec, p: Any, case: Case, kinks: list[Any] | None = None) -> Any:
    """The cost of the flat parameters ``p``, in the arithmetic of ``anp``; ``kinks`` gets the side of every kink."""
    function = functions(anp, erf)
    a, rows = case.X, len(case.X)
    share = np.full(rows, 1 / rows) if case.weight is None else case.weight / case.weight.sum()
    multipliers = [*masks(spec, rows, case.step), None]
    total, z, output = 0.0, None, None
    layers = zip(spec.layer_slices(), spec.sizes, spec.sizes[1:], spec.activations, multipliers, strict=False)
    for (w, b), n_in, n_out, (name, alpha), mask in layers:
        W = anp.reshape(p[w], (n_in, n_out))
        z = anp.dot(a, W) + p[b]
        output = function[name](z, alpha)
        if kinks is not None and name in ("relu", "leaky_relu", "elu"):
            kinks.append(z > 0)
        total = total + spec.l2 / (2 * (rows if spec.l2_form == "mean" else 1)) * anp.sum(W**2)
        if mask is not None:
            if spec.sparsity is not None:
                rho, beta = spec.sparsity
                mean = anp.dot(share, output)
                divergence = rho * anp.log(rho / mean) + (1 - rho) * anp.log((1 - rho) / (1 - mean))
                total = total + beta * anp.sum(divergence)
            a = output * mask
    return total + anp.dot(share, _row_losses(anp, function, spec.loss, z, output, case.target))


def _row_losses(anp: Any, function: Any, loss: str, z: Any, output: Any, target: np.ndarray) -> Any:
    if loss == "softmax_cross_entropy":
        rows = np.eye(z.shape[1])[target] if target.ndim == 1 else target
        return -anp.sum(rows * anp.log(function["softmax"](z, 0.0)), axis=1)
    if loss == "sigmoid_cross_entropy":
        return -anp.sum(target * -function["softplus"](-z, 0.0) + (1 - target) * -function["softplus"](z, 0.0), axis=1)
    return 0.5 * anp.sum((output - target) ** 2, axis=1)
