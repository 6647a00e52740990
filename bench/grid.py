"""Every matrix product of a layer over a grid of shapes: own kernels, BLAS, ``auto``'s choice of them, and rivals.

``python bench/grid.py [--dtype float64] [--isa avx2] [--sizes 1,8,100] [--products forward] [--rivals MKL] [--save]``

No shape may be more than 5 % slower under ``auto`` than under the better of the two that it chooses from. Both ways of
own kernels, operands in place and packed, are forced as well, for bench/fit_choice.py. PyTorch's MKL and onnxruntime
run beside them where they are installed, and what the multiply-add units can do is measured meanwhile.
Rounds alternate between all of them, on one thread, and the figure is the fastest round; a shape beyond the limit is
measured again, longer, before it is reported, so that noise cannot say so. The whole grid takes about half an hour, a
third of it for the rivals.
"""

import argparse
import contextlib
import itertools
import statistics
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import environment

SIZES = (1, 2, 8, 32, 100, 128, 256, 512, 1024, 2048)
PRODUCTS = ("forward", "input gradient", "weight gradient")
MODES = ("auto", "own", "blas")
RIVALS = ("MKL", "onnxruntime")
# Facts of a CPU without a row of limits, under which own kernels go one way: nothing exceeds a part of so large an L2
# cache, nor such an L1, as it must for its stride to count; of 256 KB a quarter is the longest panel, so that forward
# panels are as long as elsewhere. Weight gradients are better by both ways than they are here: in place because a real
# L1 keeps their sums short, packed because a larger L2 lets more rows of x be copied at a time.
FORCED = {"in place": "vendor=unknown,l1=1024M,l2=4096M", "packed": "vendor=unknown,l2=256K"}
UNLIMITED, BY_CACHES = "vendor=unknown,l2=4096M", "vendor=unknown"
WAYS = (*FORCED, "blas")
# Rounds and seconds of a mode's share of one: for the first measurement, and for one that is in doubt.
FIRST, AGAIN = (5, 0.003), (15, 0.01)
# A call this long fills a round alone; three rounds of it are enough, and are all there is time for.
LONG, FEW = 0.02, 3


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument("--isa", help="instruction set of ours; default the best that the CPU has")
    parser.add_argument("--sizes", type=lambda text: [int(part) for part in _listed(text)], default=SIZES)
    parser.add_argument("--batches", type=lambda text: [int(part) for part in _listed(text)], help="default the sizes")
    parser.add_argument("--products", type=_listed, default=PRODUCTS, help=f"of {', '.join(PRODUCTS)}")
    parser.add_argument("--rivals", type=_listed, default=RIVALS, help=f"of {', '.join(RIVALS)}; '' for none")
    parser.add_argument("--limit", type=float, default=1.05, help="auto's time over the better one's; default 1.05")
    environment.add_output(parser)
    arguments = environment.parsed(parser, "limit")
    for kind, known in (("products", PRODUCTS), ("rivals", RIVALS)):
        if unknown := set(getattr(arguments, kind)) - set(known):
            parser.error(f"no such {kind.removesuffix('s')}: {', '.join(sorted(unknown))}")
    return arguments


if __name__ == "__main__":  # before NumPy and the rivals are imported
    ARGUMENTS = _arguments()
    environment.start_again_with(1)

import machine
import numpy as np
import races
from peers import OURS, Call
from timing import interleaved
from workloads import Product

import fastnn
from fastnn import _core
from fastnn.bench import duration


