"""The pictures of bench/figures.py: each function takes what a JSON holds and gives a figure. Draws only.

Colours are those of Okabe and Ito, as in `fastnn.plot`; a loss differs from a gain by hatching too.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, Colormap, ListedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from fastnn.plot import new_figure
from fastnn.plot._figure import COLOURS, MARKERS, style

OURS = "fastnn"
BLUE, VERMILION, GREEN, PURPLE, SKY, ORANGE, BLACK = COLOURS
Row = Mapping[str, Any]
Facts = Mapping[str, Any]


def conditions(facts: Facts, *more: str) -> str:
    """The line below a picture, and above the table: which machine, when, how."""
    threads = f"{facts['threads']} thread{'' if facts['threads'] == 1 else 's'}"
    return "; ".join([facts["cpu"], facts["isa"], threads, facts.get("dtype", "float32"), *more, facts["date"]])


def _captioned(figure: Figure, text: str) -> Figure:
    figure.supxlabel(text, fontsize=8, color="#505050")
    return figure


# --- Speed against rivals ---------------------------------------------------------------------------------------------


def speed(facts: Facts, works: list[str], rivals: list[str], ratios: Mapping[tuple[str, str], float]) -> Figure:
    """A bar a work and rival: how many times as fast we are, to the left and hatched where slower."""
    figure = new_figure(11.5, 1.4 + 0.27 * len(works))
    panels = figure.subplots(1, len(rivals), sharey=True, squeeze=False)[0]
    for axes, rival in zip(panels, rivals, strict=True):
        style(axes)
        for y, work in enumerate(works):
            ratio = ratios.get((work, rival))
            if ratio is None:
                axes.text(1.15, y, "–", va="center", fontsize=8, color="#909090")
                continue
            colour, hatch = (VERMILION, "////") if ratio < 1 else (BLUE, "")
            axes.barh(y, ratio - 1, left=1, height=0.72, color=colour, hatch=hatch, edgecolor="white", linewidth=0)
            at, colour = max(ratio, 1) * 1.1, VERMILION if ratio < 1 else BLACK
            axes.text(at, y, short(ratio), va="center", fontsize=8, color=colour)
        axes.axvline(1, color="black", linewidth=0.8)
        axes.set_xscale("log")
        axes.set_xlim(0.4, 1000)
        axes.xaxis.set_major_locator(FixedLocator([1, 10, 100]))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter("{x:g}")
        axes.tick_params(labelsize=7)
        axes.set_title(title(rival).replace(" ", "\n"), fontsize=9)
        axes.spines["left"].set_visible(False)
        axes.tick_params(left=False)
        axes.grid(False, axis="y")
    panels[0].set_yticks(range(len(works)), works, fontsize=8)
    panels[0].set_ylim(len(works) - 0.4, -0.6)
    figure.suptitle(f"how many times as fast as each rival {OURS} is (logarithmic; hatched: slower)", fontsize=10)
    return _captioned(figure, conditions(facts))


def title(side: str) -> str:
    """A side's name where there is no more said about it."""
    return "products alone" if side == "products" else side


def short(ratio: float) -> str:
    """Two digits, or more before the point."""
    return f"{ratio:.0f}" if ratio >= 9.95 else f"{ratio:.1f}" if ratio >= 1.995 else f"{ratio:.2f}"


# --- Estimators beside scikit-learn's ---------------------------------------------------------------------------------


