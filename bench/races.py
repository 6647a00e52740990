"""Pieces of work, and the contenders that do them: what the suites, the bars and the curves time. No timing here.

That all contenders of a race give the same results is asserted when they are made.
"""

import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import peers
import workloads
from peers import OURS, Call, Contender, Unavailable
from workloads import Product, Workload

import fastnn
from fastnn.datasets import load_digits

# A contender that only moves the bytes: a copy, or as many copies as an update moves bytes.
COPY, STREAM = "copy", "stream"
# Of `decay`, and the epoch that it is compared with.
EPOCHS, FIRST = 240, "first epoch"
Lineup = dict[str, Contender]


@dataclass(frozen=True, eq=False)
class Race:
    """One piece of work: ``make`` takes names of sides and returns those that can take part, and why others cannot."""

    name: str
    sides: tuple[str, ...]
    make: Callable[[Collection[str]], tuple[Lineup, dict[str, str]]]
    dtype: str = "float32"
    flop: int | None = None
    bytes: int | None = None
    shapes: dict[str, Any] = field(default_factory=dict)

    def lineup(self) -> Lineup:
        """All that can take part; a line for each that cannot."""
        found, absent = self.make(self.sides)
        for side, reason in absent.items():
            print(f"left out: {side} ({reason})", file=sys.stderr)
        return found


def made(
    builders: Mapping[str, Callable[..., Any]], sides: Collection[str], *arguments: Any
) -> tuple[dict[str, Any], dict[str, str]]:
    """What the builders make of the arguments, by side, and why others are not there."""
    found, absent = {}, {}
    for side in sides:
        if side in builders:
            try:
                found[side] = builders[side](*arguments)
            except Unavailable as reason:
                absent[side] = str(reason)
    return found, absent


def step(workload: Workload, dtype: str = "float32", sides: tuple[str, ...] = tuple(peers.STEPS)) -> Race:
    """A training step."""

    def make(sides: Collection[str]) -> tuple[Lineup, dict[str, str]]:
        found, absent = made(peers.STEPS, sides, workload, dtype)
        expected = peers.STEPS[OURS](workload, dtype).losses
        for name, contender in found.items():
            if contender.losses:
                tolerance = max(2e-4 if dtype == "float32" else 1e-9, contender.tolerance)
                np.testing.assert_allclose(contender.losses, expected, rtol=tolerance, err_msg=name)
        return found, absent

    shapes = {"sizes": workload.sizes, "batch": workload.batch}
    return Race(workload.name, sides, make, dtype, workload.flop, workload.bytes(dtype), shapes)


def prediction(workload: Workload) -> Race:
    """The outputs for a batch, or for one row."""

    def make(sides: Collection[str]) -> tuple[Lineup, dict[str, str]]:
        net = workload.network("float32", "compiled")
        X, _ = workload.data("float32")
        found, absent = made(peers.PREDICTIONS, sides, workload, net, X)
        return agreeing(found, net.predict(X)), absent

    rows = f"{workload.batch} row{'s'[: workload.batch > 1]}"
    name = f"predict {workload.network_name}, {rows}"
    shapes = {"sizes": workload.sizes, "batch": workload.batch}
    flop, moved = workload.forward_flop, workload.forward_bytes("float32")
    return Race(name, tuple(peers.PREDICTIONS), make, "float32", flop, moved, shapes)


def product(work: Product, dtype: str = "float32", sides: tuple[str, ...] = tuple(peers.PRODUCTS)) -> Race:
    """A matrix product of a layer, into a buffer."""

    def make(sides: Collection[str]) -> tuple[Lineup, dict[str, str]]:
        operands = work.operands(dtype)
        a, b = work.factors(*operands)
        out, expected = np.empty((len(a), b.shape[1]), dtype), a @ b
        found, absent = made(peers.PRODUCTS, sides, work, *operands, out)
        rounding = (1e-6 if dtype == "float32" else 1e-12) * a.shape[1]
        for side, call in found.items():
            out.fill(np.nan)
            call()
            np.testing.assert_allclose(out, expected, rtol=1e-4, atol=rounding, err_msg=side)
        return {side: Contender(call) for side, call in found.items()}, absent

    shape = (work.B, work.I, work.O)
    name = f"{work.name} {' × '.join(map(str, shape))}"
    return Race(name, sides, make, dtype, work.flop, work.bytes(dtype), {"shape": shape})


