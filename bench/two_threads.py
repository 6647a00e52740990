"""Training steps on two threads beside our own on one, and whether both give the same bits. No timing here."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace

import numpy as np
import races
from peers import OURS, STEPS
from threadpoolctl import ThreadpoolController
from workloads import Workload

import fastnn
from fastnn import _core

BAR = "V11"  # of bench/bars.py
ONE = "fastnn, one thread"
BITS = "same bits as on one"
BESIDE = ", beside rivals"
TAKEN = ", one CPU taken"


def scaling(workload: Workload) -> races.Race:
    """Ours twice. Timed before a rival is imported: its threads wait by spinning, and so take our second CPU."""
    whole = races.step(workload)

    def make(sides: Collection[str]) -> tuple[races.Lineup, dict[str, str]]:
        return {OURS: STEPS[OURS](workload, "float32"), ONE: STEPS[OURS](workload, "float32")}, {}

    return replace(whole, sides=(OURS, ONE), make=make)


def taken(workload: Workload) -> races.Race:
    """Ours twice, to be timed inside `a_cpu_taken`."""
    whole = scaling(workload)
    return replace(whole, name=whole.name + TAKEN)


@contextlib.contextmanager
def a_cpu_taken() -> Iterator[None]:
    """Another process that is always busy, on the last of our CPUs where a process can be told to stay on one."""
    code = "import os, sys\ngetattr(os, 'sched_setaffinity', max)(0, {max(map(int, sys.argv[1:]))})\nwhile True: pass"
    cpus = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else {0}
    process = subprocess.Popen([sys.executable, "-c", code, *map(str, cpus)])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def race(workload: Workload) -> races.Race:
    """Ours and the rivals; what `switch` returns has to be called before each of them."""
    whole = races.step(workload)
    return replace(whole, name=whole.name + BESIDE, sides=(OURS, "JAX", "PyTorch"))


def switch() -> Callable[[str], None]:
    """Sets our threads, and those of the BLAS that large layers go to, for a contender by name."""
    controller = ThreadpoolController()

    def before(name: str) -> None:
        n = 1 if name == ONE else 2
        _core.set_num_threads(n)
        controller.limit(limits=n, user_api="blas")

    return before


def same_bits(workload: Workload, *, deterministic: bool) -> bool:
    """Whether a few steps on two threads leave the parameters that they leave on one."""
    X, y = workload.data("float32")
    before, found = switch(), []
    for name in (ONE, OURS):
        before(name)
        net = fastnn.MLP(workload.sizes, workload.activation, workload.output, seed=0, deterministic=deterministic)
        optimizer = workload.optimizer()
        for _ in range(3):
            net.train_step(X, y, optimizer)
        found.append(net.parameters.copy())
    return np.array_equal(*found)
