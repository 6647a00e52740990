"""The speed tables of README and docs, and the pictures in docs/figures, from the JSON that the other scripts wrote.

``python bench/figures.py [--results bench/results] [--figures docs/figures] [--readme README.md] [--page docs/…md]``

Reads what is there of bars.json, grid.json, series.json, kernels.json, estimators-1.json and estimators-2.json;
CONTRIBUTING.md says how they are made. Every rival, every loss and every missed bar that was measured is shown. A
picture without its JSON is left as it is.
"""

import argparse
import io
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import drawings
import numpy as np

from fastnn.bench import duration

ROOT = Path(__file__).resolve().parent.parent
OURS = drawings.OURS
# Those that README's table and the bars show; both ways into onnxruntime count as the faster one. "products" are the
# matrix products of a step alone, by NumPy's BLAS: no rival, but a step that beats them has nothing left to save.
RIVALS = ("products", "NumPy", "JAX", "JAX scan", "PyTorch", "PyTorch compiled", "scikit-learn", "onnxruntime")
SHOWN = ("V1", "V2", "V3", "V4", "V5", "V8", "V6", "V7", "V9", "V10")
BITS, ONE, BESIDE, TAKEN = "same bits as on one", "fastnn, one thread", ", beside rivals", ", one CPU taken"
SKLEARN = "scikit-learn"
# What the estimators' speed depends on; the others in the JSON are rivals elsewhere.
BELOW_ESTIMATORS = ("python", "fastnn", "numpy", "scipy", SKLEARN)
BEGIN, END = "<!-- speed table: made by bench/figures.py -->", "<!-- end -->"
# Load above which something else was running on the machine: the script before leaves one behind.
QUIET = 1.3
# Bytes of a picture that a README should not load.
HEAVY = 150_000

Found = dict[str, Any]


def _read(folder: Path, name: str) -> Found | None:
    path = folder / name
    if path.is_file():
        found = json.loads(path.read_text("utf-8"))
        load = found.get("machine_info", {"facts": found})["facts"]["load"]
        if load > QUIET:
            print(f"{path}: the load was {load:.1f} when it began; another process may have slowed some side down")
        return found
    print(f"{path} is not there: what is made of it stays as it is", file=sys.stderr)
    return None


# --- Speed against rivals ---------------------------------------------------------------------------------------------


def times_of(bars: Found) -> dict[str, dict[str, float]]:
    """Seconds by work and side, in the order of the bars, at the thread count of the file."""
    found: dict[str, dict[str, float]] = {}
    rows = [row for row in bars["rows"] if row["threads"] == bars["threads"] and row["seconds"] is not None]
    for bar in SHOWN:
        for row in (row for row in rows if row["bar"] == bar):
            found.setdefault(row["work"], {})[row["side"]] = row["seconds"]
    for sides in found.values():
        bound = sides.pop("onnxruntime bound", None)
        if bound is not None:
            sides["onnxruntime"] = min(bound, sides["onnxruntime"])
    return found


def ratios_of(times: dict[str, dict[str, float]]) -> dict[tuple[str, str], float]:
    """How many times as fast we are, by work and rival."""
    return {
        (work, side): seconds / sides[OURS]
        for work, sides in times.items()
        for side, seconds in sides.items()
        if side in RIVALS
    }


def _present(ratios: dict[tuple[str, str], float]) -> list[str]:
    """Rivals that are in the file at all."""
    sides = {side for _, side in ratios}
    return [rival for rival in RIVALS if rival in sides]


def table(bars: Found) -> str:
    """Markdown: our time, and a rival's time over ours; losses are set in bold."""
    times, versions = times_of(bars), bars["versions"]
    ratios = ratios_of(times)
    rivals = _present(ratios)
    lines = [
        f"| work | {OURS} | {' | '.join(map(drawings.title, rivals))} |",
        "| --- | ---: |" + " ---: |" * len(rivals),
    ]
    for work, sides in times.items():
        cells = [_cell(ratios.get((work, rival))) for rival in rivals]
        lines.append(f"| {work} | {duration(sides[OURS])} | {' | '.join(cells)} |")
    named = ", ".join(f"{name} {number}" for name, number in versions.items() if number != "absent")
    losses = sum(ratio < 1 for ratio in ratios.values())
    text = (
        "How many times as fast as each rival, by medians of rounds that alternate between them;"
        f" **bold** where we are slower ({losses} of {len(ratios)}), – where a rival does not do this."
        f" {drawings.conditions(bars)}. {named}."
    )
    return "\n".join([text, "", *lines]) + "\n" + two_threads_table(bars)


