"""Rewrite the table of worst errors in docs/promises.md: each activation on every instruction set.

``python tools/measure_ulp.py`` measures the kernels that are installed, on the arguments and against the truths of
tests/test_ulp.py. Run it after a change to the arithmetic; a CPU that lacks one of the instruction sets is refused.
"""

import math
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import test_ulp  # noqa: E402 - found by the line above

from fastnn import config, kernels  # noqa: E402
from fastnn._core import available_isas  # noqa: E402

PAGE = ROOT / "docs" / "promises.md"
BEGIN, END = "<!-- errors: made by tools/measure_ulp.py -->", "<!-- end -->"
DTYPES, ISAS = ("float32", "float64"), ("base", "avx2", "avx512")


def worst(name: str, dtype: str) -> float:
    """Largest error of an activation with the instruction set in force, in units of the last place, rounded up."""
    if name == "softmax":
        rows = (row for scale in test_ulp.SOFTMAX_SCALES for row in test_ulp.measured_softmax(kernels, scale, dtype))
        largest = max(float(np.max(errors)) for errors, _, _ in rows)
    else:
        largest = float(np.max(test_ulp.measured(kernels, name, dtype)[0]))
    return math.ceil(largest * 10) / 10


def table() -> str:
    """The table in Markdown: a row for each activation, a column for each dtype and instruction set."""
    lines = ["| activation | " + " | ".join(f"{dtype}, {isa}" for dtype in DTYPES for isa in ISAS) + " |"]
    lines.append("| --- |" + " ---: |" * (len(DTYPES) * len(ISAS)))
    for name in (*test_ulp.ELEMENTWISE, "softmax"):
        figures = []
        for dtype in DTYPES:
            for isa in ISAS:
                with config.isa(isa):
                    figures.append(f"{worst(name, dtype):.1f}")
        lines.append(f"| {name} | {' | '.join(figures)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure everything, then write."""
    if available_isas() != ISAS:
        raise SystemExit(f"wanted a CPU with {', '.join(ISAS)}, got {', '.join(available_isas())}")
    before, begin, rest = PAGE.read_text("utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"{PAGE.name}: no place for the table, between {BEGIN} and {END}")
    PAGE.write_text(f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}", "utf-8")


if __name__ == "__main__":
    main()
