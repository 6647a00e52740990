"""The speed bars, measured: a training step beside its matrix products alone, JAX and PyTorch, all in one process.

``python bench/bars.py [V1 V3 …]``. One thread for everybody, float32, rounds of all rivals interleaved, medians. The
first losses of all are compared before anything is timed. A rival that is not installed is left out.
"""

import os
import sys

# Read when the libraries are loaded.
for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "FASTNN_NUM_THREADS"):
    os.environ[_name] = "1"
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import fastnn

ROUNDS = 15
ROUND_SECONDS = 0.03
SCAN = 20  # steps inside one lax.scan

Call = Callable[[], Any]


@dataclass(frozen=True)
class Bar:
    """A step and how it must stand to each rival: products <= a share of ours / theirs, the others >= theirs / ours."""

    name: str
    sizes: tuple[int, ...]
    batch: int
    activation: str
    output: str
    adam: bool
    wanted: dict[str, float]


BARS = [
    Bar("V1", (784, 100, 100, 10), 128, "relu", "softmax", False, {"products": 0.93, "jax": 1.3, "torch": 1.9}),
    Bar(
        "V1", (784, 100, 100, 100, 100, 10), 128, "relu", "softmax", False, {"products": 0.93, "jax": 1.3, "torch": 1.9}
    ),
    Bar("V2", (784, 100, 100, 10), 128, "relu", "softmax", True, {"jax": 1.25, "torch": 1.7}),
    Bar("V3", (4, 64, 64, 2), 32, "relu", "softmax", False, {"products": 0.6, "jax": 4, "jax scan": 1.6, "torch": 25}),
    Bar("V4", (2, 4, 1), 400, "tanh", "sigmoid", False, {"jax": 8, "jax scan": 1.5, "numpy": 10, "torch": 50}),
    Bar("V5", (4, 32, 16, 4), 10_000, "tanh", "identity", True, {"jax": 2.5, "torch": 6}),
    Bar("V8", (784, 512, 512, 10), 256, "relu", "softmax", False, {"products": 0.98}),
    Bar("V8", (1024, 4096, 1024), 512, "relu", "identity", False, {"products": 1.03}),
]


def data(bar: Bar) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets."""
    rng = np.random.default_rng(0)
    n_out = bar.sizes[-1]
    X = rng.standard_normal((bar.batch, bar.sizes[0])).astype(np.float32)
    if bar.output == "softmax":
        return X, rng.integers(0, n_out, bar.batch)
    if bar.output == "sigmoid":
        return X, rng.integers(0, 2, (bar.batch, n_out)).astype(np.float32)
    return X, rng.standard_normal((bar.batch, n_out)).astype(np.float32)


def network(bar: Bar, backend: str = "compiled") -> fastnn.MLP:
    """The network at its start; every rival begins with its weights."""
    return fastnn.MLP(bar.sizes, bar.activation, bar.output, seed=0, backend=backend)


def our_step(bar: Bar, backend: str = "compiled") -> Call:
    """Compiled or NumPy."""
    net, (X, y) = network(bar, backend), data(bar)
    optimizer = fastnn.Adam(1e-4) if bar.adam else fastnn.SGD(1e-4)
    return lambda: net.train_step(X, y, optimizer)


def products(bar: Bar) -> Call:
    """The matrix products of a step through NumPy's BLAS, into buffers: forward, dW, dX of all layers but the first."""
    rng = np.random.default_rng(0)
    a = [rng.standard_normal((bar.batch, n)).astype(np.float32) for n in bar.sizes]
    w = [W.copy() for W in network(bar).weights]
    z, dw = [np.empty_like(x) for x in a], [np.empty_like(x) for x in w]

    def step() -> None:
        for layer, weights in enumerate(w):
            np.matmul(a[layer], weights, out=z[layer + 1])
        for layer in range(len(w) - 1, -1, -1):
            np.matmul(a[layer].T, z[layer + 1], out=dw[layer])
            if layer:
                np.matmul(z[layer + 1], w[layer].T, out=z[layer])

    return step


