"""Guard against slowing down that noise cannot fool: instructions of a few fixed calls, counted by callgrind.

``python bench/instructions.py`` compares with the figures beside it and fails where one has risen by more than 3 %;
``python bench/instructions.py --renew`` writes them anew, for a change that is meant or a gain to keep.

Counted is what runs inside fastnn's own compiled modules, so that another Python, NumPy or BLAS does not matter; the
compiler does, so figures are kept per compiler and a compiler without figures is reported, not judged. On AVX2, the
widest that valgrind knows, and on one thread. Counts say nothing of caches or latency: a slower kernel may have fewer.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

FIGURES = Path(__file__).with_name("instructions.json")
SLACK = 0.03
# The child calls this libc function before and after each workload; callgrind writes and clears its counts there.
MARK = "getppid"
MODULES = re.compile(r"/fastnn/(_core|_blas|kernels|engine)\.[^/]*$")


def workloads() -> dict[str, tuple[Callable[[], object], int]]:
    """What is counted, and how often it is called."""
    import numpy as np

    import fastnn

    rng = np.random.default_rng(0)

    def step(sizes: list[int], rows: int, activation: str, output: str) -> Callable[[], object]:
        net, optimizer = fastnn.MLP(sizes, activation, output, seed=0), fastnn.SGD(0.01)
        X = rng.standard_normal((rows, sizes[0])).astype(np.float32)
        labels = rng.integers(0, sizes[-1], rows)
        y = labels if output == "softmax" else rng.integers(0, 2, (rows, 1)).astype(np.float32)
        return lambda: net.train_step(X, y, optimizer)

    net = fastnn.MLP([4, 64, 64, 2], output="softmax", seed=0)
    x, out = np.ones(4, np.float32), np.empty(2, np.float32)
    return {
        "step 784-100-100-10, batch 128": (step([784, 100, 100, 10], 128, "relu", "softmax"), 10),
        "step 4-64-64-2, batch 32": (step([4, 64, 64, 2], 32, "relu", "softmax"), 200),
        "step 2-4-1, batch 400": (step([2, 4, 1], 400, "tanh", "sigmoid"), 200),
        "one row through 4-64-64-2": (lambda: net.predict(x, out), 1000),
    }


def child() -> None:
    """Run every workload between two marks, after a warm-up."""
    for call, times in workloads().values():
        call()
        os.getppid()
        for _ in range(times):
            call()
        os.getppid()


def own_instructions(dump: str) -> int:
    """Instructions inside fastnn's modules in one of callgrind's files, those of their callees elsewhere left out."""
    names: dict[str, str] = {}
    total, inside, skip = 0, False, False
    for line in dump.splitlines():
        match = re.match(r"(c?ob)=\((\d+)\)(?: (.*))?$", line)
        if match:
            kind, number, name = match.groups()
            if name:
                names[number] = name
            if kind == "ob":
                inside = bool(MODULES.search(names[number]))
        elif line.startswith("calls="):
            skip = True  # the next line is what the callee cost
        elif re.match(r"[\d+*-]\S* \d+$", line):
            if inside and not skip:
                total += int(line.split()[1])
            skip = False
    return total


def count() -> dict[str, float]:
    """Instructions of one call of each workload."""
    environment = {
        **os.environ,
        "FASTNN_ISA": "avx2",
        # valgrind shows a CPU of its own, and what it shows depends on the machine.
        "FASTNN_CPU": "vendor=amd,family=25,model=17,l1=32K,l2=1M,l3=32M",
        "FASTNN_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONHASHSEED": "0",
    }
    with tempfile.TemporaryDirectory() as folder:
        tool = ["valgrind", "--tool=callgrind", f"--dump-before={MARK}", f"--callgrind-out-file={folder}/out"]
        command = [*tool, "--compress-strings=yes", sys.executable, __file__, "--child"]
        result = subprocess.run(command, env=environment, capture_output=True, text=True)
        if result.returncode:
            raise SystemExit(f"callgrind failed:\n{result.stderr[-2000:]}")
        counts = {}
        for number, (name, (_, times)) in enumerate(workloads().items()):
            # The first part of a pair ends with the warm-up, the second with the counted calls.
            counts[name] = own_instructions(Path(folder, f"out.{2 * number + 2}").read_text()) / times
    return counts


def compiler() -> str:
    """The C compiler that setup.py takes, without its build date: figures hold for it alone."""
    import sysconfig

    name = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    version = subprocess.run([name, "-dumpversion"], capture_output=True, text=True).stdout.strip()
    return f"{Path(name).name} {version.split('.')[0]}"


def compare(counts: dict[str, float], stored: dict[str, float]) -> list[str]:
    """A line for each figure that has risen beyond the slack, or that nothing is stored for."""
    complaints = []
    for name, now in counts.items():
        before = stored.get(name)
        if before is None:
            complaints.append(f"{name}: no stored figure; renew")
        elif now > before * (1 + SLACK):
            complaints.append(f"{name}: {now:,.0f} instructions, {now / before - 1:+.1%} against {before:,.0f}")
    return complaints


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--renew", action="store_true", help="write the figures of this build")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child()
        return 0
    if not shutil.which("valgrind"):
        print("valgrind is not installed")
        return 1
    figures = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    counts, cc = count(), compiler()
    stored = figures.get(cc, {})
    for name, now in counts.items():
        change = f"{now / stored[name] - 1:+.2%}" if name in stored else "new"
        print(f"{name:34} {now:14,.0f} instructions  {change}")
    if arguments.renew:
        figures[cc] = {name: round(now) for name, now in counts.items()}
        FIGURES.write_text(json.dumps(figures, indent=2) + "\n")
        return 0
    if not stored:
        print(f"no figures for {cc}, only for {', '.join(figures)}: nothing to compare with")
        return 0
    complaints = compare(counts, stored)
    print("\n".join(complaints) or f"within {SLACK:.0%} of the stored figures ({cc})")
    return 1 if complaints else 0


if __name__ == "__main__":
    raise SystemExit(main())
