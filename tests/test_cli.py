"""The command line: what is printed where, and the exit codes. What the demo does is tested in test_demo.py."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from idx_files import write_idx_folder

import fastnn
from fastnn.__main__ import main

needs_plot = pytest.mark.skipif(find_spec("matplotlib") is None, reason="the plot extra is not installed")


def _run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The command as a user starts it, in a process of its own."""
    command = [sys.executable, "-m", "fastnn", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=300, check=False)


def test_info_names_what_was_chosen_and_what_forces_it() -> None:
    done = _run("info")
    assert done.returncode == 0, done.stderr
    for word in (fastnn.__version__, "FASTNN_ISA", "FASTNN_GEMM", "FASTNN_DENORMALS", "FASTNN_NUM_THREADS"):
        assert word in done.stdout


@needs_plot
def test_missing_folder_is_one_sentence_and_exit_code_2(tmp_path: Path) -> None:
    done = _run("demo", "--data", str(tmp_path / "absent"))
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == f"fastnn demo: {tmp_path / 'absent'}: there is no such folder\n"


@needs_plot
def test_damaged_folder_is_one_sentence_and_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_idx_folder(tmp_path / "data")
    file = folder / "t10k-images-idx3-ubyte.gz"
    file.write_bytes(file.read_bytes()[:100])
    assert main(["demo", "--data", str(folder)]) == 2
    printed = capsys.readouterr()
    assert printed.err == f"fastnn demo: {file}: the gzip file is cut short\n"
    assert printed.out == ""


@needs_plot
def test_output_folder_that_is_missing_is_told_before_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--output", str(tmp_path / "absent" / "a.png")]) == 2
    printed = capsys.readouterr()
    assert "there is no folder" in printed.err
    assert printed.out == ""


@needs_plot
@pytest.mark.parametrize("output", [".", ""])
def test_output_that_is_a_folder_is_told_before_training(output: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--output", output]) == 2
    printed = capsys.readouterr()
    assert printed.err == "fastnn demo: .: wanted a file to write the picture to, got a folder\n"
    assert printed.out == ""


def test_without_matplotlib_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert main(["demo"]) == 2
    assert capsys.readouterr().err == 'fastnn demo: pictures need matplotlib: pip install "fastnn[plot]"\n'


@pytest.mark.parametrize(
    "arguments",
    [[], ["train"], ["demo", "--epochs", "0"], ["demo", "--epochs", "many"], ["demo", "--seed", "-1"]],
    ids=" ".join,
)
def test_wrong_arguments_are_refused_with_the_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert capsys.readouterr().err.startswith("usage: fastnn")


def test_a_number_longer_than_python_reads(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["demo", "--seed", "9" * 5000])
    message = capsys.readouterr().err.splitlines()[-1]
    assert f"wanted a whole number from 0 to {2**64 - 1}, got '999" in message
    assert len(message) < 200


def test_interrupt_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fastnn.demo.run_demo", interrupted)
    assert main(["demo"]) == 130
    assert capsys.readouterr().err == "\nfastnn: interrupted\n"


posix = pytest.mark.skipif(os.name != "posix", reason="pipes and devices are POSIX's")


@posix
def test_a_reader_that_has_gone_away_is_no_traceback() -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as gone:
        done = _to(gone, "info")
    assert (done.returncode, done.stderr) == (1, "")


@posix
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_is_one_line_and_exit_code_2() -> None:
    with open("/dev/full", "wb") as full:
        done = _to(full, "info")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("fastnn: ") and "No space left" in done.stderr


@needs_plot
def test_an_output_that_knows_only_ascii(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    arguments = "demo", "--epochs", "1", "--output", str(tmp_path / "a.png")
    done = _to(subprocess.PIPE, *arguments, env=environment)
    assert done.returncode == 0, done.stderr
    assert "Picture: " in done.stdout
    assert "?" in done.stdout


def _to(output: Any, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fastnn", *arguments]
    return subprocess.run(
        command, stdout=output, stderr=subprocess.PIPE, text=True, timeout=300, check=False, **options
    )
