"""What the environment forces is what runs: a suite under FASTNN_ISA=avx2 that ran AVX-512 would prove nothing."""

import os
import subprocess
import sys

import numpy as np
import pytest

import fastnn
from fastnn import _core

SHOW = "from fastnn import _core; print(_core.isa(), _core.gemm(), _core.denormals(), _core.num_threads())"
CHOICES = [
    *({"FASTNN_ISA": isa} for isa in _core.available_isas()),
    *({"FASTNN_GEMM": gemm} for gemm in ("auto", "own", "blas")),
    *({"FASTNN_DENORMALS": mode} for mode in ("flush", "keep")),
    *({"FASTNN_NUM_THREADS": str(n)} for n in (1, 2, 7)),
]


def test_this_process_runs_what_its_environment_says() -> None:
    in_force = {
        "isa": _core.isa(),
        "gemm": _core.gemm(),
        "denormals": _core.denormals(),
        "threads": str(_core.num_threads()),
    }
    for choice, variable in fastnn.config.VARIABLES.items():
        if choice == "cpu":  # facts, not a name: tests/test_facts.py
            continue
        assert os.environ.get(variable) in (None, "", in_force[choice])


@pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: "=".join(*choice.items()))
def test_a_process_runs_what_its_environment_says(choice: dict[str, str]) -> None:
    run = subprocess.run(
        [sys.executable, "-c", SHOW], env={**os.environ, **choice}, capture_output=True, text=True, check=True
    )
    assert set(choice.values()) <= set(run.stdout.split())


@pytest.mark.parametrize("text", ["1e3", "0", "two", "9" * 5000])
def test_a_number_of_threads_that_is_none(text: str) -> None:
    environment = {**os.environ, "FASTNN_NUM_THREADS": text}
    run = subprocess.run([sys.executable, "-c", SHOW], env=environment, capture_output=True, text=True, check=False)
    message = run.stderr.splitlines()[-1]
    assert message.startswith(f"ImportError: FASTNN_NUM_THREADS={text}: ")
    assert "wanted an integer from 1 to 256" in message or "wanted at least 1, got 0" in message


@pytest.mark.skipif(len(_core.available_isas()) < 2, reason="this CPU has one instruction set")
def test_instruction_sets_are_different_code() -> None:
    """They round differently somewhere: equal bits of all would mean that one of them stands for all."""
    z = np.random.default_rng(0).uniform(-5, 5, 10_000).astype(np.float32)
    found = []
    for isa in _core.available_isas():
        with fastnn.isa(isa):
            found.append(fastnn.kernels.gelu_forward(z))
    assert not (found[0] == found[-1]).all()
