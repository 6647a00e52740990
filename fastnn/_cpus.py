"""How many CPUs this process may use, and how many threads it starts with: what affinity, quotas and settings leave."""

import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

# What joblib sets in its workers, to share the CPUs out among them, and users for all libraries at once.
SHARED_SETTINGS = ("OMP_NUM_THREADS", "OMP_THREAD_LIMIT")


def default_threads(environment: Mapping[str, str], cpus: int) -> int:
    """One for each CPU, unless libraries are told to keep to fewer; what is no number there they complain about."""
    limits = [cpus]
    for name in SHARED_SETTINGS:
        first = environment.get(name, "").partition(",")[0].strip()  # OpenMP has one for each level of nesting
        if first.isascii() and first.isdecimal() and len(first) < 10:
            limits.append(max(1, int(first)))
    return min(limits)


def cpu_count(root: Path = Path("/")) -> int:
    """CPUs by affinity, and not more than the quota of time of the control groups pays for, rounded up.

    Parameters
    ----------
    root : Path
        Where the folders ``proc`` and ``sys`` are.
    """
    try:
        allowed = len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        allowed = os.cpu_count() or 1
    quotas = [allowed, *(max(1, math.ceil(quota)) for folder in _groups(root) for quota in _quota(folder))]
    return min(quotas)


def _groups(root: Path) -> Iterator[Path]:
    """The control groups of this process that count CPU time, and those around them."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, group = line.split(":", 2)
        mounted = root / "sys/fs/cgroup"
        if controllers:  # version 1, with a tree for each set of controllers
            if "cpu" not in controllers.split(","):
                continue
            mounted /= "cpu"
        # A container may see a tree that begins at its own group: there the path leads nowhere, and the root counts.
        place = mounted / group.lstrip("/")
        yield from (folder for folder in (place, *place.parents) if folder.is_relative_to(mounted))


def _quota(folder: Path) -> Iterator[float]:
    """CPUs' worth of time, if the group has a limit."""
    text = _read(folder / "cpu.max") or _read(folder / "cpu.cfs_quota_us") + _read(folder / "cpu.cfs_period_us")
    match text.split():
        case [quota, period] if quota.isdecimal() and period.isdecimal() and int(period) > 0:
            yield int(quota) / int(period)


def _read(path: Path) -> str:
    try:
        return path.read_text("ascii", "replace")
    except OSError:
        return ""
