"""What denormals cost on one thread: ``python bench/denormals.py [--rounds N] [--json FILE]``.

Ratios of one call's time to another's: of an epoch after 240, in which weights and moments have decayed, to the first;
of elementwise kernels, which keep denormals, on nothing but them to ordinary numbers; of steps and predictions of
networks full of them, flushed and kept. Rounds alternate between the two calls; the figure is the ratio of the fastest
rounds. About a minute, on every instruction set and in both dtypes.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import environment


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    return parser.parse_args()


if __name__ == "__main__":  # before NumPy is imported
    sys.path.append(str(Path(__file__).parent.parent / "tests"))  # for opcases
    ARGUMENTS = _arguments()
    environment.start_again_with(1)

import numpy as np
import races
from opcases import CASES
from peers import OURS
from timing import interleaved

import fastnn
from fastnn import MLP, SGD, _core, kernels
from fastnn.bench import Call

MODES = ("flush", "keep")
DTYPES = ("float32", "float64")
ELEMENTWISE = [name for name in CASES if name.split("_")[-1] in ("forward", "backward") and "affine" not in name]
Calls = tuple[Call, Call]  # on ordinary numbers, on denormals


def small(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Denormals of all sizes."""
    return (np.random.default_rng(1).uniform(0.1, 0.9, shape) * np.finfo(dtype).tiny).astype(dtype)


def kernel(name: str, dtype: str) -> Calls:
    """An elementwise kernel."""
    case = CASES[name]
    settings = {key: value for key, value in case.variants[0].items() if key != "shapes"}
    usual = case.make(np.random.default_rng(0), (60, 100), dtype, **settings)
    first = next(key for key, a in usual.items() if isinstance(a, np.ndarray))
    function = getattr(kernels, name)
    return partial(function, **usual), partial(function, **{**usual, first: small((60, 100), dtype)})


def network(what: str, activation: str, dtype: str) -> dict[str, Calls]:
    """A step and a prediction of a network whose inputs, parameters or momentum are denormals."""

    def calls(denormal: bool) -> tuple[Call, Call]:
        net, sgd = MLP([64, 128, 64, 10], activation, seed=0, dtype=dtype), SGD(0.0, momentum=0.9999)
        X, y = np.random.default_rng(0).normal(size=(128, 64)).astype(dtype), np.zeros((128, 10), dtype)
        if denormal and what == "inputs":
            X = small(X.shape, dtype)
        elif denormal and what == "parameters":
            net.parameters[...] = small(net.parameters.shape, dtype)
        elif what == "momentum":
            y = net.predict(X)  # no gradient
        slots = sgd.state(net).slots
        momentum = small(slots.shape, dtype) if denormal and what == "momentum" else slots.copy()

        def step() -> None:
            slots[...] = momentum  # flushed by the step before
            net.train_step(X, y, sgd)

        return step, partial(net.predict, X)

    return dict(zip(("step", "prediction"), zip(calls(False), calls(True), strict=True), strict=True))


def comparisons() -> Iterator[tuple[str, str, str, Callable[[], Calls]]]:
    """What is compared, treatment of denormals, dtype, and what makes the calls."""
    for dtype in DTYPES:
        for name in ELEMENTWISE:
            yield name, "IEEE", dtype, partial(kernel, name, dtype)
        for mode in MODES:
            for activation in ("relu", "tanh", "gelu", "silu"):
                for what in ("inputs", "parameters", "momentum"):
                    for kind in ("step", "prediction")[: 1 if what == "momentum" else 2]:
                        work = f"{kind}, {activation}, denormal {what}"
                        yield work, mode, dtype, lambda w=what, a=activation, d=dtype, k=kind: network(w, a, d)[k]


def slowdown(usual: Call, other: Call, rounds: int) -> float:
    """How many times as long the other call takes."""
    found = interleaved({"usual": usual, "other": other}, rounds=rounds, seconds=5e-4)
    return found["other"].best / found["usual"].best


def main(arguments: argparse.Namespace) -> int:
    facts, rows = environment.facts(), []
    print(f"{facts['cpu']}, load at the start {facts['load']:.2f}\n{'':82}times as long as ordinary numbers")
    race = races.decay()
    for mode in MODES:
        with fastnn.denormals(mode):
            calls = {side: contender.call for side, contender in race.lineup().items()}
            ratio = slowdown(calls[races.FIRST], calls[OURS], arguments.rounds)
        rows.append({"work": race.name, "denormals": mode, "dtype": race.dtype, "isa": _core.isa(), "times": ratio})
        print(f"{race.name + ' to the first':62}{mode:10}{race.dtype:10}{_core.isa()} {ratio:.2f}", flush=True)
    for work, mode, dtype, make in comparisons():
        found = {}
        for isa in _core.available_isas():
            with fastnn.isa(isa), fastnn.denormals(mode if mode in MODES else "flush"):
                found[isa] = slowdown(*make(), arguments.rounds)
        rows += [{"work": work, "denormals": mode, "dtype": dtype, "isa": i, "times": t} for i, t in found.items()]
        print(f"{work:62}{mode:10}{dtype:10}{'   '.join(f'{i} {t:.2f}' for i, t in found.items())}", flush=True)
    if arguments.json:
        environment.write_json(arguments.json, facts, [{**row, "times": float(f"{row['times']:.3g}")} for row in rows])
    return 0


if __name__ == "__main__":
    sys.exit(main(ARGUMENTS))
