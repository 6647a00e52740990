"""PyTorch, eager and compiled: fused optimisers, and gradients given up by setting them to None."""

import warnings
from functools import partial
from typing import Any

import environment
import numpy as np
from workloads import Product, Workload

import fastnn
from peers.contender import Call, Contender, Learner, Unavailable, layers, need


def _torch() -> Any:
    (torch,) = need("torch")
    torch.set_num_threads(environment.threads())
    return torch


def _module(torch: Any, workload: Workload, net: fastnn.MLP, *, last: bool) -> Any:
    """Linear layers and activations; the output's own activation only where ``last``."""
    names = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh, "sigmoid": torch.nn.Sigmoid, "identity": torch.nn.Identity}
    parts: list[Any] = []
    for W, b in layers(net):
        linear = torch.nn.Linear(*W.shape, dtype=getattr(torch, net.dtype.name))
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(W.T))
            linear.bias.copy_(torch.from_numpy(b))
        parts += [linear, names[workload.activation]()]
    parts.pop()
    if last and workload.output != "identity":
        parts.append(torch.nn.Softmax(-1) if workload.output == "softmax" else names[workload.output]())
    return torch.nn.Sequential(*parts)


def _compiled(torch: Any, function: Any, *arguments: Any) -> Any:
    """What ``torch.compile`` makes of a function, called once; it needs a C++ compiler, among other things."""
    torch._dynamo.reset()  # every network is a new function to it, and it stops compiling after a few
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # theirs, not ours to mend
            compiled = torch.compile(function)
            compiled(*arguments)
    except Exception as error:  # of whatever kind its compiler's stages raise
        raise Unavailable(f"torch.compile failed: {str(error).strip().partition(chr(10))[0]}") from None
    return compiled


def step(workload: Workload, dtype: str, *, compiled: bool = False) -> Contender:
    """Forward, loss and backward, then the fused optimiser."""
    torch = _torch()
    functional = torch.nn.functional
    module = _module(torch, workload, workload.network(dtype, "compiled"), last=False)
    X, y = (torch.from_numpy(a) for a in workload.data(dtype))
    ours = workload.optimizer()
    kind = {fastnn.SGD: torch.optim.SGD, fastnn.Adam: torch.optim.Adam}[type(ours)]
    optimizer = kind(module.parameters(), lr=ours.lr, fused=True)
    cost = {
        "softmax": functional.cross_entropy,
        "sigmoid": lambda z, t: functional.binary_cross_entropy_with_logits(z, t, reduction="sum") / len(t),
        "identity": lambda z, t: functional.mse_loss(z, t, reduction="sum") * (0.5 / len(t)),
    }[workload.output]

    def loss_of(x: Any, t: Any) -> Any:
        return cost(module(x), t)

    chosen = _compiled(torch, loss_of, X, y) if compiled else loss_of

    def call() -> Any:
        optimizer.zero_grad(set_to_none=True)
        loss = chosen(X, y)
        loss.backward()
        optimizer.step()
        return loss

    return Contender(call, losses=tuple(call().item() for _ in range(3)))


step_compiled = partial(step, compiled=True)


def predict(workload: Workload, net: fastnn.MLP, X: np.ndarray, *, compiled: bool = False) -> Call:
    """In inference mode, where nothing is recorded for a gradient."""
    torch = _torch()
    module, x = _module(torch, workload, net, last=True), torch.from_numpy(X)
    with torch.inference_mode():
        chosen = _compiled(torch, module, x) if compiled else module

    def call() -> Any:
        with torch.inference_mode():
            return chosen(x)

    return call


predict_compiled = partial(predict, compiled=True)


def product(product: Product, x: np.ndarray, W: np.ndarray, dY: np.ndarray, out: np.ndarray) -> Call:
    """``torch.mm`` into a buffer, which is MKL's product."""
    torch = _torch()
    if not torch.backends.mkl.is_available():
        raise Unavailable("this PyTorch is without MKL")
    a, b = map(torch.from_numpy, product.factors(x, W, dY))
    return partial(torch.mm, a, b, out=torch.from_numpy(out))


def learner(net: fastnn.MLP, X: np.ndarray, y: np.ndarray, batch: int, rate: float, seed: int) -> Learner:
    """A loop over rows in a new order, gathered by their index."""
    torch = _torch()
    module = _softmax_logits(torch, net)
    rows, labels = torch.from_numpy(X), torch.from_numpy(y.astype(np.int64))
    optimizer = torch.optim.Adam(module.parameters(), lr=rate, fused=True)
    generator = torch.Generator().manual_seed(seed)

    def epoch() -> None:
        for chosen in torch.randperm(len(rows), generator=generator).split(batch):
            optimizer.zero_grad(set_to_none=True)
            torch.nn.functional.cross_entropy(module(rows[chosen]), labels[chosen]).backward()
            optimizer.step()

    def classes(test: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return module(torch.from_numpy(test)).argmax(1).numpy()

    return Learner(epoch, classes)


def _softmax_logits(torch: Any, net: fastnn.MLP) -> Any:
    """A ReLU network without its softmax, which is in PyTorch's loss."""
    return _module(torch, Workload(net.sizes, 1, "relu", "softmax", fastnn.Adam), net, last=False)


def op(name: str, z: np.ndarray) -> Call:
    """An activation into a buffer."""
    torch = _torch()
    aten, x, y = torch.ops.aten, torch.from_numpy(z), torch.empty(z.shape)
    into: dict[str, Call] = {
        "relu": lambda: aten.clamp_min.out(x, 0, out=y),  # twice as fast as its relu.out
        "tanh": lambda: aten.tanh.out(x, out=y),
        "sigmoid": lambda: aten.sigmoid.out(x, out=y),
        "softmax": lambda: aten._softmax.out(x, 1, False, out=y),
        "gelu": lambda: aten.gelu.out(x, out=y),
        "silu": lambda: aten.silu.out(x, out=y),
    }
    return into[name]


def adam(p: np.ndarray, g: np.ndarray) -> Call:
    """In place, fused; the first two steps are made."""
    torch = _torch()
    parameter = torch.nn.Parameter(torch.from_numpy(p))
    parameter.grad = torch.from_numpy(g)
    optimizer = torch.optim.Adam([parameter], lr=1e-3, fused=True)
    for _ in range(2):
        optimizer.step()
    return optimizer.step