def two_threads_table(bars: Found) -> str:
    """Markdown of the bar that compares two threads with one and with rivals; empty where it was not measured."""
    works: dict[str, dict[str, Found]] = {}
    for row in (row for row in bars["rows"] if row["bar"] == "V11"):
        works.setdefault(row["work"], {})[row["side"]] = row
    alone = {work: sides for work, sides in works.items() if not work.endswith((BESIDE, TAKEN))}
    if not alone:
        return ""
    rivals = [side for side in works.get(next(iter(alone)) + BESIDE, {}) if side != OURS]
    head = " | ".join(["on two threads", OURS, ONE, *rivals, BITS])
    lines = ["", f"| {head} |", "| --- | ---: | ---: |" + " ---: |" * len(rivals) + " --- |"]
    for work, sides in alone.items():
        beside = works.get(work + BESIDE, {})
        ratios = [sides[ONE]["seconds"] / sides[OURS]["seconds"]]
        ratios += [beside[rival]["seconds"] / beside[OURS]["seconds"] if rival in beside else None for rival in rivals]
        bits = "yes" if sides[BITS]["met"] else "only with `deterministic=True`"
        cells = " | ".join(map(_cell, ratios))
        lines.append(f"| {work} | {duration(sides[OURS]['seconds'])} | {cells} | {bits} |")
    return "\n".join(lines)


def _cell(ratio: float | None) -> str:
    if ratio is None:
        return "–"
    return f"**{drawings.short(ratio)}**" if ratio < 1 else drawings.short(ratio)


def with_table(page: str, text: str) -> str:
    """README, or another page, with the text between its two comments."""
    pattern = re.compile(f"({re.escape(BEGIN)}\n).*?({re.escape(END)})", re.DOTALL)
    if not pattern.search(page):
        raise SystemExit(f"there is no place for the table: {BEGIN} … {END}")
    return pattern.sub(lambda match: f"{match[1]}\n{text.strip()}\n\n{match[2]}", page)


# --- Estimators beside scikit-learn's ---------------------------------------------------------------------------------


def both_counts(one: Found, two: Found) -> Found:
    """The rows of two files that differ in the number of threads only, and what holds for both."""
    for name in ("cpu", "isa", "versions"):
        if one[name] != two[name]:
            raise SystemExit(f"the two files of estimators differ in {name}: {one[name]} and {two[name]}")
    threads = f"{one['threads']} and {two['threads']}"
    return {**one, "threads": threads, "date": max(one["date"], two["date"]), "rows": one["rows"] + two["rows"]}


def speedups(estimators: Found) -> dict[str, dict[int, Found]]:
    """Our "seconds", "ratio" of scikit-learn's to them, and the bar's "limit" and "met", by work and threads."""
    found: dict[str, dict[int, Found]] = {}
    seconds = {(row["work"], row["threads"]): row["seconds"] for row in estimators["rows"] if row["side"] == OURS}
    for row in (row for row in estimators["rows"] if row["side"] == SKLEARN):
        ours = seconds[row["work"], row["threads"]]
        entry = {"seconds": ours, "ratio": row["seconds"] / ours, "limit": row["limit"], "met": row["met"]}
        found.setdefault(row["work"], {})[row["threads"]] = entry
    return found


