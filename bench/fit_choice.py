"""The limits of a CPU family for src_c/gemm/choice.c, from what bench/grid.py measured: its loss, and the row to paste.

``python bench/fit_choice.py GRID.json [GRID.json ...]``, of one CPU family; of any dtypes, instruction sets and sizes.

How own kernels make a product follows from the bytes of its right operand: up to the limit ``in_place`` it is left
where it is, a larger one is packed; from the limit ``blas`` on, BLAS makes the product. The library has told the grid
which ways a shape has, and what is packed whatever the limit, so nothing of choice.c is written again here.

A shape's loss is the time of the way that it goes over that of the best way. The fit takes the pair of limits with the
least sum of the logarithms of all losses, then the fewest losses of more than 5 %. A simpler pair, with FROM_CACHES or
NEVER instead of bytes, is preferred unless shapes that it sends another way lose more than 1 % by it on average.

Not fitted are the row's ``ahead``, ``rows``, what counts as crowded and ``few_by_blas``, which are those of an unknown
CPU here, and ``in_place`` of the input gradient, which decides in networks only and is FROM_CACHES: what stands there
is to be kept.
"""

import argparse
import itertools
import json
import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cpus
import numpy as np

FROM_CACHES, NEVER = 0, -1  # as in choice.c
ISAS = ("base", "avx2", "avx512")  # in the order of fnn.h
PRODUCTS = ("forward", "input gradient", "weight gradient")  # in the order of gemm.h
WAYS = ("in place", "packed", "blas")
NOISE, MUCH = math.log(1.01), math.log(1.05)
NEEDED = ("right", "way", "below", "caches", *WAYS)
# Names of choice.c by instruction set: all limits of an unknown CPU, and those of them that are not fitted.
BY_CACHES = dict(zip(ISAS, ("BY_CACHES", "AVX2_BY_CACHES", "BY_CACHES"), strict=True))
NOT_FITTED = dict(zip(ISAS, ("NOT_FITTED", "AVX2_NOT_FITTED", "NOT_FITTED"), strict=True))

Limits = tuple[int, int]  # in_place and blas


@dataclass(frozen=True)
class Cell:
    """A shape: bytes of its right operand, seconds by way; its way as it is, below all limits, and by the caches."""

    right: int
    seconds: dict[str, float]
    way: str
    below: str
    caches: str

    def loss(self, way: str) -> float:
        """Logarithm of that way's time over the best one's. What cannot be packed is left in place."""
        return math.log(self.seconds.get(way, self.seconds["in place"]) / min(self.seconds.values()))

    def own_way(self, in_place: int) -> str:
        """Of own kernels under a limit."""
        if in_place == NEVER:
            return "in place"
        if in_place == FROM_CACHES:
            return self.caches
        return "packed" if self.right > in_place else self.below


def candidates(cells: Sequence[Cell]) -> list[Limits]:
    """All pairs of limits, simple ones first."""
    seen = sorted({cell.right for cell in cells})
    packed = sorted({cell.right for cell in cells if "packed" in cell.seconds})
    pairs = itertools.product((FROM_CACHES, NEVER, *packed), (NEVER, *seen))
    return sorted(pairs, key=_bytes_in)


def _bytes_in(limits: Limits) -> int:
    return sum(limit > 0 for limit in limits)


def losses(cells: Sequence[Cell], pairs: Iterable[Limits]) -> np.ndarray:
    """(pairs, cells): the logarithm of each cell's loss under each pair of limits."""
    right, by_blas = np.array([cell.right for cell in cells]), np.array([cell.loss("blas") for cell in cells])
    own: dict[int, np.ndarray] = {}
    rows = []
    for in_place, blas in pairs:
        if in_place not in own:
            own[in_place] = np.array([cell.loss(cell.own_way(in_place)) for cell in cells])
        rows.append(own[in_place] if blas == NEVER else np.where(right >= blas, by_blas, own[in_place]))
    return np.array(rows)


def fit(cells: Sequence[Cell]) -> Limits:
    """The limits of one product under one instruction set; those of an unknown CPU where nothing was measured."""
    pairs = candidates(cells)
    found = losses(cells, pairs)
    # Rounded, so that equal sums in another order are equal, and the first is the simplest.
    cost = [
        (round(row.sum(), 9), int((row > MUCH).sum()), _bytes_in(pair)) for row, pair in zip(found, pairs, strict=True)
    ]
    best = min(range(len(pairs)), key=cost.__getitem__)
    for simpler in sorted(range(len(pairs)), key=lambda i: (_bytes_in(pairs[i]), cost[i])):
        more = found[simpler] - found[best]
        if more.sum() <= NOISE * np.count_nonzero(more):
            return pairs[simpler]
    return pairs[best]


