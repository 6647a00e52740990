"""What bench/fit_choice.py makes of grids: limits that are known beforehand are found, and come out as a row of C."""

import itertools
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import fastnn
from fastnn import _core

BENCH = Path(__file__).resolve().parent.parent / "bench"

pytestmark = pytest.mark.skipif(not BENCH.is_dir(), reason="bench is not beside the tests")

MiB = 1 << 20
SIZES = [size << 10 for size in (16, 64, 128, 256, 512, 1024, 2048, 4096)]
COLUMNS = ["product", "B", "I", "O", "in place", "packed", "blas", "right", "way", "below", "caches"]
FACTS = {"vendor": "amd", "family": 25, "model": 97, "l1": 32 << 10, "l2": MiB, "l3": 32 * MiB, "limits": "AMD Zen 4"}
CACHES, NEVER = 0, -1


@pytest.fixture
def fit_choice(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCH))
    import fit_choice

    return fit_choice


def grid(isa: str = "avx512", *, in_place: float = 256 << 10, blas: float = 8 * MiB, gain: float = 1.2) -> dict:
    """A machine on which packing pays beyond ``in_place`` bytes, and BLAS from ``blas`` on, by the factor ``gain``."""
    rows = []
    for product, right in itertools.product(("forward", "input gradient", "weight gradient"), SIZES):
        packed = right > 64 << 10
        seconds = [gain, 1.0] if right > in_place else [1.0, gain]
        by_blas = 1 / gain if right >= blas else gain * gain
        times = [seconds[0], seconds[1] if packed else None, by_blas]
        rows.append(
            [product, 64, 64, 64, *times, right, "in place", "in place", "packed" if right > MiB / 4 else "in place"]
        )
    facts = {"cpu": "a CPU", "kind": "amd-family-25-model-97", "isa": isa, "dtype": "float32", "cpu facts": FACTS}
    return {**facts, "columns": COLUMNS, "rows": rows}


def run(tmp_path: Path, *grids: dict) -> subprocess.CompletedProcess:
    paths = [tmp_path / f"{number}.json" for number in range(len(grids))]
    for path, one in zip(paths, grids, strict=True):
        path.write_text(json.dumps(one), "utf-8")
    command = [sys.executable, str(BENCH / "fit_choice.py"), *map(str, paths)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({"in_place": MiB}, (MiB, NEVER)),
        ({"in_place": 256 << 10}, (CACHES, NEVER)),  # a quarter of L2, as without a row
        ({"in_place": 64 * MiB}, (NEVER, NEVER)),
        ({"in_place": 64 * MiB, "blas": 2 * MiB}, (NEVER, 2 * MiB)),
        ({"in_place": 512 << 10, "blas": 2 * MiB}, (512 << 10, 2 * MiB)),
        ({"in_place": 0, "blas": 0}, (CACHES, 16 << 10)),  # BLAS for all that was measured
        ({"in_place": MiB, "gain": 1.005}, (CACHES, NEVER)),  # noise is no reason
    ],
)
def test_known_limits_are_found(fit_choice: ModuleType, known: dict, expected: tuple[int, int]) -> None:
    for cells in fit_choice.read([grid(**known)]).values():
        assert fit_choice.fit(cells) == expected


def test_a_gain_of_few_large_shapes_counts_beside_many_small_ones(fit_choice: ModuleType) -> None:
    """They are a small part of the mean, and are noise in none of it."""
    one = grid(in_place=64 * MiB, blas=4 * MiB, gain=1.05)
    one["rows"] += [row for row in one["rows"] if row[7] < MiB] * 50
    (cells, *_) = fit_choice.read([one]).values()
    assert fit_choice.fit(cells)[1] == 4 * MiB


def test_what_cannot_be_packed_stays_in_place_and_pages_are_packed_below_limits(fit_choice: ModuleType) -> None:
    few = fit_choice.Cell(8 * MiB, {"in place": 1.0, "blas": 2.0}, "in place", "in place", "packed")
    assert few.loss("packed") == 0
    pages = fit_choice.Cell(128 << 10, {"in place": 2.0, "packed": 1.0, "blas": 2.0}, *["packed"] * 3)
    assert pages.own_way(CACHES) == pages.own_way(MiB) == "packed"
    assert pages.own_way(NEVER) == "in place"


def test_losses_are_counted_by_hand(fit_choice: ModuleType) -> None:
    cells = fit_choice.read([grid(in_place=512 << 10)])["avx512", "forward"]
    assert fit_choice.summary(fit_choice.losses(cells, [(CACHES, NEVER)])[0]) == (
        "mean  2.31%, worst  20%,   1 of 8 more than 5%"  # 1.2 ** (1 / 8)
    )
    (as_it_stands,) = {fit_choice.summary(cell.loss(cell.way) for cell in cells)}
    assert as_it_stands.endswith("worst  20%,   3 of 8 more than 5%")


