"""Builds the package for finding errors and runs tests on it, in a temporary copy.

python tools/sanitize.py address   memory errors and undefined behaviour (gcc's libraries), on a selection of the tests
python tools/sanitize.py thread    data races in the thread pool and the gate: tools/races.c, without Python
python tools/sanitize.py debug     every index and None checked by Cython, C without optimisation: all tests

Further arguments go to pytest. What is chosen otherwise is in TESTS.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# The build's products, and what git, environments and tools keep.
IGNORED = shutil.ignore_patterns(".*", "build", "dist", "*.so", "*.a", "*.o", "*.egg-info", "__pycache__", "venv")
# Python is built with -fwrapv, under which an overflow is no error.
SANITIZE = "-fsanitize=address,undefined,float-cast-overflow -fno-sanitize-recover=all -fno-wrapv"
CFLAGS = {"address": f"-O1 -g {SANITIZE}", "debug": "-O1 -g -UNDEBUG"}
# What runs C code on arrays that tests shape. Not here: what does little but start processes or build (test_cimport,
# _cli, _demo, _processes, _sklearn_memory), measures time or memory (test_bench, _float_environment, _leaks), or is
# mostly Python.
ADDRESS_TESTS = (
    "kernels arrays bad_input hostile properties network_properties sizes narrow random threads mlp mlp_copies optim "
    "fit callbacks gradients io"
)
TESTS = {"address": [f"tests/test_{name}.py" for name in ADDRESS_TESTS.split()], "debug": ["tests"]}


def library(name: str) -> str:
    """Where gcc keeps a library."""
    path = subprocess.check_output(["gcc", f"-print-file-name={name}"], text=True).strip()
    if not os.path.isabs(path):
        sys.exit(f"{name} is missing: wanted gcc and its sanitizer libraries")
    return os.path.realpath(path)


def build(mode: str, copy: Path, environment: dict[str, str]) -> None:
    """The extension modules, in place; what is run is the copy, not an installed package."""
    shutil.copytree(ROOT, copy, ignore=IGNORED)
    settings = {**environment, "CC": "gcc", "CFLAGS": CFLAGS[mode], "FASTNN_DEBUG": "1"}
    command = [sys.executable, "setup.py", "-q", "build_clib", "build_ext", "--inplace"]
    subprocess.run(command, cwd=copy, env=settings, check=True)


def run_tests(mode: str, copy: Path, arguments: list[str]) -> int:
    """Build, then pytest."""
    environment = {**os.environ, "PYTHONPATH": str(copy)}
    build(mode, copy, environment)
    if mode == "address":
        # The library must come first in the process; that of C++ with it, whose exceptions it intercepts. Python's own
        # allocator hides overruns.
        environment["LD_PRELOAD"] = f"{library('libasan.so')} {library('libstdc++.so')}"
        environment["PYTHONMALLOC"] = "malloc"
        # Python does not free all that it has at its end. An allocation that is refused is NULL, as usual.
        environment["ASAN_OPTIONS"] = "detect_leaks=0:allocator_may_return_null=1:detect_stack_use_after_return=1"
        environment["UBSAN_OPTIONS"] = "print_stacktrace=1"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    # Sanitizers write to the file descriptor and end the process: pytest must not hold that back.
    command += ["--capture=sys", *(arguments or TESTS[mode])]
    return subprocess.run(command, cwd=copy, env=environment).returncode


def run_races(folder: Path) -> int:
    """The C program under ThreadSanitizer; and under the others, which let the children of a fork have threads too."""
    sources = [ROOT / "tools/races.c", ROOT / "src_c/pool.c", ROOT / "src_c/gate.c"]
    flags = ["-std=c11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-pthread", f"-I{ROOT}/src_c"]
    environment = {**os.environ, "TSAN_OPTIONS": "die_after_fork=0", "ASAN_OPTIONS": "detect_leaks=0"}
    codes = []
    for sanitizers in ("-fsanitize=thread", SANITIZE):
        program = folder / f"races{len(codes)}"
        subprocess.run(["gcc", *flags, *sanitizers.split(), *map(str, sources), "-o", program], check=True)
        codes.append(subprocess.run([program], env=environment).returncode)
    return max(map(abs, codes))


def main() -> int:
    if len(sys.argv) < 2 or sys.argv[1] not in ("address", "thread", "debug"):
        sys.exit(__doc__)
    mode, *arguments = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        if mode == "thread":
            return run_races(Path(folder))
        return run_tests(mode, Path(folder) / "copy", arguments)


if __name__ == "__main__":
    sys.exit(main())
