"""The Markdown tables of README and docs, from what the other scripts measured. Each takes the JSON by CPU's title.

Rows of the same work on several CPUs stand below each other, so that columns can be compared; what is slower than a
rival, or misses what is asked, is bold.
"""

import statistics
from collections.abc import Iterable, Mapping
from typing import Any

from fastnn.bench import duration

OURS, SKLEARN = "fastnn", "scikit-learn"
# Those that README's table and the bars show; both ways into onnxruntime count as the faster one. "products" are the
# matrix products of a step alone, by NumPy's BLAS: no rival, but a step that beats them has nothing left to save.
RIVALS = ("products", "NumPy", "JAX", "JAX scan", "PyTorch", "PyTorch compiled", SKLEARN, "onnxruntime")
SHOWN = ("V1", "V2", "V3", "V4", "V5", "V8", "V6", "V7", "V16", "V9", "V10")
WIDTHS, PRODUCTS = "V14", "V15"
BITS, ONE, BESIDE, TAKEN = "same bits as on one", "fastnn, one thread", ", beside rivals", ", one CPU taken"
SHARE = "share of the limit"
# What the estimators' speed depends on; the others in the JSON are rivals elsewhere.
BELOW_ESTIMATORS = ("python", "fastnn", "numpy", "scipy", SKLEARN)

Found = dict[str, Any]
ByCpu = Mapping[str, Found]


def conditions(title: str, facts: Mapping[str, Any], *more: str) -> str:
    """The line below a picture, and above a table: which machine, when, how."""
    threads = f"{facts['threads']} thread{'' if facts['threads'] == 1 else 's'}"
    known = [f"{title}: {facts['cpu']}" if title != facts["cpu"] else title, facts["isa"], threads]
    return "; ".join([*known, facts.get("dtype", "float32"), *more, facts["date"]])


def short(ratio: float) -> str:
    """Two digits, or more before the point."""
    return f"{ratio:.0f}" if ratio >= 9.95 else f"{ratio:.1f}" if ratio >= 1.995 else f"{ratio:.2f}"


def title_of(side: str) -> str:
    """A side's name where there is no more said about it."""
    return "products alone" if side == "products" else side


def _markdown(head: list[str], rows: Iterable[list[str]], words: int = 1) -> str:
    """A table whose first columns are words and whose others are numbers; a CPU's column only where there are two."""
    aligned = ["---"] * words + ["---:"] * (len(head) - words)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, aligned, *rows))


def _headed(measured: ByCpu, first: str, *more: str) -> tuple[list[str], int]:
    """Names of the columns, and how many of them are words."""
    return ([first, "CPU", *more], 2) if len(measured) > 1 else ([first, *more], 1)


def _row(measured: ByCpu, work: str, cpu: str, cells: list[str]) -> list[str]:
    return [work, cpu, *cells] if len(measured) > 1 else [work, *cells]


def _ratio(ratio: float | None) -> str:
    if ratio is None:
        return "–"
    return f"**{short(ratio)}**" if ratio < 1 else short(ratio)


def _bold(text: str, missed: bool) -> str:
    return f"**{text}**" if missed else text


def _measured_on(measured: ByCpu, versions: Iterable[str] | None = None) -> str:
    """Machine, date and versions, for each CPU."""
    lines = []
    for cpu, facts in measured.items():
        known = facts["versions"]
        named = ", ".join(f"{n} {known[n]}" for n in versions or known if known[n] != "absent")
        lines.append(f"{conditions(cpu, facts)}. {named}.")
    return " ".join(lines)


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


def present(ratios: Iterable[Iterable[tuple[str, str]]]) -> list[str]:
    """Rivals that are in one of the files at all."""
    sides = {side for one in ratios for _, side in one}
    return [rival for rival in RIVALS if rival in sides]


def works_of(times: Iterable[Mapping[str, Any]]) -> list[str]:
    """Those of any CPU, in the order of the first that has them."""
    return list(dict.fromkeys(work for one in times for work in one))


def _shares(bars: Found) -> dict[str, float]:
    """Of the multiply-add limit, by work; empty for files that are older than the figure."""
    return {row["work"]: row["share"] for row in bars["rows"] if row["bar"] in SHOWN and row.get("share")}


