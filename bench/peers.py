"""The rivals' side of a training step and of a prediction. Each starts from our network's parameters; no timing here.

What a rival can be spared is spared: inputs are already in its own arrays, torch gives up gradients by setting them to
None, its optimisers are the fused ones, its results have buffers; JAX donates parameters and optimiser state, and
dispatches in the calling thread, which is faster for short work.
"""

import importlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from workloads import Workload

import fastnn

Call = Callable[[], Any]
# Steps in one call of JAX's scan; of long steps fewer, which cost it nothing.
SCANNED, SCANNED_LONG, LONG_FLOP = 100, 5, 10**9


@dataclass(frozen=True)
class Contender:
    """What is timed: a call and how many steps it makes; ``losses`` of the first steps, for the comparison."""

    call: Call
    steps: int = 1
    losses: tuple[float, ...] = ()


def imported(*names: str) -> list[Any] | None:
    """The modules, or None and a line that says which is missing."""
    try:
        return [importlib.import_module(name) for name in names]
    except ImportError as error:
        print(f"left out: {names[0]} ({error})", file=sys.stderr)
        return None


def _layers(net: fastnn.MLP) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(W.copy(), b.copy()) for W, b in zip(net.weights, net.biases, strict=True)]


# --- NumPy ------------------------------------------------------------------------------------------------------------


def products(workload: Workload) -> Contender:
    """The matrix products of a step and nothing else, into buffers, by NumPy's BLAS."""
    rng = np.random.default_rng(0)

    def numbers(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, np.float32)

    jobs: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for k, (i, o) in enumerate(zip(workload.sizes, workload.sizes[1:], strict=False)):
        X, W, d = numbers(workload.batch, i), numbers(i, o), numbers(workload.batch, o)
        jobs += [(X, W, np.empty_like(d)), (X.T, d, np.empty_like(W))]
        if k:
            jobs.append((d, W.T, np.empty_like(X)))

    def call() -> None:
        for a, b, out in jobs:
            np.matmul(a, b, out=out)

    return Contender(call)


def numpy_step(workload: Workload) -> Contender:
    """The reference backend."""
    return our_step(workload, "reference")


def our_step(workload: Workload, backend: str = "compiled") -> Contender:
    """`MLP.train_step`."""
    net, optimizer = workload.network("float32", backend), workload.optimizer()
    call = partial(net.train_step, *workload.data("float32"), optimizer)
    return Contender(call, losses=tuple(call() for _ in range(3)))


# --- PyTorch ----------------------------------------------------------------------------------------------------------


def torch_module(torch: Any, workload: Workload, net: fastnn.MLP, *, last: bool) -> Any:
    """Linear layers and activations; the output's own activation only where ``last``."""
    names = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh, "sigmoid": torch.nn.Sigmoid, "identity": torch.nn.Identity}
    parts: list[Any] = []
    for W, b in _layers(net):
        linear = torch.nn.Linear(*W.shape)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(W.T))
            linear.bias.copy_(torch.from_numpy(b))
        parts += [linear, names[workload.activation]()]
    parts.pop()
    if last and workload.output != "identity":
        parts.append(torch.nn.Softmax(-1) if workload.output == "softmax" else names[workload.output]())
    return torch.nn.Sequential(*parts)


def torch_step(workload: Workload) -> Contender | None:
    """Eager mode, fused optimiser."""
    if (found := imported("torch")) is None:
        return None
    (torch,) = found
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    functional = torch.nn.functional
    module = torch_module(torch, workload, workload.network("float32", "compiled"), last=False)
    X, y = (torch.from_numpy(a) for a in workload.data("float32"))
    ours = workload.optimizer()
    kind = {fastnn.SGD: torch.optim.SGD, fastnn.Adam: torch.optim.Adam}[type(ours)]
    optimizer = kind(module.parameters(), lr=ours.lr, fused=True)
    loss_of = {
        "softmax": functional.cross_entropy,
        "sigmoid": lambda z, t: functional.binary_cross_entropy_with_logits(z, t, reduction="sum") / len(t),
        "identity": lambda z, t: functional.mse_loss(z, t, reduction="sum") * (0.5 / len(t)),
    }[workload.output]

    def call() -> Any:
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(module(X), y)
        loss.backward()
        optimizer.step()
        return loss

    return Contender(call, losses=tuple(call().item() for _ in range(3)))


def torch_predict(workload: Workload, net: fastnn.MLP, X: np.ndarray) -> Call | None:
    if (found := imported("torch")) is None:
        return None
    (torch,) = found
    module, x = torch_module(torch, workload, net, last=True), torch.from_numpy(X)

    def call() -> Any:
        with torch.inference_mode():
            return module(x)

    return call


# --- JAX --------------------------------------------------------------------------------------------------------------


def _jax_forward(jax: Any, workload: Workload, parameters: Any, x: Any) -> Any:
    hidden = {"relu": jax.nn.relu, "tanh": jax.numpy.tanh}[workload.activation]
    for W, b in parameters[:-1]:
        x = hidden(x @ W + b)
    W, b = parameters[-1]
    return x @ W + b


