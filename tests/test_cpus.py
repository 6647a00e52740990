"""The number of threads that a process starts with: affinity, quotas of control groups, settings of other libraries."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fastnn._cpus import cpu_count, default_threads

ALLOWED = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
two_cpus = pytest.mark.skipif(ALLOWED < 2, reason="this process may use one CPU only, which no quota can lower")


@pytest.mark.parametrize(
    ("environment", "threads"),
    [
        ({}, 8),
        ({"OMP_NUM_THREADS": "3"}, 3),
        ({"OMP_NUM_THREADS": " 3,2"}, 3),
        ({"OMP_NUM_THREADS": "64"}, 8),
        ({"OMP_NUM_THREADS": "0"}, 1),
        ({"OMP_NUM_THREADS": "4", "OMP_THREAD_LIMIT": "2"}, 2),
        *(({"OMP_NUM_THREADS": text}, 8) for text in ("", "many", "-1", "2.5", "\u0663", "9" * 5000)),
    ],
)
def test_settings_of_other_libraries(environment: dict[str, str], threads: int) -> None:
    assert default_threads(environment, 8) == threads


def root_with(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


V1, V2 = "5:memory:/m\n2:cpu,cpuacct:/box/inner\n", "0::/box/inner\n"
PERIOD = "cpu.cfs_period_us"


@two_cpus
@pytest.mark.parametrize(
    ("groups", "files", "cpus"),
    [
        (V2, {"box/inner/cpu.max": "max 100000\n"}, ALLOWED),
        (V2, {"box/inner/cpu.max": "50000 100000\n"}, 1),
        (V2, {"box/inner/cpu.max": "100001 100000\n"}, 2),
        (V2, {"box/cpu.max": "100000 100000\n", "box/inner/cpu.max": "max 100000\n"}, 1),
        (V2, {"cpu.max": "100000 100000\n"}, 1),
        (V2, {"elsewhere/cpu.max": "100000 100000\n"}, ALLOWED),
        (V2, {"cpu.max": "much\n"}, ALLOWED),
        (V1, {"cpu/box/inner/cpu.cfs_quota_us": "-1\n", f"cpu/box/inner/{PERIOD}": "100000\n"}, ALLOWED),
        (V1, {"cpu/box/inner/cpu.cfs_quota_us": "70000\n", f"cpu/box/inner/{PERIOD}": "100000\n"}, 1),
        (V1, {"cpu/cpu.cfs_quota_us": "70000\n", f"cpu/{PERIOD}": "100000\n"}, 1),
    ],
)
def test_quotas(tmp_path: Path, groups: str, files: dict[str, str], cpus: int) -> None:
    tree = {f"sys/fs/cgroup/{name}": text for name, text in files.items()}
    assert cpu_count(root_with(tmp_path, {"proc/self/cgroup": groups, **tree})) == cpus


def test_without_control_groups(tmp_path: Path) -> None:
    assert cpu_count(tmp_path) == ALLOWED


def test_a_process_starts_with_what_is_left() -> None:
    code = "from fastnn import _core; print(_core.num_threads())"
    for more, threads in (({"OMP_NUM_THREADS": "1"}, "1"), ({"OMP_NUM_THREADS": "1", "FASTNN_NUM_THREADS": "3"}, "3")):
        environment = {k: v for k, v in os.environ.items() if k != "FASTNN_NUM_THREADS"} | more
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == threads
