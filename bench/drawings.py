"""The pictures of bench/figures.py: each function takes what the JSON of each CPU holds and gives a figure. Draws only.

Colours are those of Okabe and Ito, as in `fastnn.plot`; a loss differs from a gain by hatching too.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, Colormap, ListedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, NullLocator
from tables import OURS, ByCpu, conditions, short, title_of

from fastnn.plot import new_figure
from fastnn.plot._figure import COLOURS, MARKERS, style

BLUE, VERMILION, GREEN, PURPLE, SKY, ORANGE, BLACK = COLOURS
# Of CPUs side by side; vermilion is kept for losses.
_CPUS = (BLUE, SKY, PURPLE, ORANGE)
Row = Mapping[str, Any]
Facts = Mapping[str, Any]


def _captioned(figure: Figure, measured: Mapping[str, Facts]) -> Figure:
    """Machine, date and way of measuring below it, a line for each CPU."""
    lines = (conditions(cpu, facts) for cpu, facts in measured.items())
    figure.supxlabel("\n".join(lines), fontsize=8, color="#505050")
    return figure


# --- Speed against rivals ---------------------------------------------------------------------------------------------


def speed(
    measured: ByCpu, works: list[str], rivals: list[str], ratios: Mapping[str, Mapping[tuple[str, str], float]]
) -> Figure:
    """A bar a work, rival and CPU: how many times as fast we are, to the left and hatched where slower."""
    height = 0.8 / len(measured)
    figure = new_figure(11.5, 1.4 + (0.13 + 0.14 * len(measured)) * len(works))
    panels = figure.subplots(1, len(rivals), sharey=True, squeeze=False)[0]
    for axes, rival in zip(panels, rivals, strict=True):
        style(axes)
        for (k, cpu), colour in zip(enumerate(measured), _CPUS, strict=False):
            for y, work in enumerate(works):
                at = y + (k - (len(measured) - 1) / 2) * height
                _speed_bar(axes, at, 0.9 * height, ratios[cpu].get((work, rival)), colour)
        axes.axvline(1, color="black", linewidth=0.8)
        axes.set_xscale("log")
        axes.set_xlim(0.4, 1000)
        axes.xaxis.set_major_locator(FixedLocator([1, 10, 100]))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter("{x:g}")
        axes.tick_params(labelsize=7)
        axes.set_title(title_of(rival).replace(" ", "\n"), fontsize=9)
        axes.spines["left"].set_visible(False)
        axes.tick_params(left=False)
        axes.grid(False, axis="y")
    panels[0].set_yticks(range(len(works)), works, fontsize=8)
    panels[0].set_ylim(len(works) - 0.4, -0.6)
    # To the left: the names of the CPUs stand to the right of it.
    title = f"how many times as fast as each rival {OURS} is (logarithmic; hatched: slower)"
    figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    if len(measured) > 1:
        handles = [Patch(color=colour, label=cpu) for cpu, colour in zip(measured, _CPUS, strict=False)]
        figure.legend(handles=handles, loc="outside upper right", ncols=len(handles), fontsize=8, frameon=False)
    return _captioned(figure, measured)


def _speed_bar(axes: Axes, y: float, height: float, ratio: float | None, colour: str) -> None:
    size = 8 if height > 0.5 else 6.5
    if ratio is None:
        axes.text(1.15, y, "–", va="center", fontsize=size, color="#909090")
        return
    lost = ratio < 1
    look = {"color": VERMILION if lost else colour, "hatch": "////" if lost else "", "edgecolor": "white"}
    axes.barh(y, ratio - 1, left=1, height=height, linewidth=0, **look)
    axes.text(max(ratio, 1) * 1.1, y, short(ratio), va="center", fontsize=size, color=VERMILION if lost else BLACK)


# --- Share of the limit -----------------------------------------------------------------------------------------------


def limits(shares: Mapping[str, tuple[Mapping[str, Mapping[tuple[str, str], tuple[float, bool]]], Facts]]) -> Figure:
    """A panel a CPU: the share of the multiply-add limit of steps of many widths; hollow where less than wanted."""
    works = list(dict.fromkeys(work for found, _ in shares.values() for work in found))
    keys = list(dict.fromkeys(key for found, _ in shares.values() for one in found.values() for key in one))
    figure = new_figure(3.2 + 4.6 * len(shares), 1.7 + 0.24 * len(works))
    panels = figure.subplots(1, len(shares), sharey=True, sharex=True, squeeze=False)[0]
    for axes, (cpu, (found, _)) in zip(panels, shares.items(), strict=True):
        style(axes)
        for key, colour, marker in zip(keys, (BLUE, SKY, PURPLE, ORANGE), MARKERS, strict=False):
            for y, work in enumerate(works):
                if key in found.get(work, {}):
                    share, missed = found[work][key]
                    inside = "white" if missed else colour
                    axes.plot(share, y, marker, color=colour, markerfacecolor=inside, markersize=6)
        axes.set_title(cpu, fontsize=10)
        axes.set_xlim(0, 1)
        axes.xaxis.set_major_formatter(lambda x, _: f"{x:.0%}")
        axes.tick_params(labelsize=8, left=False)
    panels[0].set_yticks(range(len(works)), works, fontsize=8)
    panels[0].set_ylim(len(works) - 0.4, -0.6)
    handles = [
        Line2D([], [], color=colour, marker=marker, linestyle="none", label=f"{isa}, {dtype}")
        for (isa, dtype), colour, marker in zip(keys, (BLUE, SKY, PURPLE, ORANGE), MARKERS, strict=False)
    ]
    panels[0].legend(handles=handles, loc="lower left", fontsize=8, frameon=False)
    figure.suptitle("share of the multiply-add limit that a step reaches (hollow: less than wanted)", fontsize=10)
    as_named = {"isa": "instruction sets", "dtype": "and dtypes as named"}
    return _captioned(figure, {cpu: {**facts, **as_named} for cpu, (_, facts) in shares.items()})


# --- Estimators beside scikit-learn's ---------------------------------------------------------------------------------


def estimators(measured: ByCpu, found: Mapping[str, Mapping[str, Mapping[int, Row]]]) -> Figure:
    """A panel a CPU, a bar a work and number of threads: how many times as fast as scikit-learn.

    A tick stands where it should be at least. An entry has "ratio" and "limit", such as "≥ 3 ×" or None.
    """
    works = list(dict.fromkeys(work for one in found.values() for work in one))
    entries = [by_threads for one in found.values() for by_threads in one.values()]
    counts = sorted({threads for by_threads in entries for threads in by_threads})
    figure = new_figure(4 + 6 * len(found), 1.3 + 0.17 * (len(counts) + 0.5) * len(works))
    panels = figure.subplots(1, len(found), sharex=True, sharey=True, squeeze=False)[0]
    ratios = [entry["ratio"] for by_threads in entries for entry in by_threads.values()]
    for axes, (cpu, one) in zip(panels, found.items(), strict=True):
        _estimator_bars(axes, works, one, counts)
        axes.set_xscale("log")
        axes.set_xlim(min(0.9, 0.8 * min(ratios)), 1.4 * max(ratios))
        axes.xaxis.set_major_locator(FixedLocator([1, 2, 5, 10, 20, 50, 100]))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter("{x:g} ×")
        axes.spines["left"].set_visible(False)
        axes.tick_params(left=False, labelsize=9)
        axes.grid(False, axis="y")
        axes.set_title(cpu, fontsize=10)
    panels[0].set_yticks(range(len(works)), works, fontsize=9)
    panels[0].set_ylim(len(works) - 0.4, -0.6)
    panels[-1].legend(loc="upper right", fontsize=8, frameon=False)
    figure.suptitle(f"how many times as fast as scikit-learn {OURS}.sklearn is (logarithmic)", fontsize=10)
    return _captioned(figure, measured)


def _estimator_bars(axes: Axes, works: list[str], found: Mapping[str, Mapping[int, Row]], counts: list[int]) -> None:
    style(axes)
    height = 0.8 / len(counts)
    wanted = None
    for (k, threads), colour in zip(enumerate(counts), (BLUE, SKY), strict=False):
        label = f"{threads} thread{'s'[: threads > 1]}"
        for y, entry in ((y, found[w][threads]) for y, w in enumerate(works) if threads in found.get(w, {})):
            ratio, at = entry["ratio"], y + (k - (len(counts) - 1) / 2) * height
            look = {"color": colour, "hatch": "////"[: 4 * (ratio < 1)], "edgecolor": "white", "linewidth": 0.5}
            axes.barh(at, ratio - 1, left=1, height=height, label=label, **look)
            label = "_nolegend_"
            least = float(entry["limit"].split()[1]) if entry["limit"] else 0.0
            if least:
                wanted = axes.plot([least] * 2, [at - height / 2, at + height / 2], color=VERMILION, linewidth=2)[0]
            # Behind the bar and, where it would be written across it, behind the tick.
            end = least if ratio < least < 1.25 * ratio else ratio
            missed = {"color": VERMILION, "weight": "bold"} if ratio < least else {"color": BLACK}
            axes.text(max(end, 1) * 1.04, at, short(ratio), va="center", fontsize=8, **missed)
    axes.axvline(1, color=BLACK, linewidth=1)
    if wanted:
        wanted.set_label("at least wanted (bold: missed)")


# --- Roofline ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Roof:
    """Of one CPU: its limits, and points that have "name", "flop", "bytes" and "seconds"."""

    facts: Facts
    limits: Mapping[str, float]
    kernels: list[Row]
    products: list[Row]


def roofline(roofs: Mapping[str, Roof]) -> Figure:
    """A panel a CPU: operations a second against operations a byte, below what it can multiply-add and copy.

    Each kernel has its own marker, products are a cloud. What the lines stand for is in each panel, as it differs.
    """
    figure = new_figure(4 + 6 * len(roofs), 5.4)
    panels = figure.subplots(1, len(roofs), sharey=True, squeeze=False)[0]
    for axes, (cpu, roof) in zip(panels, roofs.items(), strict=True):
        _one_roof(axes, roof)
        axes.set_title(cpu, fontsize=10)
        axes.set_xlabel("operations a byte of arguments and results (FLOP/byte)")
    panels[0].set_ylabel("GFLOP/s")
    most = max(roof.limits["fma"] for roof in roofs.values())
    panels[0].set_ylim(0.05, 2 * most / 1e9)
    handles, labels = panels[0].get_legend_handles_labels()
    points = [pair for pair in zip(handles, labels, strict=True) if pair[0].get_linestyle() == "None"]
    figure.legend(*zip(*points, strict=True), loc="outside right upper", fontsize=8, frameon=False)
    return _captioned(figure, {cpu: roof.facts for cpu, roof in roofs.items()})


def _one_roof(axes: Axes, roof: Roof) -> None:
    style(axes)
    points: dict[str, list[tuple[float, float]]] = {}
    for row in roof.products:
        points.setdefault(row["name"], []).append((row["flop"] / row["bytes"], row["flop"] / row["seconds"] / 1e9))
    for (name, found), marker, colour in zip(points.items(), MARKERS, (SKY, ORANGE, GREEN), strict=False):
        label = f"{name} of a shape of the grid"
        look = {"color": colour, "markersize": 2.5, "alpha": 0.55, "linestyle": "none"}
        axes.plot(*zip(*found, strict=True), marker=marker, label=label, **look)
    for row, marker in zip(roof.kernels, "osD^v<>PXp", strict=False):
        x, y = row["flop"] / row["bytes"], row["flop"] / row["seconds"] / 1e9
        look = {"color": BLUE, "markersize": 8, "markeredgecolor": "white", "markeredgewidth": 0.6, "linestyle": "none"}
        axes.plot(x, y, marker=marker, label=row["name"], zorder=3, **look)
    x = np.geomspace(0.03, 1000, 200)
    limits, most = roof.limits, roof.limits["fma"]
    copies = [name for name in limits if name.startswith("copy")]
    lines = [
        axes.plot(x, np.minimum(x * limits[name], most) / 1e9, line, color=BLACK, linewidth=1.2,
                  label=f"{name}, {limits[name] / 1e9:.0f} GB/s")[0]
        for name, line in zip(copies, ("--", "-.", ":"), strict=True)
    ]  # fmt: skip
    lines.append(axes.axhline(most / 1e9, color=BLACK, linewidth=1.4, label=f"multiply-adds, {most / 1e9:.0f} GFLOP/s"))
    axes.legend(handles=lines, loc="lower right", fontsize=8, frameon=False)
    axes.set(xscale="log", yscale="log", xlim=(0.03, 1000))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")


# --- The grid of matrix products --------------------------------------------------------------------------------------

Cube = np.ndarray  # of B, I, O
Cubes = Mapping[str, tuple[list[int], Mapping[str, Cube]]]  # by CPU: the sizes, and a cube for each product


def grid(measured: ByCpu, ratios: Cubes) -> Figure:
    """auto's time over the better of own and blas."""
    edges = [0, 1.02, 1.05, 1.1, 1.25, 1.5, 100]
    colours = ["#F2F2F2", "#CFE3F1", "#F5C77E", "#E8873A", "#C2410C", "#4A1204"]
    figure, image = _cubes(ratios, ListedColormap(colours), BoundaryNorm(edges, len(colours)))
    bar = figure.colorbar(image, ax=figure.axes, aspect=50, pad=0.01, spacing="uniform")
    bar.ax.set_yticks(edges, ["", "1.02", "1.05", "1.1", "1.25", "1.5", ""], fontsize=8)
    counts = []
    for cpu, (_, cubes) in ratios.items():
        cells, limit = np.concatenate([cube.ravel() for cube in cubes.values()]), measured[cpu]["limit"]
        counts.append(f"above {limit:g} in {np.count_nonzero(cells > limit)} of {cells.size} products ({cpu})")
    measure = "time of auto over that of the better of own kernels and BLAS"
    figure.suptitle(f"{measure}\n{', '.join(counts)}", fontsize=10)
    return _captioned(figure, measured)