def speed(measured: ByCpu) -> str:
    """Markdown: our time, its share of the limit, and a rival's time over ours; losses are set in bold."""
    times = {cpu: times_of(bars) for cpu, bars in measured.items()}
    ratios = {cpu: ratios_of(one) for cpu, one in times.items()}
    shares = {cpu: _shares(bars) for cpu, bars in measured.items()}
    rivals, with_share = present(ratios.values()), any(shares.values())
    head, words = _headed(measured, "work", OURS, *[SHARE] * with_share, *map(title_of, rivals))
    rows = []
    for work in works_of(times.values()):
        for cpu in (cpu for cpu in measured if work in times[cpu]):
            share = shares[cpu].get(work)
            cells = [duration(times[cpu][work][OURS]), *[f"{share:.0%}" if share else "–"] * with_share]
            cells += [_ratio(ratios[cpu].get((work, rival))) for rival in rivals]
            rows.append(_row(measured, work, cpu, cells))
    every = [ratio for one in ratios.values() for ratio in one.values()]
    limit = f" The {SHARE}: of what the multiply-add units do in the same run." if with_share else ""
    text = (
        "How many times as fast as each rival, by medians of rounds that alternate between them;"
        f" **bold** where we are slower ({sum(ratio < 1 for ratio in every)} of {len(every)}), – where a rival does"
        f" not do this.{limit} {_measured_on(measured)}"
    )
    return f"{text}\n\n{_markdown(head, rows, words)}\n"


def two_threads(measured: ByCpu) -> str:
    """Markdown of the bar that compares two threads with one and with rivals; empty where it was not measured."""
    found = {cpu: _by_work(bars, "V11") for cpu, bars in measured.items()}
    alone = [work for work in works_of(found.values()) if not work.endswith((BESIDE, TAKEN))]
    if not alone:
        return ""
    beside = (sides for works in found.values() for work, sides in works.items() if work.endswith(BESIDE))
    rivals = list(dict.fromkeys(side for sides in beside for side in sides if side not in (OURS, SHARE)))
    head, words = _headed(measured, "on two threads", OURS, ONE, *rivals, BITS)
    rows = []
    for work in alone:
        for cpu in (cpu for cpu in measured if work in found[cpu]):
            sides, others = found[cpu][work], found[cpu].get(work + BESIDE, {})
            ratios = [sides[ONE]["seconds"] / sides[OURS]["seconds"]]
            ratios += [others[r]["seconds"] / others[OURS]["seconds"] if r in others else None for r in rivals]
            bits = "yes" if sides[BITS]["met"] else "only with `deterministic=True`"
            rows.append(_row(measured, work, cpu, [duration(sides[OURS]["seconds"]), *map(_ratio, ratios), bits]))
    return _markdown(head, rows, words) + "\n"


def _by_work(bars: Found, bar: str) -> dict[str, dict[str, Found]]:
    works: dict[str, dict[str, Found]] = {}
    for row in (row for row in bars["rows"] if row["bar"] == bar):
        works.setdefault(row["work"], {})[row["side"]] = row
    return works


# --- Share of the limit -----------------------------------------------------------------------------------------------


def shares_of(bars: Found, bar: str) -> dict[str, dict[tuple[str, str], tuple[float, bool]]]:
    """Share, and whether it misses what is asked, by work and by (instruction set, dtype)."""
    found: dict[str, dict[tuple[str, str], tuple[float, bool]]] = {}
    ours = [row for row in bars["rows"] if row["bar"] == bar and row.get("share")]
    judged = [row for row in bars["rows"] if row["bar"] == bar and row["side"] == SHARE]
    missed = {(row["work"], row["isa"], row["dtype"]) for row in judged if row["met"] is False}
    for row in ours:
        key = (row["isa"], row["dtype"])
        found.setdefault(row["work"], {})[key] = (row["share"], (row["work"], *key) in missed)
    return found


def limits(measured: ByCpu) -> str:
    """Markdown: the share of the multiply-add limit of steps of many widths; empty where it was not measured."""
    found = {cpu: shares_of(bars, WIDTHS) for cpu, bars in measured.items()}
    columns = [(cpu, key) for cpu, works in found.items() for key in works_of(works.values())]
    if not columns:
        return ""
    several = len(measured) > 1
    head = ["one thread, SGD", *(f"{f'{cpu}, ' * several}{isa}, {dtype}" for cpu, (isa, dtype) in columns)]
    rows, every = [], []
    for work in works_of(found.values()):
        cells = [found[cpu].get(work, {}).get(key) for cpu, key in columns]
        every += [cell for cell in cells if cell]
        rows.append([work, *(_bold(f"{cell[0]:.0%}", cell[1]) if cell else "–" for cell in cells)])
    missed = sum(missed for _, missed in every)
    text = f"The {SHARE} that whole steps reach; **bold** where it is less than we want ({missed} of {len(every)})."
    return f"{text}\n\n{_markdown(head, rows)}\n"


