"""The speed tables of README and docs, and the pictures in docs/figures, from the JSON that the other scripts wrote.

``python bench/figures.py [--results bench/results] [--figures docs/figures] [--readme README.md] [--page docs/…md]``

Reads every folder of the results, one for each kind of CPU, and what is there of bars.json, grid.json, series.json,
kernels.json, accuracy.json, estimators-1.json and estimators-2.json; CONTRIBUTING.md says how they are made. All CPUs
stand side by side. Every rival, every loss and every missed bar that was measured is shown. A picture without its JSON
is left as it is.
"""

import argparse
import io
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cpus
import drawings
import numpy as np
import tables
from tables import ByCpu, Found

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- speed table: made by bench/figures.py -->", "<!-- end -->"
NAMES = ("bars", "grid", "series", "kernels", "accuracy")
GRID_RIVALS = ("MKL", "onnxruntime")
# Load above which something else was running on the machine: the script before leaves one behind.
QUIET = 1.3
# Bytes of a picture that a README should not load.
HEAVY = 150_000


def read(results: Path) -> dict[str, dict[str, Found]]:
    """What was measured, by name of the file and title of the CPU; both files of estimators are one."""
    found: dict[str, dict[str, Found]] = {name: {} for name in (*NAMES, "estimators")}
    for folder in sorted(path for path in results.iterdir() if path.is_dir()):
        title = cpus.title(folder.name)
        for name in NAMES:
            if measured := _read(folder / f"{name}.json"):
                found[name][title] = measured
        one, two = (_read(folder / f"estimators-{threads}.json") for threads in (1, 2))
        if one and two:
            found["estimators"][title] = tables.both_counts(one, two)
    return found


def _read(path: Path) -> Found | None:
    if path.is_file():
        found = json.loads(path.read_text("utf-8"))
        load = found.get("machine_info", {"facts": found})["facts"]["load"]
        if load > QUIET:
            print(f"{path}: the load was {load:.1f} when it began; another process may have slowed some side down")
        return found
    print(f"{path} is not there: what is made of it is without that CPU, or stays as it is", file=sys.stderr)
    return None


def readme(found: dict[str, dict[str, Found]]) -> str:
    """All tables of README, and the pictures that are there only where what they show was measured."""
    bars = found["bars"]
    made = [tables.speed(bars), tables.two_threads(bars)]
    if shares := tables.limits(bars):
        made += [shares, "![Dots: the share of the limit of each step](docs/figures/limits.png)\n"]
    made.append(tables.products(bars))
    if any(beside_rivals(grid) for grid in found["grid"].values()):
        made.append("[Products of each shape beside PyTorch's MKL and onnxruntime](docs/figures/grid-rivals.png).\n")
    return "\n".join(text for text in (*made, tables.accuracy(found["accuracy"])) if text)


def with_table(page: str, text: str) -> str:
    """README, or another page, with the text between its two comments."""
    pattern = re.compile(f"({re.escape(BEGIN)}\n).*?({re.escape(END)})", re.DOTALL)
    if not pattern.search(page):
        raise SystemExit(f"there is no place for the table: {BEGIN} … {END}")
    return pattern.sub(lambda match: f"{match[1]}\n{text.strip()}\n\n{match[2]}", page)


# --- What the pictures take -------------------------------------------------------------------------------------------


def _cells(grid: Found) -> list[Found]:
    return [dict(zip(grid["columns"], row, strict=True)) for row in grid["rows"]]