def grid_rivals(measured: ByCpu, ratios: Cubes) -> Figure:
    """auto's time over that of the faster rival."""
    edges = [0, 0.5, 0.8, 1, 1.03, 1.1, 1.25, 100]
    colours = ["#2F6B9A", "#7FB2D5", "#CFE3F1", "#F2F2F2", "#F5C77E", "#E8873A", "#C2410C"]
    figure, image = _cubes(ratios, ListedColormap(colours), BoundaryNorm(edges, len(colours)))
    bar = figure.colorbar(image, ax=figure.axes, aspect=50, pad=0.01, spacing="uniform")
    bar.ax.set_yticks(edges, ["", *(f"{edge:g}" for edge in edges[1:-1]), ""], fontsize=8)
    figure.suptitle("time of auto over that of the faster one of PyTorch's MKL and onnxruntime", fontsize=10)
    return _captioned(figure, measured)


def grid_speed(measured: ByCpu, speeds: Cubes) -> Figure:
    """GFLOP/s under auto."""
    low, high = 0.1, max(np.nanmax(cube) for _, cubes in speeds.values() for cube in cubes.values())
    figure, image = _cubes(speeds, "cividis", LogNorm(low, high, clip=True))
    bar = figure.colorbar(image, ax=figure.axes, aspect=50, pad=0.01, format="{x:g}")
    bar.ax.tick_params(labelsize=8)
    figure.suptitle("GFLOP/s of auto", fontsize=10)
    return _captioned(figure, measured)