@dataclass(frozen=True)
class Cell:
    """Seconds of one product by mode, way and rival, and operations a second of the multiply-add units meanwhile.

    right: bytes of the right operand. way, below, caches: how auto makes it, and how own kernels would below all limits
    and under those that an unknown CPU gets from the caches.
    """

    product: Product
    seconds: dict[str, float]
    limit: float | None = None
    absent: dict[str, str] = field(default_factory=dict)
    right: int = 0
    way: str = ""
    below: str = ""
    caches: str = ""

    @property
    def ratio(self) -> float:
        """auto's time over the better of the two that it chooses from."""
        return self.seconds["auto"] / min(self.seconds["own"], self.seconds["blas"])

    @property
    def loss(self) -> float:
        """auto's time over that of the best way."""
        return self.seconds["auto"] / min(self.seconds[way] for way in WAYS if way in self.seconds)

    @property
    def share(self) -> float | None:
        """Of the limit, reached by auto."""
        return self.product.flop / self.seconds["auto"] / self.limit if self.limit else None

    @property
    def row(self) -> list[str | int | float | None]:
        """For the JSON, in the order of its "columns"."""
        times = [self.seconds.get(side) for side in (*MODES, *RIVALS)]
        forced = [self.seconds.get(way) for way in FORCED]
        numbers = (number and float(f"{number:.4g}") for number in (*times, self.limit, *forced))
        shape = [self.product.B, self.product.I, self.product.O]
        return [self.product.name, *shape, *numbers, self.right, self.way, self.below, self.caches]


COLUMNS = ("product", "B", "I", "O", *MODES, *RIVALS, "limit", *FORCED, "right", "way", "below", "caches")


def way(product: Product, dtype: str, mode: str, facts: str | None = None) -> str:
    """How a product goes in a mode, on this machine or one of other facts."""
    with fastnn.gemm(mode), fastnn.cpu(facts) if facts else contextlib.nullcontext():
        return _core.way(product.name, dtype, *product.sizes)


def _forced(product: Product, dtype: str) -> list[str]:
    """The own ways of a shape. An input gradient by itself has one, whatever the limit: W is turned over, or stays.

    In a network several blocks of rows share W transposed, and the limit decides; no single product tells its worth.
    """
    if product.name == "input gradient":
        return ["in place"]
    return [side for side, facts in FORCED.items() if way(product, dtype, "own", facts) == side]


def measure(calls: dict[str, Call], limit: machine.Limit, rounds: int, seconds: float) -> dict[str, float]:
    """The fastest round of each, in seconds a call. The process's mode and facts are as before afterwards."""
    with contextlib.ExitStack() as chosen:

        def before(side: str) -> None:
            limit.sample(2)
            chosen.close()
            if side in MODES:
                chosen.enter_context(fastnn.gemm(side))
            elif side in FORCED:
                chosen.enter_context(fastnn.gemm("own"))
                chosen.enter_context(fastnn.cpu(FORCED[side]))

        found = interleaved(calls, rounds=rounds, seconds=seconds, before=before)
    return {side: timing.best for side, timing in found.items()}


def _seconds_of(call: Call) -> float:
    call()
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def cells(products: Iterable[Product], rivals: Iterable[str], dtype: str, limit: float) -> Iterator[Cell]:
    for product in products:
        units = machine.Limit(_core.isa(), dtype)
        lineup, absent = races.product(product, dtype).make((OURS, *rivals))
        calls = {side: contender.call for side, contender in lineup.items()}
        ours = calls.pop(OURS)
        sides = [*MODES, *_forced(product, dtype)]
        rounds, seconds = FIRST
        every = {**dict.fromkeys(sides, ours), **calls}
        found = measure(every, units, FEW if _seconds_of(ours) > LONG else rounds, seconds)
        doubted = Cell(product, found)
        if max(doubted.ratio, doubted.loss) > limit:
            found |= measure(dict.fromkeys(sides, ours), units, *AGAIN)
        _, K, N = product.sizes
        ways = [way(product, dtype, "auto"), *(way(product, dtype, "own", facts) for facts in (UNLIMITED, BY_CACHES))]
        yield Cell(product, found, units.speed, absent, np.dtype(dtype).itemsize * K * N, *ways)


