"""What the commands in bench/ share: which CPU it is, the multiply-add limit, what is asked. No speed is asserted."""

import argparse
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

BENCH = Path(__file__).resolve().parent.parent / "bench"

pytestmark = pytest.mark.skipif(not BENCH.is_dir(), reason="bench is not beside the tests")


@pytest.fixture(autouse=True)
def scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The modules of bench/ can be imported, and find what its commands set before they import them."""
    monkeypatch.syspath_prepend(str(BENCH))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def cpus() -> ModuleType:
    import cpus

    return cpus


@pytest.mark.parametrize(
    ("facts", "kind"),
    [
        ({"vendor_id": "AuthenticAMD", "cpu family": "25", "model": "17"}, "amd-family-25-model-17"),
        ({"vendor_id": "GenuineIntel", "cpu family": "6", "model": "167"}, "intel-family-6-model-167"),
        ({"vendor_id": "Some Body", "cpu family": "7", "model": "8"}, "some-body-family-7-model-8"),
        ({"CPU implementer": "0x41", "CPU part": "0xd40"}, "arm-part-0xd40"),
        ({"model name": "Apple M2 (Pro)"}, "apple-m2-pro"),
    ],
)
def test_the_folder_of_a_cpu_follows_from_its_facts(cpus: ModuleType, facts: dict[str, str], kind: str) -> None:
    assert cpus.kind_of(facts) == kind


def test_a_cpu_without_facts_has_a_folder_too(cpus: ModuleType) -> None:
    assert cpus.kind_of({})
    assert cpus.title("a-cpu-of-tomorrow") == "a-cpu-of-tomorrow"


def test_windows_names_the_same_folder(cpus: ModuleType) -> None:
    names = {"Intel64 Family 6 Model 167 Stepping 1, GenuineIntel": "intel-family-6-model-167"}
    names["AMD64 Family 25 Model 17 Stepping 1, AuthenticAMD"] = "amd-family-25-model-17"
    for processor, kind in names.items():
        assert cpus.kind_of(cpus.of_windows(processor)) == kind
    assert cpus.of_windows("") == {}


@pytest.mark.parametrize("part", ["V3", "--sizes 3", "--only digits", "FASTNN_ISA", "FASTNN_CPU"])
def test_a_part_is_not_saved_as_the_whole(
    part: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import environment

    parser = argparse.ArgumentParser()
    parser.add_argument("bars", nargs="*", default=[])
    for name in ("--sizes", "--only", "--rounds"):
        parser.add_argument(name, default="all")
    environment.add_output(parser)
    for name in ("FASTNN_ISA", "FASTNN_GEMM", "FASTNN_CPU"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "argv", ["bench", "--save", "--rounds", "3"])
    assert environment.parsed(parser, "rounds").save
    forced, given = ([part], []) if part.startswith("FASTNN") else ([], part.split())
    for name in forced:
        monkeypatch.setenv(name, "base")
    monkeypatch.setattr(sys, "argv", ["bench", "--save", *given])
    with pytest.raises(SystemExit):
        environment.parsed(parser, "rounds")
    assert "--save is for the whole" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["bench", *given])
    assert not environment.parsed(parser, "rounds").save


def test_saved_figures_go_to_the_folder_of_this_cpu(cpus: ModuleType, tmp_path: Path) -> None:
    import environment

    parser = argparse.ArgumentParser()
    environment.add_output(parser)
    assert environment.outputs(parser.parse_args([]), "grid") == []
    both = parser.parse_args(["--save", "--json", str(tmp_path / "g.json")])
    assert environment.outputs(both, "grid") == [BENCH / "results" / cpus.kind() / "grid.json", tmp_path / "g.json"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_limit_is_measured_for_each_instruction_set(dtype: str) -> None:
    import machine

    from fastnn import _core

    for isa in _core.available_isas():
        limit = machine.Limit(isa, dtype)
        assert limit.speed is None and limit.share(1e9, 1.0) is None
        limit.sample(1)
        if limit.speed is None:
            pytest.skip("there is no C compiler")
        assert limit.share(limit.speed, 1.0) == pytest.approx(1)
        assert limit.share(limit.speed, 1.0, threads=2) == pytest.approx(0.5)


def test_limit_is_that_of_the_fastest_burst(monkeypatch: pytest.MonkeyPatch) -> None:
    import machine

    limit = machine.Limit("base")
    seconds = iter([3.0, 1.0, 2.0])
    monkeypatch.setattr(machine, "_fastest", lambda call, rounds: next(seconds))
    for _ in range(3):
        limit.sample()
    if limit.speed is None:
        pytest.skip("there is no C compiler")
    assert limit.speed == limit._flop / 1.0


def test_a_share_below_what_is_asked_is_missed(capsys: pytest.CaptureFixture[str]) -> None:
    import verdicts
    from races import Race

    race = Race("a step", ("fastnn", "JAX"), lambda sides: ({}, {}), "float64")
    found = verdicts.Measured({"fastnn": 2e-3, "JAX": 3e-3}, "avx512", 0.79, 1e11, {"PyTorch": "not installed"})
    limits = {verdicts.SHARE: (">=", 0.8), "JAX": (">=", 1.4)}
    for report in (verdicts.report, verdicts.report_line):
        rows = {row["side"]: row for row in report("V0", race, found, limits)}
        assert rows["fastnn"]["share"] == 0.79
        assert {side: row["met"] for side, row in rows.items()} == {"fastnn": None, "JAX": True, verdicts.SHARE: False}
        assert {(row["isa"], row["dtype"]) for row in rows.values()} == {("avx512", "float64")}
        printed = capsys.readouterr().out
        assert "79% of 100 GFLOP/s" in printed and "MISSED" in printed
        assert "PyTorch" in printed and "not installed" in printed


def test_two_threads_are_asked_for_where_there_is_something_to_share() -> None:
    import heats
    from two_threads import ONE

    heat = next(iter(heats.BARS["V11"]()))
    assert ONE in heats.asked(heat, {ONE: 1.01 * heats.SHARED_FROM})
    assert ONE not in heats.asked(heat, {ONE: 0.99 * heats.SHARED_FROM})


def test_every_bar_has_races() -> None:
    import bars
    import heats
    import peers

    known = {*peers.STEPS, *peers.PREDICTIONS, *peers.OPS, *peers.ADAM, *peers.PRODUCTS}
    known |= {"copy", "stream", "one caller", heats.IN_CACHE, heats.two_threads.ONE, heats.races.FIRST}
    for bar in set(bars.BARS) - {bars.IMPORT}:
        found = list(heats.BARS[bar]())
        assert found, bar
        for heat in found:
            assert set(heat.race.sides) <= known, heat.race.name
            assert set(heat.limits) <= {*heat.race.sides, heats.SHARE}, heat.race.name


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["forward", "input gradient", "weight gradient"])
def test_all_that_multiply_give_the_same_product(name: str, dtype: str) -> None:
    import races
    from workloads import Product

    sides = ("fastnn", "NumPy's BLAS")  # the others start threads; they are compared in a process of their own, below
    lineup, absent = races.product(Product(name, 5, 13, 3), dtype).make(sides)  # which compares them
    assert tuple(lineup) == sides and not absent


def test_a_product_that_is_not_written_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    import peers
    import races
    from workloads import Product

    monkeypatch.setitem(peers.PRODUCTS, "idle", lambda *arguments: lambda: None)
    with pytest.raises(AssertionError, match="idle"):
        races.product(Product("forward", 2, 3, 4), sides=("idle",)).lineup()


def test_a_cell_of_the_grid_knows_its_share_and_its_loss() -> None:
    import grid
    from workloads import Product

    seconds = {"auto": 2e-6, "own": 1e-6, "blas": 4e-6, "MKL": 3e-6, "in place": 1.6e-6}
    ways = {"right": 20_000, "way": "in place", "below": "packed", "caches": "in place"}
    cell = grid.Cell(Product("forward", 10, 100, 50), seconds, limit=1e11, **ways)
    assert cell.ratio == 2
    assert cell.loss == pytest.approx(1.25)
    assert cell.share == pytest.approx(0.5)
    assert dict(zip(grid.COLUMNS, cell.row, strict=True)) == {
        "product": "forward", "B": 10, "I": 100, "O": 50, **seconds, "onnxruntime": None, "limit": 1e11, "packed": None,
        **ways,
    }  # fmt: skip


def test_learning_stops_at_the_goal() -> None:
    import accuracy
    from peers import Learner

    from fastnn.datasets import load_digits

    data, done = load_digits(), []

    def classes(rows: np.ndarray) -> np.ndarray:
        return data.y_test if len(done) >= 3 else np.full_like(data.y_test, -1)

    learner = Learner(lambda: done.append(1), classes)
    goal = accuracy.GOALS[0]
    seconds, epochs = accuracy.learn(learner, goal, data)
    assert epochs == len(done) == 3 and seconds >= 0
    assert accuracy.learn(Learner(lambda: None, lambda rows: data.y_test - 10), goal, data) is None


def test_half_of_the_seeds_or_more_have_to_reach_it() -> None:
    import accuracy

    assert accuracy._median([(3.0, 3), (1.0, 1), (2.0, 2)]) == (2, 2)
    assert accuracy._median([(3.0, 3), (1.0, 1), None]) == (3, 3)
    assert accuracy._median([(3.0, 3), None, None]) is None


def _written(command: str, *arguments: str, folder: Path) -> dict:
    """What a command of bench/ writes. In a process of its own: rivals that are installed start threads."""
    target = folder / "found.json"
    call = [sys.executable, str(BENCH / command), *arguments, "--json", str(target)]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(target.read_text("utf-8"))


def test_everybody_learns(tmp_path: Path) -> None:
    """From the same start; those that are installed."""
    found = _written("accuracy.py", "--seeds", "1", "--only", "digits", folder=tmp_path)
    sides = {row["side"]: row for row in found["rows"]}
    assert "fastnn" in sides
    for side, row in sides.items():
        assert row["missed"] == 0 and row["epochs"] >= 1 and row["seconds"] > 0, side


def test_grid_has_a_column_for_each_rival(tmp_path: Path) -> None:
    found = _written("grid.py", "--sizes", "3", "--dtype", "float64", folder=tmp_path)
    rows = [dict(zip(found["columns"], row, strict=True)) for row in found["rows"]]
    assert [row["product"] for row in rows] == ["forward", "input gradient", "weight gradient"]
    rivals = {"MKL": "torch", "onnxruntime": "onnxruntime"}
    for row in rows:
        assert min(row["auto"], row["own"], row["blas"]) > 0
        for side, package in rivals.items():
            assert row[side] is None or (row[side] > 0 and importlib.util.find_spec(package)), side