def jax_steps(workload: Workload) -> dict[str, Contender]:
    """A step under jit with donated state, and many of them in one call."""
    if (found := imported("jax", "optax")) is None:
        return {}
    jax, optax = found
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    ours = workload.optimizer()
    optimizer = {fastnn.SGD: optax.sgd, fastnn.Adam: optax.adam}[type(ours)](ours.lr)
    X, y = workload.data("float32")
    x, t = jax.numpy.asarray(X), jax.numpy.asarray(y.astype(np.int32) if y.dtype.kind == "i" else y)
    loss_of = {
        "softmax": lambda z, t: optax.softmax_cross_entropy_with_integer_labels(z, t).mean(),
        "sigmoid": lambda z, t: optax.sigmoid_binary_cross_entropy(z, t).sum() / len(t),
        "identity": lambda z, t: 0.5 * ((z - t) ** 2).sum() / len(t),
    }[workload.output]

    def step(state: Any, x: Any, t: Any) -> tuple[Any, Any]:
        parameters, moments = state

        def cost(parameters: Any) -> Any:
            return loss_of(_jax_forward(jax, workload, parameters, x), t)

        loss, gradients = jax.value_and_grad(cost)(parameters)
        changes, moments = optimizer.update(gradients, moments, parameters)
        return (optax.apply_updates(parameters, changes), moments), loss

    scanned = SCANNED if workload.flop < LONG_FLOP else SCANNED_LONG

    def scan(state: Any, x: Any, t: Any) -> tuple[Any, Any]:
        return jax.lax.scan(lambda s, _: step(s, x, t), state, None, length=scanned)

    def fresh() -> Any:
        parameters = jax.tree.map(jax.numpy.array, _layers(workload.network("float32", "compiled")))
        return parameters, optimizer.init(parameters)

    def contender(function: Any, steps: int) -> Contender:
        compiled, kept = jax.jit(function, donate_argnums=0), [fresh()]

        def call() -> Any:
            kept[0], loss = compiled(kept[0], x, t)
            jax.block_until_ready(kept[0])
            return loss

        losses = call()[:3] if steps > 1 else [call() for _ in range(3)]
        return Contender(call, steps, tuple(float(loss) for loss in losses))

    return {"JAX": contender(step, 1), "JAX scan": contender(scan, scanned)}


def jax_predict(workload: Workload, net: fastnn.MLP, X: np.ndarray) -> Call | None:
    if (found := imported("jax")) is None:
        return None
    (jax,) = found
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    last = {"softmax": jax.nn.softmax, "sigmoid": jax.nn.sigmoid, "identity": lambda z: z}[workload.output]
    forward = jax.jit(lambda p, x: last(_jax_forward(jax, workload, p, x)))
    parameters, x = jax.tree.map(jax.numpy.array, _layers(net)), jax.numpy.asarray(X)
    return lambda: forward(parameters, x).block_until_ready()


# --- ONNX Runtime -----------------------------------------------------------------------------------------------------


def onnx_predict(workload: Workload, net: fastnn.MLP, X: np.ndarray) -> dict[str, Call]:
    """``session.run``, and ``run_with_iobinding`` with input and output bound."""
    if (found := imported("onnxruntime", "onnx")) is None:
        return {}
    runtime, onnx = found
    nodes, constants, source = [], [], "x"
    names = {"relu": "Relu", "tanh": "Tanh", "softmax": "Softmax", "sigmoid": "Sigmoid", "identity": "Identity"}
    layers = _layers(net)
    for k, (W, b) in enumerate(layers):
        constants += [onnx.numpy_helper.from_array(a, f"{name}{k}") for name, a in (("W", W), ("b", b))]
        activation = names[workload.activation if k < len(layers) - 1 else workload.output]
        nodes.append(onnx.helper.make_node("Gemm", [source, f"W{k}", f"b{k}"], [f"z{k}"]))
        source = "y" if k == len(layers) - 1 else f"a{k}"
        nodes.append(onnx.helper.make_node(activation, [f"z{k}"], [source]))
    real = onnx.TensorProto.FLOAT
    ends = [
        onnx.helper.make_tensor_value_info(n, real, [len(X), s])
        for n, s in zip("xy", (net.sizes[0], net.sizes[-1]), strict=True)
    ]
    graph = onnx.helper.make_graph(nodes, "mlp", ends[:1], ends[1:], constants)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = int(os.environ["OMP_NUM_THREADS"])
    session = runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    out = np.empty((len(X), net.sizes[-1]), np.float32)
    value = runtime.OrtValue.ortvalue_from_numpy(X)
    binding.bind_ortvalue_input("x", value)
    binding.bind_output("y", "cpu", 0, np.float32, out.shape, out.ctypes.data)

    def bound() -> Any:
        session.run_with_iobinding(binding)
        return out

    return {"onnxruntime": lambda: session.run(None, {"x": X})[0], "onnxruntime bound": bound}