def test_two_instruction_sets_are_one_row(tmp_path: Path) -> None:
    done = run(tmp_path, grid("avx2", in_place=64 * MiB), grid("avx512", in_place=512 << 10, blas=2 * MiB))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == (
        '{"amd-family-25-model-97", FNN_VENDOR_AMD, 25, 97, 97, '
        "{BY_CACHES, {ALL(NEVER), ALL(NEVER), AVX2_NOT_FITTED}, {ALL(512 * 1024), ALL(2 * MiB), NOT_FITTED}}},"
    )


def test_products_and_models_differ_within_a_row(fit_choice: ModuleType) -> None:
    limits = {("avx512", "forward"): (2 * MiB, NEVER), ("avx512", "weight gradient"): (CACHES, 384 << 10)}
    assert fit_choice.row("Zen", [FACTS, {**FACTS, "model": 17}], limits) == (
        '{"Zen", FNN_VENDOR_AMD, 25, 17, 97, {BY_CACHES, AVX2_BY_CACHES, '
        "{{2 * MiB, FROM_CACHES, FROM_CACHES}, {NEVER, NEVER, 384 * 1024}, NOT_FITTED}}},"
    )


@pytest.mark.parametrize("isa", ["avx2", "base"])
def test_without_data_there_are_no_limits(fit_choice: ModuleType, tmp_path: Path, isa: str) -> None:
    assert fit_choice.fit([]) == (CACHES, NEVER)
    one = grid(isa, in_place=MiB)
    if isa == "avx2":
        one["rows"] = []
    done = run(tmp_path, one)
    assert done.stdout.splitlines()[-1].endswith("25, 97, 97, {BY_CACHES, AVX2_BY_CACHES, BY_CACHES}},")


def test_grids_that_give_no_row(tmp_path: Path) -> None:
    other = {**grid(), "cpu": "another", "cpu facts": {**FACTS, "family": 26}}
    assert "wanted grids of one CPU family, got a CPU, another" in run(tmp_path, grid(), other).stderr
    assert "lacks caches" in run(tmp_path, {**grid(), "columns": COLUMNS[:-1]}).stderr
    unknown = {**grid(), "cpu facts": {**FACTS, "vendor": "unknown", "family": 0, "model": 0}}
    assert "no row" in run(tmp_path, unknown).stdout


def test_ways_are_those_of_the_library(isa: str, dtype: str) -> None:
    """By forced facts: limits of half of L2, strides of a page, few rows."""
    size = {"float32": 4, "float64": 8}[dtype]
    columns = MiB // size // 64  # of 64 rows they make 1 MB, and whole pages
    with fastnn.gemm("own"), fastnn.cpu("vendor=unknown,l1=32K,l2=2M"):
        assert _core.way("forward", dtype, 64, 64, columns) == "packed"  # pages
        assert _core.way("forward", dtype, 15, 64, columns) == "in place"
        assert _core.way("forward", dtype, 128, 64, columns - 1) == "in place"
        assert _core.way("forward", dtype, 128, 66, columns - 1) == "packed"
        assert _core.way("forward", dtype, 2, 66, columns - 1) == "in place"
        assert _core.way("input gradient", dtype, 2, 66, columns - 1) == "packed"
        assert _core.way("weight gradient", dtype, columns, 64, 65) == "packed"  # pages of the left operand
        assert _core.way("weight gradient", dtype, columns, 64, 63) == "in place"
        assert _core.way("weight gradient", dtype, columns - 1, 64, 65) == "in place"
    with fastnn.gemm("blas"):
        assert _core.way("weight gradient", dtype, 64, 64, 64) == "blas"


def test_grid_forces_both_ways(tmp_path: Path) -> None:
    """What it writes can be fitted; only what is larger than any panel can be packed."""
    target = tmp_path / "grid.json"
    command = [sys.executable, str(BENCH / "grid.py"), "--batches", "130", "--sizes", "32,200", "--rivals", ""]
    done = subprocess.run([*command, "--json", str(target)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "auto over the best of in place, packed, blas" in done.stdout
    found = json.loads(target.read_text("utf-8"))
    assert found["cpu facts"] == _core.cpu()
    for cell in (dict(zip(found["columns"], row, strict=True)) for row in found["rows"]):
        K, N = (cell["B"], cell["O"]) if cell["product"] == "weight gradient" else (cell["I"], cell["O"])
        assert cell["right"] == 4 * K * N
        assert cell["in place"] > 0 and cell["way"] in ("in place", "packed", "blas")
        least = {"forward": 128 << 10, "weight gradient": 32 << 10}.get(cell["product"], cell["right"])
        packed = cell["right"] > least
        assert (cell["packed"] is not None) == packed, cell
    fitted = run(tmp_path, found)
    assert fitted.returncode == 0, fitted.stderr
