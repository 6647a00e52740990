"""Every matrix product of a layer over a grid of shapes, by our own kernels, by BLAS, and by ``auto``'s choice of them.

``python bench/grid.py [--dtype float64] [--isa avx2] [--sizes 1,8,100] [--products forward] [--json FILE]``

No shape may be more than 5 % slower under ``auto`` than under the better of the two. Rounds alternate between the
three, on one thread, and the figure is the fastest round; a shape beyond the limit is measured again, longer, before it
is reported, so that noise cannot say so. The whole grid takes about ten minutes.
"""

import argparse
import itertools
import math
import statistics
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import environment

SIZES = (1, 2, 8, 32, 100, 128, 256, 512, 1024, 2048)
PRODUCTS = ("forward", "input gradient", "weight gradient")
MODES = ("auto", "own", "blas")
# Rounds and seconds of a mode's share of one: for the first measurement, and for one that is in doubt.
FIRST, AGAIN = (5, 0.003), (15, 0.01)
# A call this long fills a round alone; three rounds of it are enough, and are all there is time for.
LONG, FEW = 0.02, 3


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument("--isa", help="instruction set; default the best that the CPU has")
    parser.add_argument("--sizes", type=lambda text: [int(part) for part in _listed(text)], default=SIZES)
    parser.add_argument("--products", type=_listed, default=PRODUCTS, help=f"of {', '.join(PRODUCTS)}")
    parser.add_argument("--limit", type=float, default=1.05, help="auto's time over the better one's; default 1.05")
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    arguments = parser.parse_args()
    unknown = set(arguments.products) - set(PRODUCTS)
    if unknown:
        parser.error(f"no such product: {', '.join(sorted(unknown))}")
    return arguments


if __name__ == "__main__":  # before NumPy is imported
    ARGUMENTS = _arguments()
    environment.start_again_with(1)

import numpy as np
from timing import interleaved

import fastnn
from fastnn import _core, kernels
from fastnn.bench import Call, duration

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Cell:
    """Seconds of one product of a layer of B rows, I inputs and O outputs, by mode."""

    product: str
    shape: Shape
    seconds: dict[str, float]

    @property
    def ratio(self) -> float:
        """auto's time over the better of the two that it chooses from."""
        return self.seconds["auto"] / min(self.seconds["own"], self.seconds["blas"])

    @property
    def row(self) -> list[str | int | float]:
        """For the JSON, in the order of its "columns"."""
        return [self.product, *self.shape, *(float(f"{self.seconds[mode]:.4g}") for mode in MODES)]


COLUMNS = ("product", "B", "I", "O", *MODES)


def calls(shape: Shape, dtype: str) -> dict[str, Call]:
    """Each product alone, into buffers."""
    B, I, O = shape  # noqa: E741
    rng = np.random.default_rng(0)
    x, w, dy = (rng.standard_normal(s, np.float32).astype(dtype) for s in ((B, I), (I, O), (B, O)))
    b, y = np.zeros(O, dtype), np.empty((B, O), dtype)
    backward = partial(kernels.affine_backward, dy, x, w, y, db=False)
    return {
        "forward": partial(kernels.affine_forward, x, w, b, out=y),
        "input gradient": partial(backward, dx=np.empty_like(x), dw=False),
        "weight gradient": partial(backward, dx=False, dw=np.empty_like(w)),
    }


def measure(call: Call, rounds: int, seconds: float) -> dict[str, float]:
    """Seconds a call by mode; the process's mode is as before afterwards."""
    with fastnn.gemm("auto"):
        found = interleaved(dict.fromkeys(MODES, call), rounds=rounds, seconds=seconds, before=_core.set_gemm)
    return {mode: timing.best for mode, timing in found.items()}


def _seconds_of(call: Call) -> float:
    call()
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def cells(shapes: Iterable[Shape], products: list[str], dtype: str, limit: float) -> Iterator[Cell]:
    for shape in shapes:
        made = calls(shape, dtype)
        for product in products:
            call, (rounds, seconds) = made[product], FIRST
            cell = Cell(product, shape, measure(call, FEW if _seconds_of(call) > LONG else rounds, seconds))
            if cell.ratio > limit:
                cell = Cell(product, shape, measure(call, *AGAIN))
            yield cell


def report(found: list[Cell], limit: float) -> None:
    """Shapes beyond the limit, worst first, and a line for each product."""
    slow = sorted((cell for cell in found if cell.ratio > limit), key=lambda cell: -cell.ratio)
    if slow:
        print(f"{'product':16}{'B':>6}{'I':>6}{'O':>6}{'auto':>13}{'own':>13}{'blas':>13}{'ratio':>8}")
    for cell in slow:
        shape = "".join(f"{n:6}" for n in cell.shape)
        times = "".join(f"{duration(cell.seconds[mode]):>13}" for mode in MODES)
        print(f"{cell.product:16}{shape}{times}{cell.ratio:8.2f}")
    for product in dict.fromkeys(cell.product for cell in found):
        ratios = [(cell.ratio, cell.shape) for cell in found if cell.product == product]
        worst, where = max(ratios)
        beyond = sum(ratio > limit for ratio, _ in ratios)
        median = statistics.median(ratio for ratio, _ in ratios)
        print(
            f"{product:16}{beyond} of {len(ratios)} shapes more than {limit - 1:.0%} slower;"
            f" median {median:.3f}, worst {worst:.2f} at {' × '.join(map(str, where))}"
        )


def main(arguments: argparse.Namespace) -> int:
    start, found, limit = time.perf_counter(), [], arguments.limit
    with fastnn.isa(arguments.isa or _core.isa()):
        facts = {**environment.facts(), "dtype": arguments.dtype, "limit": limit, "columns": COLUMNS}
        print(f"{facts['cpu']}; {facts['isa']}, {arguments.dtype}, one thread, load at the start {facts['load']:.2f}")
        for B in arguments.sizes:
            shapes = itertools.product([B], arguments.sizes, arguments.sizes)
            found += cells(shapes, arguments.products, arguments.dtype, limit)
            beyond, spent = sum(cell.ratio > limit for cell in found), time.perf_counter() - start
            print(f"B {B:5} done after {spent:4.0f} s, {beyond} of {len(found)} slower", file=sys.stderr)
    report(found, limit)
    flop = sum(2 * math.prod(cell.shape) for cell in found)
    print(f"{len(found)} products of {flop / 1e9:.0f} GFLOP in {time.perf_counter() - start:.0f} s")
    if arguments.json:
        environment.write_json(arguments.json, facts, (cell.row for cell in found))
    return 0


if __name__ == "__main__":
    sys.exit(main(ARGUMENTS))
