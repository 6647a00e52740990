"""The short benchmark with tiny settings: what it prints, what it writes, what it refuses."""

import json
import sys
from pathlib import Path

import pytest

from fastnn import bench
from fastnn.__main__ import main

TINY = {"rounds": 2, "seconds": 1e-5, "largest": 20_000}


def test_table_and_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = bench.run_bench(tmp_path / "b.json", **TINY)
    assert len(results) >= 3
    assert all(result.compiled > 0 and result.numpy > 0 for result in results)
    printed = capsys.readouterr().out
    written = json.loads((tmp_path / "b.json").read_text("utf-8"))
    assert [entry["work"] for entry in written["seconds"]] == [result.work for result in results]
    assert all(result.work in printed for result in results)
    assert written["threads"] == 1
    assert {"cpu", "isa", "numpy"} <= set(written)


def test_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the plot extra is not installed")
    from pictures import read_png, share_of

    bench.run_bench(tmp_path / "b.json", **TINY)
    assert share_of(read_png(tmp_path / "b.png"), "#0072B2") > 1e-3


def test_without_matplotlib_there_is_no_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    bench.run_bench(tmp_path / "b.json", **TINY)
    assert "No picture" in capsys.readouterr().out
    assert [file.name for file in tmp_path.iterdir()] == ["b.json"]


def test_every_work_agrees_and_runs_once() -> None:
    ran = 0
    for _, numbers, calls in bench._works():
        if numbers <= 130_000:
            for call in calls().values():  # asserts that both sides give the same
                call()
                ran += 1
    assert ran >= 8


def test_missing_folder_is_told_before_the_timing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--output", str(tmp_path / "absent" / "b.json")]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("fastnn bench: ")
    assert "there is no folder" in printed.err
    assert printed.out == ""


@pytest.mark.parametrize("output", [".", "", "b", "b.json"])
def test_a_folder_in_place_of_a_file_is_told_before_the_timing(
    output: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("b", "b.png"):
        Path(name).mkdir()
    assert main(["bench", "--output", output]) == 2
    printed = capsys.readouterr()
    assert "wanted a file to write to, got a folder" in printed.err
    assert printed.out == ""


def test_medians_take_every_contender_in_every_round() -> None:
    counts = {"a": 0, "b": 0}

    def call(name: str) -> None:
        counts[name] += 1

    found = bench.medians({name: lambda name=name: call(name) for name in counts}, rounds=4, seconds=0)
    assert set(found) == {"a", "b"}
    assert counts["a"] == counts["b"] == 2 + 1 + 4  # warm-up, count, rounds
