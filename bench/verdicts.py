"""What is asked of a ratio, the lines that say whether it is so, and the rows of the JSON. Times nothing."""

import os
from collections.abc import Iterable, Mapping
from typing import Any

import environment
from peers import OURS
from races import COPY, STREAM

from fastnn import _core
from fastnn.bench import duration

# A bar's condition: our time over the rival's at most, the rival's over ours at least, or our seconds at most.
Limit = tuple[str, float]
Limits = dict[str, Limit]
Rows = list[dict[str, Any]]
# Not rivals but measures: less than their time is what counts.
MEASURES = ("products", COPY, STREAM)


def opening(facts: Mapping[str, Any], *more: str) -> None:
    """Prints versions, machine and the head of the columns."""
    print(" ".join(f"{name} {number}" for name, number in facts["versions"].items()))
    known = f"{facts['isa']}, {facts['threads']} thread(s)", *more, f"load {facts['load']:.2f}"
    print(f"{facts['cpu']}; {', '.join(known)}")
    print(f"     {'':20}{'median':>12}{'ratio':>9}  bar")


def report(bar: str, work: str, times: Mapping[str, float], limits: Limits, share: str = "") -> Rows:
    """Prints a block of lines; ratio is ours/theirs where a bar asks "at most", theirs/ours elsewhere."""
    ours = times[OURS]
    print(f"\n{bar:4} {work}")
    rows = []
    for name, seconds in times.items():
        limit = limits.get(name)
        text, met = _judge(ours, seconds, limit) if limit else ("", None)
        at_most = (limit and limit[0] == "<=") or name in MEASURES
        ratio = ours / seconds if at_most else seconds / ours
        shown = "" if name == OURS else f"{ratio:.2f}"
        verdict = "" if met is None else "met" if met else "MISSED"
        print(f"     {name:20}{duration(seconds):>12}{shown:>9}  {text:10} {verdict:7}{share if name == OURS else ''}")
        row = {"bar": bar, "work": work, "side": name, "threads": environment.threads(), "seconds": seconds}
        rows.append({**row, "limit": text or None, "met": met})
    return rows


def _judge(ours: float, rival: float, limit: Limit) -> tuple[str, bool]:
    """How the bar reads, and whether it is met; with AVX2 within a tenth of what AVX-512 has to reach."""
    kind, value = limit
    if _core.isa() == "avx2":
        value = value / 1.1 if kind == ">=" else value * 1.1
    if kind == "s":
        return f"≤ {duration(value)}", ours <= value
    met = ours / rival <= value if kind == "<=" else rival / ours >= value
    return f"{'≤' if kind == '<=' else '≥'} {value:.3g} ×", met


def closing(rows: Iterable[Mapping[str, Any]]) -> None:
    """Prints how many bars were met and missed."""
    met = [row["met"] for row in rows]
    print(f"\n{met.count(True)} met, {met.count(False)} missed; load at the end {os.getloadavg()[0]:.2f}")
