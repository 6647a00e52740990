"""README's speed tables: they are what bench/figures.py makes of the committed measurements, losses included."""

import json
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
BARS = ROOT / "bench" / "results" / "bars.json"

pytestmark = pytest.mark.skipif(not BARS.is_file(), reason="bench/results is not beside the tests")


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    pytest.importorskip("matplotlib", reason="the plot extra is not installed")
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    import figures

    return figures


@pytest.fixture
def bars() -> dict:
    row = {"bar": "V1", "work": "step", "threads": 1, "limit": None, "met": None}
    sides = {"fastnn": 2e-3, "NumPy": 3e-3, "JAX": 1e-3}
    facts = {"cpu": "a CPU", "isa": "avx2", "threads": 1, "date": "2026-01-01", "versions": {"numpy": "2.0"}}
    return {**facts, "rows": [{**row, "side": side, "seconds": seconds} for side, seconds in sides.items()]}


def test_readme_holds_the_committed_measurements(figures: ModuleType) -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert figures.with_table(readme, figures.table(json.loads(BARS.read_text("utf-8")))) == readme


def test_losses_are_bold_and_counted(figures: ModuleType, bars: dict) -> None:
    text = figures.table(bars)
    assert "| step | 2.00 ms | 1.50 | **0.50** |" in text
    assert "1 of 2" in text
    assert "a CPU" in text


def test_both_ways_into_onnxruntime_count_as_the_faster_one(figures: ModuleType, bars: dict) -> None:
    for side, seconds in (("onnxruntime", 8e-3), ("onnxruntime bound", 6e-3)):
        bars["rows"].append({**bars["rows"][0], "side": side, "seconds": seconds})
    assert figures.times_of(bars)["step"]["onnxruntime"] == 6e-3


def test_two_threads_are_a_table_of_their_own(figures: ModuleType, bars: dict) -> None:
    row = {"bar": "V11", "work": "step", "threads": 2, "limit": None, "met": False}
    sides = {"fastnn": 1e-3, "fastnn, one thread": 1.5e-3, "same bits as on one": None}
    bars["rows"] += [{**row, "side": side, "seconds": seconds} for side, seconds in sides.items()]
    assert figures.times_of(bars)["step"]["fastnn"] == 2e-3
    assert "| step | 1.00 ms | 1.50 | only with `deterministic=True` |" in figures.table(bars)


def test_a_readme_without_a_place_is_refused(figures: ModuleType) -> None:
    with pytest.raises(SystemExit, match="no place for the table"):
        figures.with_table("# a README", "a table")


def test_best_possible_choice_of_product_is_a_ratio_of_one(figures: ModuleType) -> None:
    columns = ["product", "B", "I", "O", "auto", "own", "blas"]
    grid = {"columns": columns, "rows": [["forward", 2, 2, 2, 2e-6, 4e-6, 2e-6]]}
    sizes, ratios, speeds = figures.cubes(grid)
    assert sizes == [2]
    assert ratios["forward"][0, 0, 0] == 1
    assert speeds["forward"][0, 0, 0] == pytest.approx(16 / 2e-6 / 1e9)