def estimators_table(estimators: Found) -> str:
    """Markdown: our time and how many times as fast it is as scikit-learn's, beside what is wanted of that."""
    works = speedups(estimators)
    counts = sorted({threads for entries in works.values() for threads in entries})
    names = [f"{threads} thread{'s'[: threads > 1]}" for threads in counts]
    lines = [
        f"| work | {' | '.join(f'{OURS}, {name} | times as fast | wanted' for name in names)} |",
        "| --- |" + " ---: | ---: | ---: |" * len(counts),
    ]
    for work, entries in works.items():
        cells = " | ".join(_speedup(entries.get(threads)) for threads in counts)
        lines.append(f"| {work} | {cells} |")
    judged = [entry["met"] for entries in works.values() for entry in entries.values() if entry["met"] is not None]
    named = ", ".join(f"{name} {estimators['versions'][name]}" for name in BELOW_ESTIMATORS)
    text = (
        "How many times as fast as scikit-learn on the same number of threads, by medians of rounds that alternate"
        f" between the two, and how fast we want to be; **bold** where that is missed ({judged.count(False)} of"
        f" {len(judged)}). {drawings.conditions(estimators)}. {named}."
    )
    return "\n".join([text, "", *lines])


def _speedup(entry: Found | None) -> str:
    if entry is None:
        return "– | – | –"
    shown = drawings.short(entry["ratio"])
    missed = entry["met"] is False or entry["ratio"] < 1
    return f"{duration(entry['seconds'])} | {f'**{shown}**' if missed else shown} | {entry['limit'] or '–'}"


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
        if facts["side"] == OURS and facts["dtype"] == "float32" and facts["flop"]:
            seconds = benchmark["stats"]["median"]
            yield {"name": facts["op"], "flop": facts["flop"], "bytes": facts["bytes"], "seconds": seconds}


def pictures(
    bars: Found | None, grid: Found | None, series: Found | None, kernels: Found | None, estimators: Found | None
) -> Iterator[tuple[str, Any]]:
    """Name and figure of all whose JSON is there."""
    if bars:
        times = times_of(bars)
        ratios = ratios_of(times)
        yield "speed", drawings.speed(bars, list(times), _present(ratios), ratios)
    if kernels and kernels["machine_info"]["limits"]["fma"]:
        info = kernels["machine_info"]
        yield "roofline", drawings.roofline(info["facts"], info["limits"], _kernel_points(kernels), _grid_points(grid))
    if grid:
        sizes, ratios_by_product, speeds = cubes(grid)
        yield "grid", drawings.grid(grid, sizes, ratios_by_product)
        yield "grid-speed", drawings.grid_speed(grid, sizes, speeds)
    if series:
        yield "scaling", drawings.scaling(series, series["rows"])
    if estimators:
        yield "estimators", drawings.estimators(estimators, speedups(estimators))


def write_picture(figure: Any, path: Path) -> None:
    """As PNG with 128 colours: a third of the size; rare colours are kept, and no line or letter needs more."""
    from PIL import Image

    with io.BytesIO() as buffer:
        figure.savefig(buffer, format="png", dpi=120)
        Image.open(buffer).convert("RGB").quantize(128, Image.Quantize.MAXCOVERAGE).save(path, optimize=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--results", type=Path, default=ROOT / "bench" / "results")
    parser.add_argument("--figures", type=Path, default=ROOT / "docs" / "figures")
    parser.add_argument("--readme", type=Path, default=ROOT / "README.md")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "moving-from-scikit-learn.md")
    arguments = parser.parse_args()
    arguments.figures.mkdir(parents=True, exist_ok=True)
    found = {name: _read(arguments.results, f"{name}.json") for name in ("bars", "grid", "series", "kernels")}
    one, two = (_read(arguments.results, f"estimators-{threads}.json") for threads in (1, 2))
    found["estimators"] = both_counts(one, two) if one and two else None
    for name, figure in pictures(**found):
        path = arguments.figures / f"{name}.png"
        write_picture(figure, path)
        size = path.stat().st_size
        print(f"written: {path} ({size / 1e3:.0f} kB{', heavy' if size > HEAVY else ''})")
    pages = (("bars", arguments.readme, table), ("estimators", arguments.page, estimators_table))
    for name, page, text in pages:
        if measured := found[name]:
            page.write_text(with_table(page.read_text("utf-8"), text(measured)), "utf-8")
            print(f"written: {page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
