"""The arithmetic of the instruction guard; callgrind itself runs in CI."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

PATH = Path(__file__).parent.parent / "bench" / "instructions.py"

DUMP = """events: Ir
ob=(1) /usr/lib/libc.so.6
fn=(1) memcpy
12 100
ob=(2) /venv/fastnn/engine.cpython-311-x86_64-linux-gnu.so
fn=(2) step
5 7
+3 20
cob=(1)
cfn=(1)
calls=4 12
* 5000
-2 3
ob=(3) /venv/numpy/_core/engine.so
fn=(3) other
1 1000
ob=(2)
fn=(4) more
9 1
"""


@pytest.fixture
def guard() -> ModuleType:
    if not PATH.exists():
        pytest.skip("bench/ is not beside the tests")
    spec = importlib.util.spec_from_file_location("instructions", PATH)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_counts_own_instructions_without_callees(guard: ModuleType) -> None:
    assert guard.own_instructions(DUMP) == 7 + 20 + 3 + 1


def test_a_rise_beyond_the_slack_is_named(guard: ModuleType) -> None:
    stored = {"a": 100.0, "b": 100.0}
    assert guard.compare({"a": 102.9, "b": 50.0}, stored) == []
    (complaint,) = guard.compare({"a": 103.1, "b": 100.0}, stored)
    assert complaint.startswith("a: 103 instructions, +3.1%")
    assert "no stored figure" in guard.compare({"c": 1.0}, stored)[0]