def products(measured: ByCpu) -> str:
    """Markdown: of single products by own kernels the share of the limit, and each BLAS beside them."""
    found: dict[str, dict[str, dict[str, list[float]]]] = {}  # by kind of product, CPU and side
    for cpu, bars in measured.items():
        for row in (row for row in bars["rows"] if row["bar"] == PRODUCTS and row["seconds"] is not None):
            kind = f"{row['work'].rstrip('0123456789 ×')}, {row['dtype']}, {row['isa']}"
            side, value = (SHARE, row["share"]) if row["side"] == OURS else (row["side"], row["ratio"])
            if value is not None:
                found.setdefault(kind, {}).setdefault(cpu, {}).setdefault(side, []).append(value)
    if not found:
        return ""
    sides = list(dict.fromkeys(side for cpus in found.values() for one in cpus.values() for side in one))
    head, words = _headed(measured, "products of a layer, one thread", *sides)
    rows = []
    for kind, cpus in found.items():
        for cpu, one in cpus.items():
            cells = [_spread(one.get(side, []), percent=side == SHARE) for side in sides]
            rows.append(_row(measured, kind, cpu, cells))
    text = (
        "Own kernels alone, all sizes at least 64: the least of the shapes and the median; how many times as fast as"
        " each BLAS."
    )
    return f"{text}\n\n{_markdown(head, rows, words)}\n"


def _spread(values: list[float], *, percent: bool) -> str:
    if not values:
        return "–"
    both = min(values), statistics.median(values)
    return ", ".join(f"{value:.0%}" if percent else _ratio(value) for value in both)


# --- Time to accuracy -------------------------------------------------------------------------------------------------


def accuracy(measured: ByCpu) -> str:
    """Markdown: our time until a goal, and how many times as fast we are there; in brackets the epochs it took."""
    found: dict[str, dict[str, dict[str, Found]]] = {}
    for cpu, one in measured.items():
        for row in one["rows"]:
            found.setdefault(cpu, {}).setdefault(row["work"], {})[row["side"]] = row
    if not found:
        return ""
    works = [sides for one in found.values() for sides in one.values()]
    rivals = list(dict.fromkeys(side for sides in works for side in sides if side != OURS))
    head, words = _headed(measured, "test digits right", OURS, *rivals)
    rows = []
    for work in works_of(found.values()):
        for cpu in (cpu for cpu in found if work in found[cpu]):
            sides = found[cpu][work]
            cells = [_reached(sides.get(side), sides[OURS]["seconds"]) for side in (OURS, *rivals)]
            rows.append(_row(measured, work, cpu, cells))
    seeds = max(row["seeds"] for sides in works for row in sides.values())
    text = (
        "Time to accuracy, and how many times as fast that is as each rival with the same network, start, optimiser and"
        f" batch, epochs in brackets; medians of {seeds} seeds, **bold** where we are slower. {_measured_on(measured)}"
    )
    return f"{text}\n\n{_markdown(head, rows, words)}\n"


def _reached(row: Found | None, ours: float | None) -> str:
    if row is None:
        return "–"
    if row["seconds"] is None:
        return "not reached"
    shown = duration(row["seconds"]) if row["side"] == OURS or ours is None else _ratio(row["seconds"] / ours)
    return f"{shown} ({row['epochs']:g})"


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


def estimators(measured: ByCpu) -> str:
    """Markdown: our time and how many times as fast it is as scikit-learn's, beside what is wanted of that."""
    found = {cpu: speedups(one) for cpu, one in measured.items()}
    entries = [by_threads for works in found.values() for by_threads in works.values()]
    counts = sorted({threads for by_threads in entries for threads in by_threads})
    columns = (f"{OURS}, {n} thread{'s'[: n > 1]} | times as fast | wanted".split(" | ") for n in counts)
    head, words = _headed(measured, "work", *(name for three in columns for name in three))
    rows = []
    for work in works_of(found.values()):
        for cpu in (cpu for cpu in measured if work in found[cpu]):
            cells = [cell for threads in counts for cell in _speedup(found[cpu][work].get(threads))]
            rows.append(_row(measured, work, cpu, cells))
    judged = [entry["met"] for by_threads in entries for entry in by_threads.values() if entry["met"] is not None]
    text = (
        "How many times as fast as scikit-learn on the same number of threads, by medians of rounds that alternate"
        f" between the two, and how fast we want to be; **bold** where that is missed ({judged.count(False)} of"
        f" {len(judged)}). {_measured_on(measured, BELOW_ESTIMATORS)}"
    )
    return f"{text}\n\n{_markdown(head, rows, words)}\n"


def _speedup(entry: Found | None) -> list[str]:
    if entry is None:
        return ["–"] * 3
    missed = entry["met"] is False or entry["ratio"] < 1
    return [duration(entry["seconds"]), _bold(short(entry["ratio"]), missed), entry["limit"] or "–"]
