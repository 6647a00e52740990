"""The speed tables of README and docs: what bench/figures.py makes of the committed measurements, losses included."""

import json
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"

pytestmark = pytest.mark.skipif(not RESULTS.is_dir(), reason="bench/results is not beside the tests")


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


@pytest.fixture
def estimators(bars: dict) -> tuple[dict, dict]:
    """On one and on two threads: one work whose bar is met, is missed, and one without a bar."""
    ours, theirs = ({**bars["rows"][0], "side": side, "seconds": 1e-3} for side in ("fastnn", "scikit-learn"))
    theirs |= {"seconds": 2.5e-3, "limit": "≥ 2 ×", "met": True}
    free = [{**row, "work": "predict", "limit": None, "met": None} for row in (ours, theirs)]
    missed = {"seconds": 1.5e-3, "met": False}
    one = {
        **bars,
        "versions": {**bars["versions"], **dict.fromkeys(("python", "fastnn", "scipy", "scikit-learn"), "1")},
    }
    two = {**one, "threads": 2, "rows": [{**row, "threads": 2} for row in (ours, theirs | missed)]}
    return {**one, "rows": [ours, theirs, *free]}, two


def test_pages_hold_the_committed_measurements(figures: ModuleType) -> None:
    def found(name: str) -> dict:
        return json.loads((RESULTS / f"{name}.json").read_text("utf-8"))

    both = figures.both_counts(found("estimators-1"), found("estimators-2"))
    tables = {
        "README.md": figures.table(found("bars")),
        "docs/moving-from-scikit-learn.md": figures.estimators_table(both),
    }
    for name, table in tables.items():
        page = (ROOT / name).read_text("utf-8")
        assert figures.with_table(page, table) == page, name


def test_missed_bars_of_estimators_are_bold_and_counted(figures: ModuleType, estimators: tuple[dict, dict]) -> None:
    text = figures.estimators_table(figures.both_counts(*estimators))
    assert "| step | 1.00 ms | 2.5 | ≥ 2 × | 1.00 ms | **1.50** | ≥ 2 × |" in text
    assert "| predict | 1.00 ms | 2.5 | – | – | – | – |" in text
    assert "1 of 2" in text
    assert "1 and 2 threads" in text


def test_bars_of_estimators_are_drawn(figures: ModuleType, estimators: tuple[dict, dict]) -> None:
    """A bar from 1 to each ratio, and a tick at what is wanted."""
    both = figures.both_counts(*estimators)
    ((name, figure),) = figures.pictures(None, None, None, None, both)
    assert name == "estimators"
    (axes,) = figure.axes
    assert sorted(bar.get_x() + bar.get_width() for bar in axes.patches) == pytest.approx([1.5, 2.5, 2.5])
    assert [list(line.get_xdata()) for line in axes.lines if line.get_linewidth() == 2] == [[2, 2]] * 2


def test_estimators_of_two_machines_are_refused(figures: ModuleType, estimators: tuple[dict, dict]) -> None:
    one, two = estimators
    with pytest.raises(SystemExit, match="differ in cpu"):
        figures.both_counts(one, {**two, "cpu": "another"})


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


def test_a_page_without_a_place_is_refused(figures: ModuleType) -> None:
    with pytest.raises(SystemExit, match="no place for the table"):
        figures.with_table("# a README", "a table")


def test_best_possible_choice_of_product_is_a_ratio_of_one(figures: ModuleType) -> None:
    columns = ["product", "B", "I", "O", "auto", "own", "blas"]
    grid = {"columns": columns, "rows": [["forward", 2, 2, 2, 2e-6, 4e-6, 2e-6]]}
    sizes, ratios, speeds = figures.cubes(grid)
    assert sizes == [2]
    assert ratios["forward"][0, 0, 0] == 1
    assert speeds["forward"][0, 0, 0] == pytest.approx(16 / 2e-6 / 1e9)
