"""The demo, whole and on the command line: it learns, both backends agree, the picture shows it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from idx_files import write_idx_folder
from pictures import read_png, share_of

pytest.importorskip("matplotlib", reason="the plot extra is not installed")

from fastnn.demo import run_demo

ORANGE = "#D55E00"


def test_demo_learns_the_digits_and_draws_them(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "fastnn", "demo", "--output", "learned.png"]
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8", timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    accuracies = [float(value) for value in re.findall(r"^(?:compiled|NumPy) +(\d+\.\d+) %", done.stdout, re.MULTILINE)]
    assert len(accuracies) == 2
    assert min(accuracies) >= 96
    assert re.search(r"NumPy takes \d+\.\d+ times as long", done.stdout)
    assert str(tmp_path / "learned.png") in done.stdout
    assert "100%" in done.stderr  # the progress bar
    pixels = read_png(tmp_path / "learned.png")
    assert pixels.shape[1] > 1200
    assert share_of(pixels, "#0072B2") > 1e-3
    assert share_of(pixels, ORANGE) > 1e-3


def test_demo_on_a_folder_of_idx_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_idx_folder(tmp_path / "squares")
    runs = run_demo(folder, epochs=60, output=tmp_path / "squares.png", seed=3)
    assert "60 training and 20 test images of 12×12 pixels" in capsys.readouterr().out
    for run in runs.values():
        assert run.accuracy >= 0.9
        assert run.history.seconds > 0
        assert len(run.history.loss) == 60
    assert np.allclose(runs["compiled"].history.loss, runs["reference"].history.loss, rtol=1e-3)
    assert read_png(tmp_path / "squares.png").std() > 0.05


@pytest.mark.skipif("FASTNN_DATA" not in os.environ, reason="FASTNN_DATA does not name a folder of MNIST files")
def test_demo_on_mnist(tmp_path: Path) -> None:
    runs = run_demo(os.environ["FASTNN_DATA"], epochs=3, output=tmp_path / "mnist.png")
    assert min(run.accuracy for run in runs.values()) >= 0.96
