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
def tables(figures: ModuleType) -> ModuleType:
    return figures.tables


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


def test_pages_hold_the_committed_measurements(figures: ModuleType, tables: ModuleType) -> None:
    found = figures.read(RESULTS)
    assert found["bars"] and found["estimators"]
    pages = {
        "README.md": figures.readme(found),
        "docs/moving-from-scikit-learn.md": tables.estimators(found["estimators"]),
    }
    for name, table in pages.items():
        page = (ROOT / name).read_text("utf-8")
        assert figures.with_table(page, table) == page, name


def test_missed_bars_of_estimators_are_bold_and_counted(tables: ModuleType, estimators: tuple[dict, dict]) -> None:
    text = tables.estimators({"a title": tables.both_counts(*estimators)})
    assert "| step | 1.00 ms | 2.5 | ≥ 2 × | 1.00 ms | **1.50** | ≥ 2 × |" in text
    assert "| predict | 1.00 ms | 2.5 | – | – | – | – |" in text
    assert "1 of 2" in text
    assert "1 and 2 threads" in text


def test_bars_of_estimators_are_drawn(figures: ModuleType, estimators: tuple[dict, dict]) -> None:
    """A bar from 1 to each ratio, and a tick at what is wanted."""
    both = figures.tables.both_counts(*estimators)
    ((name, figure),) = figures.pictures({}, {}, {}, {}, {"one": both, "another": both}, {})
    assert name == "estimators"
    assert [axes.get_title() for axes in figure.axes] == ["one", "another"]
    for axes in figure.axes:
        assert sorted(bar.get_x() + bar.get_width() for bar in axes.patches) == pytest.approx([1.5, 2.5, 2.5])
        assert [list(line.get_xdata()) for line in axes.lines if line.get_linewidth() == 2] == [[2, 2]] * 2


def test_estimators_of_two_machines_are_refused(tables: ModuleType, estimators: tuple[dict, dict]) -> None:
    one, two = estimators
    with pytest.raises(SystemExit, match="differ in cpu"):
        tables.both_counts(one, {**two, "cpu": "another"})


def test_losses_are_bold_and_counted(tables: ModuleType, bars: dict) -> None:
    text = tables.speed({"a title": bars})
    assert "| step | 2.00 ms | 1.50 | **0.50** |" in text
    assert "1 of 2" in text
    assert "a title: a CPU" in text


@pytest.fixture
def two(bars: dict) -> dict[str, dict]:
    """A CPU on which NumPy is faster beside the one on which it is slower, and with a work of its own."""
    times = {"fastnn": 2e-3, "NumPy": 1.5e-3, "JAX": 5e-3}
    rows = [{**row, "seconds": times[row["side"]], "share": 0.75} for row in bars["rows"]]
    own = {**bars["rows"][0], "work": "another step"}
    return {"one": bars, "other": {**bars, "cpu": "another CPU", "rows": [*rows, own]}}


def test_two_cpus_stand_side_by_side(tables: ModuleType, two: dict[str, dict]) -> None:
    text = tables.speed(two)
    lines = text.splitlines()
    at = lines.index("| step | one | 2.00 ms | – | 1.50 | **0.50** |")
    assert lines[at + 1] == "| step | other | 2.00 ms | 75% | **0.75** | 2.5 |"
    assert "| another step | other |" in lines[at + 2]
    assert "2 of 4" in text
    assert "one: a CPU" in text and "other: another CPU" in text


def test_bars_of_two_cpus_stand_side_by_side(figures: ModuleType, two: dict[str, dict]) -> None:
    ((name, figure),) = figures.pictures(two, {}, {}, {}, {}, {})
    assert name == "speed"
    numpy, _ = figure.axes
    ends = {round(bar.get_y() + bar.get_height() / 2, 6): bar.get_x() + bar.get_width() for bar in numpy.patches}
    assert ends == pytest.approx({-0.2: 1.5, 0.2: 0.75})
    assert [bool(bar.get_hatch()) for bar in numpy.patches] == [False, True]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["one", "other"]


def test_each_folder_of_the_results_is_a_cpu(figures: ModuleType, two: dict[str, dict], tmp_path: Path) -> None:
    for folder, measured in zip(("amd-family-25-model-17", "riscv-of-tomorrow"), two.values(), strict=True):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "bars.json").write_text(json.dumps({**measured, "load": 0.0}), "utf-8")
    found = figures.read(tmp_path)
    assert {title: bars["cpu"] for title, bars in found["bars"].items()} == {
        "AMD Zen 4": "a CPU",
        "riscv-of-tomorrow": "another CPU",
    }
    assert found["grid"] == found["estimators"] == {}


