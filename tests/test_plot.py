"""Every picture is drawn, opened again and looked into; no display and no pyplot is needed for it."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pictures import read_png, share_of

pytest.importorskip("matplotlib", reason="the plot extra is not installed")

from fastnn import plot
from fastnn.datasets import load_digits, make_flower

BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"
DIGITS = load_digits()
FLOWER = make_flower(100, seed=0)


def _petals(points: np.ndarray) -> np.ndarray:
    """A stand-in for a network of one output: where the sine of four times the angle is positive."""
    return 1 / (1 + np.exp(-4 * np.sin(4 * np.arctan2(points[:, 0], points[:, 1]))))


class _Layers:
    """A stand-in for a network: three hidden layers and an output, of a given spread."""

    def __init__(self, spread: float) -> None:
        self.spread = spread

    def activations(self, X: Any) -> list[np.ndarray]:
        rng = np.random.default_rng(0)
        return [self.spread * rng.standard_normal((len(X), 20)) for _ in range(4)]


PICTURES: dict[str, tuple[Callable[[Path], Any], tuple[str, ...]]] = {
    "history": (
        lambda path: plot.history(SimpleNamespace(loss=[2.0, 1.0, 0.5], val_loss=[2.1, 1.2, 0.8]), path),
        (BLUE, ORANGE),
    ),
    "history without validation": (
        lambda path: plot.history(SimpleNamespace(loss=[2.0, 1.0, 0.5], val_loss=[]), path),
        (BLUE,),
    ),
    "loss_curves": (
        lambda path: plot.loss_curves(
            {name: k + np.random.default_rng(k).random(500) for k, name in enumerate("abc")}, smooth=0.9, path=path
        ),
        (BLUE, ORANGE, GREEN),
    ),
    "loss_curves with a gap, logarithmic": (
        lambda path: plot.loss_curves({"a": [1.0, np.nan, 0.1]}, path=path, log=True),
        (BLUE,),
    ),
    "activation_histograms": (
        lambda path: plot.activation_histograms({"wide": _Layers(1), "narrow": _Layers(0.01)}, np.zeros((50, 2)), path),
        (BLUE,),
    ),
    "activation_histograms of silent units": (
        lambda path: plot.activation_histograms([_Layers(0)], np.zeros((5, 2)), path, limits=(-1, 1)),
        (BLUE,),
    ),
    "image_grid": (
        lambda path: plot.image_grid(DIGITS.X_test[:7], map(str, range(7)), path, title="seven"),
        ("#000000",),
    ),
    "predictions": (
        lambda path: plot.predictions(DIGITS.X_test[:9], DIGITS.y_test[:9], [5, *DIGITS.y_test[1:9]], path),
        ("#000000", ORANGE),
    ),
    "decision_boundary, one output": (lambda path: plot.decision_boundary(_petals, *FLOWER, path), (BLUE, ORANGE)),
    "decision_boundary, three outputs": (
        lambda path: plot.decision_boundary(
            lambda p: np.stack([p[:, 0], p[:, 1], -p.sum(axis=1)], axis=1), FLOWER[0], np.arange(100) % 3, path
        ),
        (BLUE, ORANGE, GREEN),
    ),
}


@pytest.mark.parametrize("name", PICTURES)
def test_picture_is_written_and_shows_its_colours(name: str, tmp_path: Path) -> None:
    draw, colours = PICTURES[name]
    path = tmp_path / "picture.png"
    figure = draw(path)
    pixels = read_png(path)
    assert min(pixels.shape[:2]) > 150
    assert 0.2 < share_of(pixels, "#FFFFFF") < 0.99 or "boundary" in name
    for colour in colours:
        assert share_of(pixels, colour) > 2e-4, colour
    for axes in figure.axes:
        if axes.lines or axes.collections:
            assert axes.get_xlabel() or axes.get_ylabel()


def test_only_mistakes_are_framed(tmp_path: Path) -> None:
    images, labels = DIGITS.X_test[:9], DIGITS.y_test[:9]
    plot.predictions(images, labels, labels, tmp_path / "right.png")
    figure = plot.predictions(images, labels, [5, *labels[1:]], tmp_path / "wrong.png")
    assert share_of(read_png(tmp_path / "right.png"), ORANGE) == 0
    assert figure.axes[0].get_title() == f"5, is {labels[0]}"
    assert figure.axes[1].get_title() == str(labels[1])


def test_smoothing_starts_at_the_first_value_and_forgets_it() -> None:
    steady = plot.smoothed([4.0] * 10, 0.9)
    assert np.allclose(steady, 4.0)
    step = plot.smoothed([1.0] + [0.0] * 200, 0.9)
    assert step[0] == pytest.approx(1.0)
    assert 0 < step[-1] < 1e-8
    assert np.array_equal(plot.smoothed([3.0, 1.0], 0.0), [3.0, 1.0])


def test_two_pictures_in_one_figure(tmp_path: Path) -> None:
    figure = plot.new_figure(8, 3)
    left, right = figure.subfigures(1, 2)
    plot.loss_curves({"a": [2.0, 1.0]}, figure=left)
    assert plot.image_grid(DIGITS.X_test[:4], path=tmp_path / "both.png", figure=right) is figure
    pixels = read_png(tmp_path / "both.png")
    middle = pixels.shape[1] // 2
    assert share_of(pixels[:, :middle], BLUE) > 1e-3
    assert share_of(pixels[:, middle:], BLUE) == 0
    assert share_of(pixels[:, middle:], "#000000") > 1e-2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plot.loss_curves({}), "at least one curve"),
        (lambda: plot.loss_curves({"a": []}), "none of them empty"),
        (lambda: plot.loss_curves({"a": [1.0]}, smooth=1.0), "0 <= smooth < 1"),
        (lambda: plot.image_grid(np.zeros((0, 4))), "at least one"),
        (lambda: plot.image_grid(np.zeros((3, 5))), "give shape="),
        (lambda: plot.image_grid(np.zeros(5)), "wanted"),
        (lambda: plot.predictions(np.zeros((3, 4)), [1, 2], [1, 2, 3]), "3 images, 2 labels, 3 predicted"),
        (lambda: plot.decision_boundary(_petals, np.zeros((3, 3)), [0, 1, 0]), r"wanted shape \(n, 2\)"),
        (lambda: plot.decision_boundary(_petals, np.zeros((3, 2)), [0, 1]), "wanted 3 classes, got 2"),
        (lambda: plot.activation_histograms([], np.zeros((3, 2))), "hidden layer"),
        (lambda: plot.smoothed([1.0], 1.0), "smooth: wanted 0 <= smooth < 1, got 1.0"),
        (lambda: plot.smoothed([1.0], float("nan")), "smooth: wanted 0 <= smooth < 1, got nan"),
        (lambda: plot.image_grid(np.zeros((3, 4)), columns=0), "columns: wanted at least 1, got 0"),
        (lambda: plot.image_grid(np.zeros((3, 9)), shape=(9,)), r"shape: wanted \(height, width\), got \(9,\)"),
        (lambda: plot.decision_boundary(_petals, np.zeros((1, 2)), [0], resolution=0), "resolution: wanted at least 2"),
    ],
)
def test_wrong_arguments_are_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plot.smoothed([1.0], "a"), "smooth: wanted a number, got 'a'"),
        (lambda: plot.history(None), "history: wanted what fit returns, got None"),
        (lambda: plot.image_grid(np.zeros((3, 4)), columns=1.5), "columns: wanted an integer, got 1.5"),
        (lambda: plot.image_grid(np.zeros((3, 4), complex)), "images: wanted an array of real numbers, got dtype comp"),
    ],
)
def test_wrong_types_are_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        call()


def test_no_more_columns_than_images() -> None:
    assert plot.image_grid(np.zeros((3, 4)), columns=200).axes[-1].get_subplotspec().get_gridspec().ncols == 3


def test_what_is_not_finite_draws_without_a_warning(tmp_path: Path) -> None:
    # Warnings are errors. The scale is that of the finite values, and there is one where there are none.
    for images, limits in ((np.full((2, 4), np.nan), (0, 1)), ([[np.inf, 1, 2, -np.inf]], (1, 2))):
        figure = plot.image_grid(images, path=tmp_path / "images.png")
        assert figure.axes[0].images[0].get_clim() == limits
    for smooth in (0.0, 0.9):
        figure = plot.loss_curves({"a": [1.0, np.inf, -np.inf, 2.0]}, smooth, tmp_path / "curves.png")
        low, high = figure.axes[0].get_ylim()
        assert low <= 1.0 < high


def test_no_global_state_and_no_display() -> None:
    code = (
        "import sys; from fastnn import plot; assert 'matplotlib' not in sys.modules;"
        "plot.loss_curves({'a': [1.0, 2.0]}); assert 'matplotlib' in sys.modules;"
        "assert 'matplotlib.pyplot' not in sys.modules; print('fine')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "fine\n", done.stderr


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'pip install "fastnn\[plot\]"'):
        plot.loss_curves({"a": [1.0]})