def read(grids: Iterable[dict[str, Any]]) -> dict[tuple[str, str], list[Cell]]:
    """By instruction set and product; base has no limits, for BLAS serves it by the work that there is."""
    found: dict[tuple[str, str], list[Cell]] = {}
    for grid in grids:
        if grid["isa"] not in ISAS[1:]:
            continue
        for row in grid["rows"]:
            cell = dict(zip(grid["columns"], row, strict=True))
            seconds = {way: cell[way] for way in WAYS if cell[way] is not None}
            one = Cell(cell["right"], seconds, cell["way"], cell["below"], cell["caches"])
            found.setdefault((grid["isa"], cell["product"]), []).append(one)
    return found


def summary(logarithms: Iterable[float]) -> str:
    """Of losses."""
    found = list(logarithms)
    return (
        f"mean {math.expm1(sum(found) / len(found)):6.2%}, worst {math.expm1(max(found)):4.0%}, "
        f"{sum(one > MUCH for one in found):3} of {len(found)} more than {math.expm1(MUCH):.0%}"
    )


def written(limit: int, simple: dict[int, str]) -> str:
    """A limit in C."""
    if limit in simple:
        return simple[limit]
    for unit, text in ((1 << 20, "MiB"), (1 << 10, "1024")):
        if limit % unit == 0:
            return text if limit == unit else f"{limit // unit} * {text}"
    return str(limit)


def _three(limits: Sequence[str]) -> str:
    return f"ALL({limits[0]})" if len(set(limits)) == 1 else "{" + ", ".join(limits) + "}"


def row(title: str, facts: Sequence[dict[str, Any]], limits: dict[tuple[str, str], Limits]) -> str:
    """The line for choice.c; models from the least to the greatest that was measured."""
    names = {FROM_CACHES: "FROM_CACHES", NEVER: "NEVER"}
    parts = []
    for isa in ISAS:
        pairs = [limits.get((isa, product), (FROM_CACHES, NEVER)) for product in PRODUCTS]
        in_place, blas = ([written(limit, names) for limit in one] for one in zip(*pairs, strict=True))
        simple = set(pairs) == {(FROM_CACHES, NEVER)}
        parts.append(BY_CACHES[isa] if simple else f"{{{_three(in_place)}, {_three(blas)}, {NOT_FITTED[isa]}}}")
    models = [one["model"] for one in facts]
    one = facts[0]
    family = f"FNN_VENDOR_{one['vendor'].upper()}, {one['family']}, {min(models)}, {max(models)}"
    return f'{{"{title}", {family}, {{{", ".join(parts)}}}}},'


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("grids", nargs="+", type=Path, metavar="GRID.json")
    paths = parser.parse_args().grids
    grids = [json.loads(path.read_text("utf-8")) for path in paths]
    for path, grid in zip(paths, grids, strict=True):
        if lacking := [name for name in NEEDED if name not in grid.get("columns", ())]:
            parser.error(f"{path}: wanted what bench/grid.py writes now, lacks {', '.join(lacking)}")
    facts = [grid["cpu facts"] for grid in grids]
    if len({(one["vendor"], one["family"]) for one in facts}) > 1:
        parser.error("wanted grids of one CPU family, got " + ", ".join(sorted({grid["cpu"] for grid in grids})))
    limits = {}
    for (isa, product), cells in sorted(read(grids).items()):
        limits[isa, product] = chosen = fit(cells)
        in_place, blas = (written(limit, {FROM_CACHES: "a part of L2", NEVER: "never"}) for limit in chosen)
        print(f"{isa}, {product}: in place up to {in_place if chosen[0] != NEVER else 'any size'}, BLAS from {blas}")
        print(f"    fitted       {summary(losses(cells, [chosen])[0])}")
        print(f"    as it stands {summary(cell.loss(cell.way) for cell in cells)} ({facts[0]['limits']})")
    if facts[0]["vendor"] == "unknown":
        print("no row: rows are for CPUs whose vendor and family are known")
    else:
        print(f"\n{row(cpus.title(grids[0]['kind']), facts, limits)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