def test_shares_of_the_limit_are_a_table(tables: ModuleType, bars: dict) -> None:
    row = {"bar": "V14", "work": "wide step", "threads": 1, "isa": "avx2", "limit": None, "met": None, "seconds": 1e-3}
    shares = {"float32": (0.81, True), "float64": (0.6, False)}
    for dtype, (share, met) in shares.items():
        bars["rows"] += [
            {**row, "dtype": dtype, "side": "fastnn", "share": share},
            {**row, "dtype": dtype, "side": "share of the limit", "seconds": None, "met": met},
        ]
    assert "wide step" not in tables.speed({"one": bars})
    text = tables.limits({"one": bars, "other": bars})
    assert "| one, avx2, float32 | one, avx2, float64 | other, avx2, float32 | other, avx2, float64 |" in text
    assert "| wide step | 81% | **60%** | 81% | **60%** |" in text
    assert "2 of 4" in text


def test_products_beside_both_blas_are_a_table(tables: ModuleType, bars: dict) -> None:
    for work, share, ratio in (("weight gradient 64 × 64 × 64", 0.7, 0.9), ("weight gradient 2 × 2 × 2", 0.8, 1.3)):
        row = {"bar": "V15", "work": work, "threads": 1, "isa": "avx2", "dtype": "float64", "limit": None, "met": None}
        bars["rows"] += [
            {**row, "side": "fastnn", "seconds": 1.0, "share": share, "ratio": None},
            {**row, "side": "MKL", "seconds": 1.0, "ratio": ratio},
            {**row, "side": "share of the limit", "seconds": None, "ratio": None},
        ]
    text = tables.products({"one": bars})
    assert "| weight gradient, float64, avx2 | 70%, 75% | **0.90**, 1.10 |" in text


def test_rivals_of_the_grid_are_compared_with_the_faster_one(figures: ModuleType) -> None:
    columns = ["product", "B", "I", "O", "auto", "own", "blas", "MKL", "onnxruntime"]
    row = ["forward", 2, 2, 2, 3e-6, 4e-6, 3e-6, 6e-6, 2e-6]
    assert figures.beside_rivals({"columns": columns, "rows": [row]})["forward"][0, 0, 0] == pytest.approx(1.5)
    assert figures.beside_rivals({"columns": columns, "rows": [[*row[:-2], None, None]]}) == {}
    assert figures.beside_rivals({"columns": columns[:-2], "rows": [row[:-2]]}) == {}


def test_time_to_accuracy_is_a_table(tables: ModuleType, bars: dict) -> None:
    row = {"work": "digits to 98%", "seeds": 3, "missed": 0}
    sides = {"fastnn": (0.02, 8), "JAX": (0.01, 9.5), "PyTorch": (None, None)}
    rows = [{**row, "side": side, "seconds": s, "epochs": epochs} for side, (s, epochs) in sides.items()]
    text = tables.accuracy({"one": {**bars, "rows": rows}})
    assert "| digits to 98% | 20.00 ms (8) | **0.50** (9.5) | not reached |" in text
    assert "3 seeds" in text


def test_both_ways_into_onnxruntime_count_as_the_faster_one(tables: ModuleType, bars: dict) -> None:
    for side, seconds in (("onnxruntime", 8e-3), ("onnxruntime bound", 6e-3)):
        bars["rows"].append({**bars["rows"][0], "side": side, "seconds": seconds})
    assert tables.times_of(bars)["step"]["onnxruntime"] == 6e-3


def test_two_threads_are_a_table_of_their_own(tables: ModuleType, bars: dict) -> None:
    row = {"bar": "V11", "work": "step", "threads": 2, "limit": None, "met": False}
    sides = {"fastnn": 1e-3, "fastnn, one thread": 1.5e-3, "same bits as on one": None}
    bars["rows"] += [{**row, "side": side, "seconds": seconds} for side, seconds in sides.items()]
    assert tables.times_of(bars)["step"]["fastnn"] == 2e-3
    assert "| step | 1.00 ms | 1.50 | only with `deterministic=True` |" in tables.two_threads({"one": bars})


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