def _cubes(by_cpu: Cubes, colours: str | Colormap, norm: Normalize) -> tuple[Figure, Any]:
    """A row a product and CPU, those of a kind together; a panel a batch; inputs down, outputs to the right."""
    products = list(dict.fromkeys(product for _, cubes in by_cpu.values() for product in cubes))
    rows = [(product, cpu) for product in products for cpu, (_, cubes) in by_cpu.items() if product in cubes]
    figure = new_figure(12.5, 1.3 + 1.55 * len(rows))
    panels = figure.subplots(len(rows), max(len(sizes) for sizes, _ in by_cpu.values()), squeeze=False)
    image = None
    for n, ((product, cpu), line) in enumerate(zip(rows, panels, strict=True)):
        sizes, cubes = by_cpu[cpu]
        last = n == len(rows) - 1
        for k, axes in enumerate(line[: len(sizes)]):
            image = axes.imshow(cubes[product][k], cmap=colours, norm=norm, aspect="auto", interpolation="nearest")
            axes.set_xticks(range(len(sizes)), map(str, sizes) if last else [], rotation=90, fontsize=6)
            axes.set_yticks(range(len(sizes)), map(str, sizes) if k == 0 else [], fontsize=6)
            axes.tick_params(length=0)
            if n == 0:
                axes.set_title(f"{sizes[k]} row{'s'[: sizes[k] > 1]}", fontsize=9)
            if last:
                axes.set_xlabel("outputs", fontsize=8)
        for axes in line[len(sizes) :]:
            axes.set_axis_off()
        named = f"{product}\n{cpu}" if len(by_cpu) > 1 else product
        line[0].set_ylabel(f"{named}\ninputs", fontsize=8)
    return figure, image