def cubes(grid: Found) -> tuple[list[int], dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Sizes; by product auto's time over the better one's, and its GFLOP/s, both with axes B, I, O."""
    cells = _cells(grid)
    sizes = sorted({cell["B"] for cell in cells})
    place = {size: k for k, size in enumerate(sizes)}
    ratios, speeds = (
        {cell["product"]: np.full((len(sizes),) * 3, np.nan) for cell in cells},
        {cell["product"]: np.full((len(sizes),) * 3, np.nan) for cell in cells},
    )
    for cell in cells:
        where = tuple(place[cell[axis]] for axis in "BIO")
        ratios[cell["product"]][where] = cell["auto"] / min(cell["own"], cell["blas"])
        speeds[cell["product"]][where] = 2e-9 * cell["B"] * cell["I"] * cell["O"] / cell["auto"]
    return sizes, ratios, speeds


def beside_rivals(grid: Found) -> dict[str, np.ndarray]:
    """By product auto's time over that of the faster rival, with axes B, I, O; empty where none was measured."""
    sizes, found, _ = cubes(grid)
    for cell in _cells(grid):
        times = [cell[rival] for rival in GRID_RIVALS if cell.get(rival)]
        if not times:
            return {}
        where = tuple(sizes.index(cell[axis]) for axis in "BIO")
        found[cell["product"]][where] = cell["auto"] / min(times)
    return found


def _grid_points(grid: Found | None) -> Iterator[Found]:
    """Products as points of a roofline: the bytes are those of the three matrices, each once."""
    for cell in _cells(grid) if grid else ():
        B, I, O = (cell[axis] for axis in "BIO")  # noqa: E741
        size = {"float32": 4, "float64": 8}[grid["dtype"]]
        moved = size * (B * I + I * O + B * O)
        yield {"name": cell["product"], "flop": 2 * B * I * O, "bytes": moved, "seconds": cell["auto"]}


def _kernel_points(kernels: Found) -> Iterator[Found]:
    for benchmark in kernels["benchmarks"]:
        facts = benchmark["extra_info"]
        if facts["side"] == tables.OURS and facts["dtype"] == "float32" and facts["flop"]:
            seconds = benchmark["stats"]["median"]
            yield {"name": facts["op"], "flop": facts["flop"], "bytes": facts["bytes"], "seconds": seconds}


def _roofs(kernels: ByCpu, grid: ByCpu) -> dict[str, drawings.Roof]:
    found = {}
    for cpu, one in kernels.items():
        info = one["machine_info"]
        if info["limits"]["fma"]:
            points = list(_kernel_points(one)), list(_grid_points(grid.get(cpu)))
            found[cpu] = drawings.Roof(info["facts"], info["limits"], *points)
    return found


def pictures(
    bars: ByCpu, grid: ByCpu, series: ByCpu, kernels: ByCpu, estimators: ByCpu, accuracy: ByCpu
) -> Iterator[tuple[str, Any]]:
    """Name and figure of all whose JSON is there."""
    if bars:
        times = {cpu: tables.times_of(one) for cpu, one in bars.items()}
        ratios = {cpu: tables.ratios_of(one) for cpu, one in times.items()}
        yield "speed", drawings.speed(bars, tables.works_of(times.values()), tables.present(ratios.values()), ratios)
        shares = {cpu: (tables.shares_of(one, tables.WIDTHS), one) for cpu, one in bars.items()}
        shares = {cpu: pair for cpu, pair in shares.items() if pair[0]}
        if shares:
            yield "limits", drawings.limits(shares)
    if roofs := _roofs(kernels, grid):
        yield "roofline", drawings.roofline(roofs)
    if grid:
        found = {cpu: cubes(one) for cpu, one in grid.items()}
        yield "grid", drawings.grid(grid, {cpu: (sizes, ratios) for cpu, (sizes, ratios, _) in found.items()})
        yield (
            "grid-speed",
            drawings.grid_speed(grid, {cpu: (sizes, speeds) for cpu, (sizes, _, speeds) in found.items()}),
        )
        beside = {cpu: (found[cpu][0], ratios) for cpu, one in grid.items() if (ratios := beside_rivals(one))}
        if beside:
            yield "grid-rivals", drawings.grid_rivals({cpu: grid[cpu] for cpu in beside}, beside)
    if series:
        yield "scaling", drawings.scaling(series)
    if estimators:
        yield "estimators", drawings.estimators(estimators, {c: tables.speedups(one) for c, one in estimators.items()})


def write_picture(figure: Any, path: Path) -> None:
    """As PNG with 128 colours: a third of the size; rare colours are kept, and no line or letter needs more."""
    from PIL import Image

    with io.BytesIO() as buffer:
        figure.savefig(buffer, format="png", dpi=120)
        Image.open(buffer).convert("RGB").quantize(128, Image.Quantize.MAXCOVERAGE).save(path, optimize=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--results", type=Path, default=cpus.RESULTS)
    parser.add_argument("--figures", type=Path, default=ROOT / "docs" / "figures")
    parser.add_argument("--readme", type=Path, default=ROOT / "README.md")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "moving-from-scikit-learn.md")
    arguments = parser.parse_args()
    arguments.figures.mkdir(parents=True, exist_ok=True)
    found = read(arguments.results)
    for name, figure in pictures(**found):
        path = arguments.figures / f"{name}.png"
        write_picture(figure, path)
        size = path.stat().st_size
        print(f"written: {path} ({size / 1e3:.0f} kB{', heavy' if size > HEAVY else ''})")
    if found["bars"]:
        arguments.readme.write_text(with_table(arguments.readme.read_text("utf-8"), readme(found)), "utf-8")
        print(f"written: {arguments.readme}")
    if measured := found["estimators"]:
        page = with_table(arguments.page.read_text("utf-8"), tables.estimators(measured))
        arguments.page.write_text(page, "utf-8")
        print(f"written: {arguments.page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