def activation(op: str, columns: int) -> Race:
    """A million numbers through an activation, and their copy."""
    shape = (1_000_000 // columns, columns)

    def make(sides: Collection[str]) -> tuple[Lineup, dict[str, str]]:
        z = np.random.default_rng(0).standard_normal(shape, np.float32)
        found, absent = made(peers.OPS, sides, op, z)
        lineup = agreeing(found, peers.OPS[OURS](op, z)())
        if COPY in sides:
            lineup[COPY] = Contender(partial(np.copyto, np.empty_like(z), z))
        return lineup, absent

    moved = 2 * 4 * shape[0] * shape[1]
    return Race(f"{op} {shape[0]} × {columns}", (*peers.OPS, COPY), make, bytes=moved, shapes={"shape": shape})


def adam(n: int) -> Race:
    """An update of n parameters by Adam, and copies of as many bytes."""

    def make(sides: Collection[str]) -> tuple[Lineup, dict[str, str]]:
        rng = np.random.default_rng(0)
        p, g = rng.standard_normal(n, np.float32), rng.standard_normal(n, np.float32)
        expected = p.copy()
        peers.ADAM[OURS](expected, g)
        found: dict[str, Call] = {}
        absent: dict[str, str] = {}
        for side in sides:
            mine = p.copy()
            one, missing = made(peers.ADAM, [side], mine, g)
            found, absent = found | one, absent | missing
            if one:
                np.testing.assert_allclose(mine, expected, rtol=1e-5, atol=1e-6, err_msg=side)
        if STREAM in sides:
            found[STREAM] = _stream(g)
        return {side: Contender(call) for side, call in found.items()}, absent

    name = f"Adam, {n >> 20} Mi parameters"
    return Race(name, (*peers.ADAM, STREAM), make, bytes=7 * 4 * n, shapes={"shape": (n,)})


def _stream(g: np.ndarray) -> Call:
    """Four arrays are read and three written by Adam: as many bytes as three and a half copies move."""
    a, b, half = g.copy(), np.zeros_like(g), len(g) // 2

    def call() -> None:
        for _ in range(3):
            np.copyto(b, a)
        np.copyto(b[:half], a[:half])

    return call


def decay() -> Race:
    """An epoch of digits under strong L2, the last of 240, whose weights have all but gone, beside the first."""
    workload = Workload((64, 100, 100, 10), 32, "relu", "softmax", workloads.adam)

    def make(sides: Collection[str]) -> tuple[Lineup, dict[str, str]]:
        return {OURS: Contender(_epoch(workload, EPOCHS - 1)), FIRST: Contender(_epoch(workload, 0))}, {}

    name = f"digits {workload.network_name}, l2=0.1, Adam: epoch {EPOCHS}"
    return Race(name, (OURS, FIRST), make, shapes={"sizes": workload.sizes, "batch": workload.batch})


def _epoch(workload: Workload, before: int) -> Call:
    """Every call starts from where that epoch does."""
    digits, optimizer = load_digits(), workload.optimizer()
    net = fastnn.MLP(workload.sizes, workload.activation, workload.output, l2=0.1, seed=0)
    fit = partial(net.fit, digits.X_train, digits.y_train, optimizer=optimizer, batch_size=workload.batch)
    if before:
        fit(epochs=before)
    parameters, slots = net.parameters.copy(), optimizer.state(net).slots.copy()

    def call() -> None:
        net.parameters[...] = parameters
        optimizer.state(net).slots[...] = slots
        fit(epochs=1)

    return call


def agreeing(calls: Mapping[str, Call], expected: np.ndarray) -> Lineup:
    """All give the same."""
    expected = expected.copy()
    for name, call in calls.items():
        np.testing.assert_allclose(np.asarray(call()), expected, rtol=1e-4, atol=1e-6, err_msg=name)
    return {name: Contender(call) for name, call in calls.items()}
