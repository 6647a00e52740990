"""JAX under jit: it donates parameters and optimiser state, and dispatches in the calling thread."""

from typing import Any

import numpy as np
from workloads import Workload

import fastnn
from peers.contender import Call, Contender, Learner, Unavailable, layers, need

# Steps in one call of the scan; of long steps fewer, which cost it nothing.
SCANNED, SCANNED_LONG, LONG_FLOP = 100, 5, 10**9


def _modules() -> list[Any]:
    found = need("jax", "optax")
    found[0].config.update("jax_cpu_enable_async_dispatch", False)  # faster for short work
    return found


def _forward(jax: Any, workload: Workload, parameters: Any, x: Any) -> Any:
    hidden = {"relu": jax.nn.relu, "tanh": jax.numpy.tanh}[workload.activation]
    for W, b in parameters[:-1]:
        x = hidden(x @ W + b)
    W, b = parameters[-1]
    return x @ W + b


def step(workload: Workload, dtype: str) -> Contender:
    """One step a call."""
    return _contender(workload, dtype, 1)


def scan(workload: Workload, dtype: str) -> Contender:
    """Many steps a call."""
    return _contender(workload, dtype, SCANNED if workload.flop < LONG_FLOP else SCANNED_LONG)


def _contender(workload: Workload, dtype: str, steps: int) -> Contender:
    if dtype != "float32":
        raise Unavailable("JAX has float64 only for a whole process")
    jax, optax = _modules()
    ours = workload.optimizer()
    optimizer = {fastnn.SGD: optax.sgd, fastnn.Adam: optax.adam}[type(ours)](ours.lr)
    X, y = workload.data(dtype)
    x, t = jax.numpy.asarray(X), jax.numpy.asarray(y.astype(np.int32) if y.dtype.kind == "i" else y)
    loss_of = {
        "softmax": lambda z, t: optax.softmax_cross_entropy_with_integer_labels(z, t).mean(),
        "sigmoid": lambda z, t: optax.sigmoid_binary_cross_entropy(z, t).sum() / len(t),
        "identity": lambda z, t: 0.5 * ((z - t) ** 2).sum() / len(t),
    }[workload.output]

    def one(state: Any, x: Any, t: Any) -> tuple[Any, Any]:
        parameters, moments = state

        def cost(parameters: Any) -> Any:
            return loss_of(_forward(jax, workload, parameters, x), t)

        loss, gradients = jax.value_and_grad(cost)(parameters)
        changes, moments = optimizer.update(gradients, moments, parameters)
        return (optax.apply_updates(parameters, changes), moments), loss

    def many(state: Any, x: Any, t: Any) -> tuple[Any, Any]:
        return jax.lax.scan(lambda s, _: one(s, x, t), state, None, length=steps)

    parameters = jax.tree.map(jax.numpy.array, layers(workload.network(dtype, "compiled")))
    kept = [(parameters, optimizer.init(parameters))]
    compiled = jax.jit(one if steps == 1 else many, donate_argnums=0)

    def call() -> Any:
        kept[0], loss = compiled(kept[0], x, t)
        jax.block_until_ready(kept[0])
        return loss

    losses = [call() for _ in range(3)] if steps == 1 else call()[:3]
    return Contender(call, steps, tuple(float(loss) for loss in losses))


def predict(workload: Workload, net: fastnn.MLP, X: np.ndarray) -> Call:
    """Parameters and input are in its arrays already."""
    jax, _ = _modules()
    last = {"softmax": jax.nn.softmax, "sigmoid": jax.nn.sigmoid, "identity": lambda z: z}[workload.output]
    forward = jax.jit(lambda p, x: last(_forward(jax, workload, p, x)))
    parameters, x = jax.tree.map(jax.numpy.array, layers(net)), jax.numpy.asarray(X)
    return lambda: forward(parameters, x).block_until_ready()


def learner(net: fastnn.MLP, X: np.ndarray, y: np.ndarray, batch: int, rate: float, seed: int) -> Learner:
    """An epoch is one compiled scan over batches in a new order; a short last batch is left out. Compiled before."""
    jax, optax = _modules()
    workload = Workload(net.sizes, batch, "relu", "softmax", fastnn.Adam)
    optimizer = optax.adam(rate)
    rows, labels = jax.numpy.asarray(X), jax.numpy.asarray(y.astype(np.int32))
    steps = len(X) // batch

    def one(state: Any, chosen: Any) -> tuple[Any, Any]:
        parameters, moments = state

        def cost(parameters: Any) -> Any:
            z = _forward(jax, workload, parameters, rows[chosen])
            return optax.softmax_cross_entropy_with_integer_labels(z, labels[chosen]).mean()

        loss, gradients = jax.value_and_grad(cost)(parameters)
        changes, moments = optimizer.update(gradients, moments, parameters)
        return (optax.apply_updates(parameters, changes), moments), loss

    def whole(state: Any, key: Any) -> Any:
        order = jax.random.permutation(key, len(X))[: steps * batch].reshape(steps, batch)
        return jax.lax.scan(one, state, order)[0]

    parameters = jax.tree.map(jax.numpy.array, layers(net))
    state = [(parameters, optimizer.init(parameters))]
    keys = [jax.random.key(seed)]
    compiled = jax.jit(whole).lower(state[0], keys[0]).compile()
    classes = jax.jit(lambda p, x: _forward(jax, workload, p, x).argmax(1))

    def epoch() -> None:
        keys[0], key = jax.random.split(keys[0])
        state[0] = jax.block_until_ready(compiled(state[0], key))

    return Learner(epoch, lambda test: np.asarray(classes(state[0][0], test)))