# --- Scaling ----------------------------------------------------------------------------------------------------------

_LOOKS = {
    OURS: (BLUE, "o"), "products": (BLACK, "x"), "NumPy": (SKY, "s"), "JAX": (GREEN, "D"), "PyTorch": (VERMILION, "^"),
    "scikit-learn": (PURPLE, "v"), "onnxruntime": (ORANGE, "P"),
}  # fmt: skip


def scaling(measured: ByCpu) -> Figure:
    """Seconds against the size of the batch and the width of the layers; a row has "curve", "x", "side", "seconds".

    CPUs are below each other, on the same axes.
    """
    titles = {
        "step by batch": ("training step of 784-100-100-10", "rows of the batch"),
        "prediction by batch": ("prediction of 784-100-100-10", "rows of the batch"),
        "step by width": ("training step, 128 rows, two hidden layers", "units of a layer, and inputs"),
    }
    figure = new_figure(12.5, 0.7 + 3.9 * len(measured))
    panels = figure.subplots(len(measured), len(titles), squeeze=False, sharex="col", sharey="col")
    named: dict[str, Any] = {}
    for line, (cpu, facts) in zip(panels, measured.items(), strict=True):
        for axes, (curve, (heading, xlabel)) in zip(line, titles.items(), strict=True):
            named |= _curves(axes, [row for row in facts["rows"] if row["curve"] == curve])
            axes.set_title(heading, fontsize=10)
            axes.set_xlabel(xlabel, fontsize=9)
        line[0].set_ylabel(f"{cpu}\nmedian time" if len(measured) > 1 else "median time")
    order = [side for side in _LOOKS if side in named]
    handles, labels = [named[side] for side in order], list(map(title_of, order))
    figure.legend(handles, labels, loc="outside upper center", ncols=len(order), frameon=False)
    return _captioned(figure, measured)


