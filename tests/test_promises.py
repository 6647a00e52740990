"""docs/promises.md: each promise names tests that exist, and its table of errors says what is measured."""

import ast
import re
from pathlib import Path

import pytest

from fastnn import kernels
from fastnn.reference import ACTIVATIONS

TESTS = Path(__file__).resolve().parent
PAGE = TESTS.parent / "docs" / "promises.md"
# By how much another compiler's order of operations may raise a worst error, in units of the last place.
SLACK = 0.5

pytestmark = pytest.mark.skipif(not PAGE.is_file(), reason="docs/ is not beside the tests")


def tables(header: str) -> list[list[str]]:
    """The cells of all rows below headers that begin so."""
    found, inside = [], False
    for line in PAGE.read_text("utf-8").splitlines():
        inside = line.startswith(header) or (inside and line.startswith("|"))
        if inside and not line.startswith((header, "| ---")):
            found.append([cell.strip() for cell in line.strip("|").split("|")])
    return found


def names(text: str) -> set[str]:
    return set(re.findall(r"`(\w+\.py::\w+)`", text))


def test_every_named_test_exists() -> None:
    there = {
        f"{path.name}::{node.name}"
        for path in TESTS.glob("test_*.py")
        for node in ast.parse(path.read_text("utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }
    assert names(PAGE.read_text("utf-8")) - there == set()


def test_every_promise_has_a_test() -> None:
    rows = tables("| promise | test |")
    assert len(rows) > 30
    for promise, *cells in rows:
        assert len(cells) == 1, promise
        # Nothing but names, so that a misspelt one does not pass for prose.
        assert cells[0].split(", ") == [f"`{name}`" for name in re.findall(r"\w+\.py::\w+", cells[0])], promise
        assert names(cells[0]), promise


def test_errors_are_no_larger_than_the_table_says(isa: str, dtype: str) -> None:
    pytest.importorskip("mpmath", reason="mpmath is not installed")
    import test_ulp
    from oprecord import ULPS

    lines = PAGE.read_text("utf-8").splitlines()
    header = next(line for line in lines if line.startswith("| activation |"))
    columns = [cell.strip() for cell in header.strip("|").split("|")]
    if f"{dtype}, {isa}" not in columns:
        pytest.skip(f"the table has no column for {isa}")
    column = columns.index(f"{dtype}, {isa}")
    said = {row[0]: float(row[column]) for row in tables("| activation |")}
    assert set(said) == set(ACTIVATIONS)
    for name, figure in said.items():
        assert figure <= ULPS, name
        if name in test_ulp.ELEMENTWISE:
            assert test_ulp.measured(kernels, name, dtype)[0].max() <= figure + SLACK, name