def estimators(facts: Facts, works: Mapping[str, Mapping[int, Row]]) -> Figure:
    """A bar a work and number of threads: how many times as fast as scikit-learn; a tick where it should be at least.

    An entry has "ratio" and "limit", such as "≥ 3 ×" or None.
    """
    counts = sorted({threads for entries in works.values() for threads in entries})
    figure = new_figure(10, 1.3 + 0.17 * (len(counts) + 0.5) * len(works))
    axes = figure.add_subplot()
    style(axes)
    height = 0.8 / len(counts)
    wanted = None
    for (k, threads), colour in zip(enumerate(counts), (BLUE, SKY), strict=False):
        label = f"{threads} thread{'s'[: threads > 1]}"
        for y, entry in ((y, entries[threads]) for y, entries in enumerate(works.values()) if threads in entries):
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
    axes.set_xscale("log")
    ratios = [entry["ratio"] for entries in works.values() for entry in entries.values()]
    axes.set_xlim(min(0.9, 0.8 * min(ratios)), 1.4 * max(ratios))
    axes.xaxis.set_major_locator(FixedLocator([1, 2, 5, 10, 20, 50, 100]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter("{x:g} ×")
    axes.set_yticks(range(len(works)), works, fontsize=9)
    axes.set_ylim(len(works) - 0.4, -0.6)
    axes.spines["left"].set_visible(False)
    axes.tick_params(left=False, labelsize=9)
    axes.grid(False, axis="y")
    if wanted:
        wanted.set_label("at least wanted (bold: missed)")
    axes.legend(loc="upper right", fontsize=8, frameon=False)
    axes.set_title(f"how many times as fast as scikit-learn {OURS}.sklearn is (logarithmic)", fontsize=10)
    return _captioned(figure, conditions(facts))


# --- Roofline ---------------------------------------------------------------------------------------------------------


def roofline(facts: Facts, limits: Mapping[str, float], kernels: Iterable[Row], products: Iterable[Row]) -> Figure:
    """Operations a second against operations a byte, below what the machine can multiply-add and copy.

    A row has "name", "flop", "bytes" and "seconds"; each kernel has its own marker, products are a cloud.
    """
    figure = new_figure(10, 5.4)
    axes = figure.add_subplot()
    style(axes)
    points: dict[str, list[tuple[float, float]]] = {}
    for row in products:
        points.setdefault(row["name"], []).append((row["flop"] / row["bytes"], row["flop"] / row["seconds"] / 1e9))
    for (name, found), marker, colour in zip(points.items(), MARKERS, (SKY, ORANGE, GREEN), strict=False):
        label = f"{name} of a shape of the grid"
        axes.plot(*zip(*found, strict=True), marker, color=colour, markersize=2.5, alpha=0.55, label=label)
    for row, marker in zip(kernels, "osD^v<>PXp", strict=False):
        x, y = row["flop"] / row["bytes"], row["flop"] / row["seconds"] / 1e9
        look = {"color": BLUE, "markersize": 8, "markeredgecolor": "white", "markeredgewidth": 0.6, "linestyle": "none"}
        axes.plot(x, y, marker, label=row["name"], zorder=3, **look)
    x = np.geomspace(0.03, 1000, 200)
    most = limits["fma"]
    copies = [name for name in limits if name.startswith("copy")]
    for name, line in zip(copies, ("--", "-.", ":"), strict=True):
        roof = np.minimum(x * limits[name], most) / 1e9
        axes.plot(x, roof, line, color=BLACK, linewidth=1.2, label=f"{name}, {limits[name] / 1e9:.0f} GB/s")
    axes.axhline(most / 1e9, color=BLACK, linewidth=1.4, label=f"multiply-adds, {most / 1e9:.0f} GFLOP/s")
    axes.set(xscale="log", yscale="log", xlim=(0.03, 1000), ylim=(0.05, 2 * most / 1e9))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
    axes.set_xlabel("operations a byte of arguments and results (FLOP/byte)")
    axes.set_ylabel("GFLOP/s")
    figure.legend(loc="outside right upper", fontsize=8, frameon=False)
    return _captioned(figure, conditions(facts))


# --- The grid of matrix products --------------------------------------------------------------------------------------

Cube = np.ndarray  # of B, I, O


def grid(facts: Facts, sizes: list[int], ratios: Mapping[str, Cube]) -> Figure:
    """auto's time over the better of own and blas."""
    edges = [0, 1.02, 1.05, 1.1, 1.25, 1.5, 100]
    colours = ["#F2F2F2", "#CFE3F1", "#F5C77E", "#E8873A", "#C2410C", "#4A1204"]
    figure, image = _cubes(sizes, ratios, ListedColormap(colours), BoundaryNorm(edges, len(colours)))
    bar = figure.colorbar(image, ax=figure.axes, aspect=50, pad=0.01, spacing="uniform")
    bar.ax.set_yticks(edges, ["", "1.02", "1.05", "1.1", "1.25", "1.5", ""], fontsize=8)
    cells = np.concatenate([cube.ravel() for cube in ratios.values()])
    beyond = np.count_nonzero(cells > facts["limit"])
    measure = "time of auto over that of the better of own kernels and BLAS"
    figure.suptitle(f"{measure}: above {facts['limit']:g} in {beyond} of {cells.size} products", fontsize=10)
    return _captioned(figure, conditions(facts))


def grid_speed(facts: Facts, sizes: list[int], speeds: Mapping[str, Cube]) -> Figure:
    """GFLOP/s under auto."""
    low, high = 0.1, max(cube.max() for cube in speeds.values())
    figure, image = _cubes(sizes, speeds, "cividis", LogNorm(low, high, clip=True))
    bar = figure.colorbar(image, ax=figure.axes, aspect=50, pad=0.01, format="{x:g}")
    bar.ax.tick_params(labelsize=8)
    figure.suptitle("GFLOP/s of auto", fontsize=10)
    return _captioned(figure, conditions(facts))


def _cubes(sizes: list[int], cubes: Mapping[str, Cube], colours: str | Colormap, norm: Normalize) -> tuple[Figure, Any]:
    """A row a product, a panel a batch; inputs down, outputs to the right."""
    figure = new_figure(12.5, 1.3 + 1.55 * len(cubes))
    panels = figure.subplots(len(cubes), len(sizes), squeeze=False, sharex=True, sharey=True)
    image = None
    for n, (product, cube) in enumerate(cubes.items()):
        line = panels[n]
        for k, axes in enumerate(line):
            image = axes.imshow(cube[k], cmap=colours, norm=norm, aspect="auto", interpolation="nearest")
            axes.set_xticks(range(len(sizes)), map(str, sizes), rotation=90, fontsize=6)
            axes.set_yticks(range(len(sizes)), map(str, sizes), fontsize=6)
            axes.tick_params(length=0)
            if n == 0:
                axes.set_title(f"{sizes[k]} row{'s'[: sizes[k] > 1]}", fontsize=9)
            if n == len(cubes) - 1:
                axes.set_xlabel("outputs", fontsize=8)
        line[0].set_ylabel(f"{product}\ninputs", fontsize=9)
    return figure, image


# --- Scaling ----------------------------------------------------------------------------------------------------------

_LOOKS = {
    OURS: (BLUE, "o"), "products": (BLACK, "x"), "NumPy": (SKY, "s"), "JAX": (GREEN, "D"), "PyTorch": (VERMILION, "^"),
    "scikit-learn": (PURPLE, "v"), "onnxruntime": (ORANGE, "P"),
}  # fmt: skip


def scaling(facts: Facts, rows: Iterable[Row]) -> Figure:
    """Seconds against the size of the batch and the width of the layers; a row has "curve", "x", "side", "seconds"."""
    titles = {
        "step by batch": ("training step of 784-100-100-10", "rows of the batch"),
        "prediction by batch": ("prediction of 784-100-100-10", "rows of the batch"),
        "step by width": ("training step, 128 rows, two hidden layers", "units of a layer, and inputs"),
    }
    curves: dict[str, dict[str, list[tuple[float, float]]]] = {name: {} for name in titles}
    for row in rows:
        curves[row["curve"]].setdefault(row["side"], []).append((row["x"], row["seconds"]))
    figure = new_figure(12.5, 4.6)
    panels: Iterable[Axes] = figure.subplots(1, len(curves))
    named: dict[str, Any] = {}
    for axes, (curve, sides) in zip(panels, curves.items(), strict=True):
        style(axes)
        for side, points in sorted(sides.items(), key=lambda item: item[0] == OURS):  # ours on top of the others
            colour, marker = _LOOKS[side]
            width, line = (2.4, "-") if side == OURS else (1.2, "--" if side == "products" else "-")
            named[side] = axes.plot(
                *zip(*points, strict=True), line, color=colour, marker=marker, markersize=4.5, linewidth=width
            )[0]
        heading, xlabel = titles[curve]
        axes.set_title(heading, fontsize=10)
        axes.set(xscale="log", yscale="log")
        axes.set_xlabel(xlabel, fontsize=9)
        ticks = sorted({x for points in sides.values() for x, _ in points})[::2]  # all of them would touch
        axes.set_xticks(ticks, [f"{x:g}" for x in ticks], fontsize=8)
        axes.xaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(lambda y, _: _time(y))
    figure.axes[0].set_ylabel("median time")
    order = [side for side in _LOOKS if side in named]
    figure.legend(
        [named[side] for side in order],
        list(map(title, order)),
        loc="outside upper center",
        ncols=len(order),
        frameon=False,
    )
    return _captioned(figure, conditions(facts))


def _time(seconds: float) -> str:
    """A decade of the axis."""
    exponent = math.floor(math.log10(seconds) + 1e-9)
    unit, size = next((u, s) for u, s in (("s", 0), ("ms", -3), ("µs", -6), ("ns", -9)) if exponent >= s)
    return f"{seconds / 10.0**size:g} {unit}"