def report(found: list[Cell], limit: float) -> None:
    """Shapes beyond the limit, worst first, and some lines for each product."""
    slow = sorted((cell for cell in found if cell.ratio > limit), key=lambda cell: -cell.ratio)
    if slow:
        print(f"{'product':16}{'B':>6}{'I':>6}{'O':>6}{'auto':>13}{'own':>13}{'blas':>13}{'ratio':>8}")
    for cell in slow:
        shape = "".join(f"{n:6}" for n in (cell.product.B, cell.product.I, cell.product.O))
        times = "".join(f"{duration(cell.seconds[mode]):>13}" for mode in MODES)
        print(f"{cell.product.name:16}{shape}{times}{cell.ratio:8.2f}")
    for name in dict.fromkeys(cell.product.name for cell in found):
        _summary(name, [cell for cell in found if cell.product.name == name], limit)


def _summary(name: str, found: list[Cell], limit: float) -> None:
    worst = max(found, key=lambda cell: cell.ratio)
    beyond = sum(cell.ratio > limit for cell in found)
    median = statistics.median(cell.ratio for cell in found)
    print(
        f"{name:16}auto over the better of own and blas: {beyond} of {len(found)} shapes more than {limit - 1:.0%}"
        f" slower; median {median:.3f}, worst {worst.ratio:.2f} at {_shape(worst.product)}"
    )
    loser = max(found, key=lambda cell: cell.loss)
    print(
        f"{'':16}auto over the best of {', '.join(WAYS)}: {sum(cell.loss > limit for cell in found)} of {len(found)}"
        f" shapes more than {limit - 1:.0%} slower; worst {loser.loss:.2f} at {_shape(loser.product)}"
    )
    large = [cell.share for cell in found if cell.share and min(cell.product.B, cell.product.I, cell.product.O) >= 64]
    if large:
        parts = ", ".join(f"{name} {share:.0%}" for name, share in _percentiles(large).items())
        print(f"{'':16}share of the multiply-add limit where all sizes are at least 64: {parts}")
    for rival in RIVALS:
        ratios = [cell.seconds[rival] / cell.seconds["auto"] for cell in found if rival in cell.seconds]
        if ratios:
            behind = sum(ratio < 0.97 for ratio in ratios)
            parts = ", ".join(f"{name} {ratio:.2f}" for name, ratio in _percentiles(ratios).items())
            print(f"{'':16}{rival}'s time over auto's: {parts}; below 0.97 in {behind} of {len(ratios)}")


def _shape(product: Product) -> str:
    return f"{product.B} × {product.I} × {product.O}"


def _percentiles(values: list[float]) -> dict[str, float]:
    """The least, the tenth from below, the middle and the most."""
    ordered = sorted(values)
    return {
        "least": ordered[0],
        "10th percentile": ordered[len(ordered) // 10],
        "median": statistics.median(ordered),
        "most": ordered[-1],
    }


def main(arguments: argparse.Namespace) -> int:
    start, found, limit = time.perf_counter(), [], arguments.limit
    with fastnn.isa(arguments.isa or _core.isa()):
        facts = {**environment.facts(), "dtype": arguments.dtype, "limit": limit, "columns": COLUMNS}
        print(f"{facts['cpu']}; {facts['isa']}, {arguments.dtype}, one thread, load at the start {facts['load']:.2f}")
        for B in arguments.batches or arguments.sizes:
            shapes = itertools.product([B], arguments.sizes, arguments.sizes)
            products = (Product(name, *shape) for shape in shapes for name in arguments.products)
            found += cells(products, arguments.rivals, arguments.dtype, limit)
            beyond, spent = sum(cell.ratio > limit for cell in found), time.perf_counter() - start
            print(f"B {B:5} done after {spent:4.0f} s, {beyond} of {len(found)} slower", file=sys.stderr)
    for side, reason in {side: reason for cell in found for side, reason in cell.absent.items()}.items():
        print(f"left out: {side} ({reason})")
    report(found, limit)
    flop = sum(cell.product.flop for cell in found)
    print(f"{len(found)} products of {flop / 1e9:.0f} GFLOP in {time.perf_counter() - start:.0f} s")
    environment.write_json(environment.outputs(arguments, "grid"), facts, (cell.row for cell in found))
    return 0


if __name__ == "__main__":
    sys.exit(main(ARGUMENTS))