def _curves(axes: Axes, rows: list[Row]) -> dict[str, Any]:
    """One a side, and what stands for it in a legend."""
    sides: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        sides.setdefault(row["side"], []).append((row["x"], row["seconds"]))
    style(axes)
    named = {}
    for side, points in sorted(sides.items(), key=lambda item: item[0] == OURS):  # ours on top of the others
        colour, marker = _LOOKS[side]
        width, line = (2.4, "-") if side == OURS else (1.2, "--" if side == "products" else "-")
        look = {"color": colour, "marker": marker, "markersize": 4.5, "linewidth": width}
        named[side] = axes.plot(*zip(*points, strict=True), line, **look)[0]
    axes.set(xscale="log", yscale="log")
    ticks = sorted({x for points in sides.values() for x, _ in points})[::2]  # all of them would touch
    axes.set_xticks(ticks, [f"{x:g}" for x in ticks], fontsize=8)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(lambda y, _: _time(y))
    return named


def _time(seconds: float) -> str:
    """A decade of the axis."""
    exponent = math.floor(math.log10(seconds) + 1e-9)
    unit, size = next((u, s) for u, s in (("s", 0), ("ms", -3), ("µs", -6), ("ns", -9)) if exponent >= s)
    return f"{seconds / 10.0**size:g} {unit}"
