"""What is asked of a ratio, the lines that say whether it is so, and the rows of the JSON. Times nothing."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import cpus
import environment
from peers import OURS
from races import COPY, STREAM, Race

from fastnn.bench import duration

# A bar's condition: our time over the rival's at most, the rival's over ours at least, or our seconds at most.
Limit = tuple[str, float]
# By side. That of SHARE is the least share of what the multiply-add units can do.
Limits = dict[str, Limit]
Rows = list[dict[str, Any]]
SHARE = "share of the limit"
# Not rivals but measures: less than their time is what counts.
MEASURES = ("products", COPY, STREAM, "train_step")


@dataclass(frozen=True)
class Measured:
    """Seconds a step by side, the share of the multiply-add limit that ours reached in the same run, who is missing."""

    times: dict[str, float]
    isa: str
    share: float | None = None
    limit: float | None = None  # operations a second of one thread
    absent: dict[str, str] = field(default_factory=dict)

    @property
    def reached(self) -> str:
        """The share in words; empty where it is unknown."""
        if not (self.share and self.limit):
            return ""
        threads = environment.threads()
        return f"{self.share:.0%} of {f'{threads} × ' * (threads > 1)}{self.limit / 1e9:.0f} GFLOP/s"


def opening(facts: Mapping[str, Any], *more: str) -> None:
    """Prints versions, machine and the head of the columns."""
    print(" ".join(f"{name} {number}" for name, number in facts["versions"].items()))
    known = f"{facts['isa']}, {facts['threads']} thread(s)", *more, f"load {facts['load']:.2f}"
    print(f"{cpus.title(facts['kind'])}: {facts['cpu']}; {', '.join(known)}")
    print(f"     {'':20}{'median':>12}{'ratio':>9}  bar")


def report(bar: str, race: Race, found: Measured, limits: Limits, note: str = "") -> Rows:
    """Prints a block of lines; ratio is ours/theirs where a bar asks "at most", theirs/ours elsewhere."""
    print(f"\n{bar:4} {race.name} ({cpus.title(cpus.kind())}, {found.isa}, {race.dtype})")
    rows = _judged(bar, race, found, limits)
    for row in rows:
        name, seconds = row["side"], row["seconds"]
        shown = duration(seconds) if seconds is not None else found.reached
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
        said = (note or found.reached) if name == OURS else ""
        print(f"     {name:20}{shown:>12}{ratio:>9}  {row['limit'] or '':10} {_verdict(row):7}{said}".rstrip())
    for side, reason in found.absent.items():
        print(f"     {side:20}{'left out':>12}           {reason}")
    return rows


def report_line(bar: str, race: Race, found: Measured, limits: Limits) -> Rows:
    """The same in one line, for bars of many shapes: our time and share, rivals' times and ratios, what is missed."""
    rows = _judged(bar, race, found, limits)
    ours, *others = (row for row in rows if row["side"] != SHARE)
    beside = [f"{row['side']} {duration(row['seconds'])} ({row['ratio']:.2f})" for row in others]
    beside += [f"left out: {side} ({reason})" for side, reason in found.absent.items()]
    missed = [f"{row['side']} {row['limit']}" for row in rows if row["met"] is False]
    verdict = f"MISSED: {', '.join(missed)}" if missed else "met" if any(row["met"] for row in rows) else ""
    known = f"{race.name:36} {race.dtype} {found.isa:7}{duration(ours['seconds']):>12}"
    print(f"{bar:4} {known}  {found.reached:20}  {'  '.join([*beside, verdict])}".rstrip())
    return rows


def _judged(bar: str, race: Race, found: Measured, limits: Limits) -> Rows:
    """A row a side; one more for the share where a bar asks for it."""
    ours = found.times[OURS]
    rows: Rows = []
    common = {"bar": bar, "work": race.name, "threads": environment.threads(), "isa": found.isa, "dtype": race.dtype}
    for name, seconds in found.times.items():
        limit = limits.get(name)
        text, met = _judge(ours, seconds, limit, found.isa) if limit else (None, None)
        at_most = (limit and limit[0] == "<=") or name in MEASURES
        ratio = None if name == OURS else ours / seconds if at_most else seconds / ours
        row = {**common, "side": name, "seconds": seconds, "ratio": ratio, "limit": text, "met": met}
        rows.append({**row, "share": found.share, "fma_limit": found.limit} if name == OURS else row)
    if SHARE in limits and found.share:
        least = limits[SHARE][1]
        judged = {"ratio": None, "limit": f"≥ {least:.0%}", "met": found.share >= least}
        rows.append({**common, "side": SHARE, "seconds": None, **judged})
    return rows


def _judge(ours: float, rival: float, limit: Limit, isa: str) -> tuple[str, bool]:
    """How the bar reads, and whether it is met; with AVX2 within a tenth of what AVX-512 has to reach."""
    kind, value = limit
    if isa == "avx2":
        value = value / 1.1 if kind == ">=" else value * 1.1
    if kind == "s":
        return f"≤ {duration(value)}", ours <= value
    met = ours / rival <= value if kind == "<=" else rival / ours >= value
    return f"{'≤' if kind == '<=' else '≥'} {value:.3g} ×", met


def _verdict(row: Mapping[str, Any]) -> str:
    return "" if row["met"] is None else "met" if row["met"] else "MISSED"


def closing(rows: Iterable[Mapping[str, Any]]) -> None:
    """Prints how many bars were met and missed."""
    met = [row["met"] for row in rows]
    print(f"\n{met.count(True)} met, {met.count(False)} missed; load at the end {os.getloadavg()[0]:.2f}")