def torch_step(bar: Bar) -> Call:
    """PyTorch eager, with its fused Adam."""
    import torch

    torch.set_num_threads(1)
    net, (X, y) = network(bar), data(bar)
    layers: list[Any] = []
    for W, b in zip(net.weights, net.biases, strict=True):
        linear = torch.nn.Linear(*W.shape)
        linear.weight.data = torch.from_numpy(W.T.copy())
        linear.bias.data = torch.from_numpy(b.copy())
        layers += [linear, torch.nn.ReLU() if bar.activation == "relu" else torch.nn.Tanh()]
    model = torch.nn.Sequential(*layers[:-1])
    if bar.output == "softmax":
        loss_of: Any = torch.nn.CrossEntropyLoss()
    elif bar.output == "sigmoid":
        loss_of = torch.nn.BCEWithLogitsLoss()
    else:
        half = 0.5 * bar.sizes[-1]  # our loss sums over the outputs, theirs takes the mean
        loss_of = lambda out, target: half * torch.nn.functional.mse_loss(out, target)  # noqa: E731
    kind = torch.optim.Adam(model.parameters(), 1e-4, fused=True) if bar.adam else None
    optimizer = kind or torch.optim.SGD(model.parameters(), 1e-4)
    inputs, target = torch.from_numpy(X), torch.from_numpy(y)

    def step() -> Any:
        optimizer.zero_grad()
        loss = loss_of(model(inputs), target)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def jax_steps(bar: Bar) -> tuple[Call, Call]:
    """JAX: one jitted step with donated buffers, and SCAN steps inside lax.scan."""
    import jax
    import jax.numpy as jnp

    net, (X, y) = network(bar), data(bar)
    inputs, target = jnp.asarray(X), jnp.asarray(y)
    g = jax.nn.relu if bar.activation == "relu" else jnp.tanh

    def cost(parameters: Any) -> Any:
        x = inputs
        for layer, (w, b) in enumerate(parameters):
            x = x @ w + b
            x = g(x) if layer < len(parameters) - 1 else x
        if bar.output == "softmax":
            return jnp.mean(jax.nn.logsumexp(x, 1) - jnp.take_along_axis(x, target[:, None], 1)[:, 0])
        if bar.output == "sigmoid":
            return jnp.mean(jnp.sum(jnp.maximum(x, 0) - x * target + jnp.log1p(jnp.exp(-jnp.abs(x))), 1))
        return jnp.mean(0.5 * jnp.sum((x - target) ** 2, 1))

    def adam(p: Any, m: Any, v: Any, t: Any) -> Any:
        return p - 1e-4 * (m / (1 - 0.9**t)) / (jnp.sqrt(v / (1 - 0.999**t)) + 1e-8)

    def step(state: Any) -> tuple[Any, Any]:
        p, m, v, t = state
        loss, d = jax.value_and_grad(cost)(p)
        if not bar.adam:
            return (jax.tree.map(lambda p, d: p - 1e-4 * d, p, d), m, v, t), loss
        t = t + 1
        m = jax.tree.map(lambda m, d: 0.9 * m + 0.1 * d, m, d)
        v = jax.tree.map(lambda v, d: 0.999 * v + 0.001 * d * d, v, d)
        return (jax.tree.map(lambda p, m, v: adam(p, m, v, t), p, m, v), m, v, t), loss

    def start() -> list[Any]:
        p = [(jnp.array(W), jnp.array(b)) for W, b in zip(net.weights, net.biases, strict=True)]
        zeros = [jax.tree.map(jnp.zeros_like, p) if bar.adam else 0.0 for _ in range(2)]
        return [(p, *zeros, jnp.float32(0))]

    one = jax.jit(step, donate_argnums=0)
    many = jax.jit(lambda s: jax.lax.scan(lambda s, _: step(s), s, None, length=SCAN), donate_argnums=0)

    def runner(compiled: Any) -> Call:
        state = start()

        def run() -> Any:
            state[0], loss = compiled(state[0])
            return loss.block_until_ready()

        return run

    return runner(one), runner(many)


def rivals(bar: Bar) -> Iterator[tuple[str, Call, int]]:
    """Name, call and steps a call of all that are here."""
    yield "fastnn", our_step(bar), 1
    yield "products", products(bar), 1
    if "numpy" in bar.wanted:
        yield "numpy", our_step(bar, "reference"), 1
    for name in ("jax", "torch"):
        if name not in bar.wanted:
            continue
        try:
            if name == "torch":
                yield name, torch_step(bar), 1
            else:
                one, many = jax_steps(bar)
                yield name, one, 1
                yield "jax scan", many, SCAN
        except ImportError:
            print(f"{name} is not installed: left out")


def medians(calls: list[tuple[str, Call, int]]) -> dict[str, float]:
    """Microseconds a step, from interleaved rounds."""
    repeats = {}
    for name, call, _ in calls:
        call()
        start = time.perf_counter()
        call()
        repeats[name] = max(1, round(ROUND_SECONDS / (time.perf_counter() - start)))
    times: dict[str, list[float]] = {name: [] for name, _, _ in calls}
    for _ in range(ROUNDS):
        for name, call, steps in calls:
            start = time.perf_counter()
            for _ in range(repeats[name]):
                call()
            times[name].append((time.perf_counter() - start) / repeats[name] / steps * 1e6)
    return {name: float(np.median(values)) for name, values in times.items()}


def measure(bar: Bar) -> None:
    """Compare the first losses, time, print."""
    calls = list(rivals(bar))
    first = {name: np.ravel(np.asarray(call()))[0] for name, call, _ in calls if name != "products"}
    for name, loss in first.items():
        np.testing.assert_allclose(loss, first["fastnn"], rtol=1e-4, err_msg=f"{bar.name}: {name}'s first loss")
    times = medians(calls)
    ours = times["fastnn"]
    print(f"{bar.name} {'-'.join(map(str, bar.sizes))} batch {bar.batch}{' Adam' * bar.adam}: {ours:.1f} us a step")
    for name, theirs in times.items():
        if name == "fastnn":
            continue
        ratio = ours / theirs if name == "products" else theirs / ours
        wanted = bar.wanted.get(name)
        met = "" if wanted is None else (ratio <= wanted) == (name == "products") or ratio == wanted
        verdict = "" if wanted is None else f"  bar {wanted:g} {'met' if met else 'NOT met'}"
        print(f"    {name:9} {theirs:10.1f} us   {ratio:6.2f} x{verdict}", flush=True)


if __name__ == "__main__":
    chosen = set(sys.argv[1:])
    for one_bar in BARS:
        if not chosen or one_bar.name in chosen:
            measure(one_bar)
