"""The demo: the same network learns real handwritten digits twice, compiled and in NumPy, and is timed both times.

Called by ``python -m fastnn demo``. Trains, prints and draws; knows nothing of how a network works.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn import plot
from fastnn._core import num_threads
from fastnn.callbacks import ProgressBar
from fastnn.datasets import ImageData, load_digits, load_mnist
from fastnn.history import History
from fastnn.mlp import MLP
from fastnn.optim import Adam

_HIDDEN = (100, 100)
_RATE = 1e-3
_WARM_UP_BATCHES = 4
_SHOWN, _MISTAKES_SHOWN, _COLUMNS = 40, 8, 8
# What each backend is called in the output.
_BACKENDS = {"compiled": "compiled", "reference": "NumPy"}


class DemoError(RuntimeError):
    """The demo cannot run or cannot write its picture; the message is one sentence."""


@dataclass(frozen=True)
class Settings:
    """What both runs have in common.

    Attributes
    ----------
    epochs : int
        Passes over the training data.
    batch_size : int
        Rows a step.
    seed : int
        For the initial weights and the order of the rows.
    """

    epochs: int
    batch_size: int
    seed: int


@dataclass(frozen=True)
class Run:
    """One training and what came of it.

    Attributes
    ----------
    history : History
        Of the fit; ``history.seconds`` is its time.
    predicted : ndarray, shape (n_test,)
        The class found for each test image.
    accuracy : float
        Share of test images whose class was found, 0 to 1.
    """

    history: History
    predicted: npt.NDArray[np.intp]
    accuracy: float


def run_demo(
    data_folder: str | os.PathLike[str] | None = None,
    epochs: int | None = None,
    output: str | os.PathLike[str] = "fastnn-demo.png",
    seed: int = 0,
) -> dict[str, Run]:
    """Train the same network on both backends, print accuracy and time, and write the picture.

    Parameters
    ----------
    data_folder : path, optional
        Folder of MNIST's four IDX files; without it the digits that ship with the package.
    epochs : int, optional
        Default 30 for the shipped digits, 5 for a folder.
    output : path
        The PNG file to write.
    seed : int
        For the initial weights and the order of the rows.

    Returns
    -------
    dict of str to Run
        Under ``"compiled"`` and ``"reference"``.

    Raises
    ------
    DataError
        The folder is missing or damaged.
    DemoError
        matplotlib is missing, or the picture cannot be written.
    """
    picture = Path(output)
    _check_picture(picture)  # before the training, not after it
    data = load_digits() if data_folder is None else load_mnist(data_folder)
    small = data_folder is None
    settings = Settings(epochs=epochs or (30 if small else 5), batch_size=32 if small else 128, seed=seed)
    print(_describe(data, settings), flush=True)
    runs = {backend: _train(backend, data, settings) for backend in _BACKENDS}
    print(_report(runs, len(data.X_train) * settings.epochs))
    _draw(runs, data, picture)
    print(f"Picture: {picture.resolve()}")
    return runs


def _check_picture(path: Path) -> None:
    try:
        plot.new_figure()
    except ImportError as error:
        raise DemoError(str(error)) from None
    if not path.parent.is_dir():
        raise DemoError(f"{path}: there is no folder {path.parent} to write the picture to")
    if path.is_dir():
        raise DemoError(f"{path}: wanted a file to write the picture to, got a folder")


def _network(backend: str, data: ImageData, settings: Settings) -> MLP:
    sizes = [data.X_train.shape[1], *_HIDDEN, 10]
    return MLP(sizes, activation="relu", output="softmax", seed=settings.seed, backend=backend)


def _train(backend: str, data: ImageData, settings: Settings) -> Run:
    """One timed fit. A short fit of a throw-away network goes before it, so that neither backend pays for its start."""
    some = slice(0, _WARM_UP_BATCHES * settings.batch_size)
    _network(backend, data, settings).fit(
        data.X_train[some], data.y_train[some], optimizer=Adam(_RATE), epochs=1, batch_size=settings.batch_size
    )
    net = _network(backend, data, settings)
    history = net.fit(
        data.X_train,
        data.y_train,
        optimizer=Adam(_RATE),
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        callbacks=[ProgressBar(desc=f"training, {_BACKENDS[backend]}")],
    )
    predicted = net.predict(data.X_test).argmax(axis=1)
    return Run(history, predicted, float(np.mean(predicted == data.y_test)))


def _describe(data: ImageData, settings: Settings) -> str:
    height, width = data.image_shape
    sizes = "-".join(map(str, (data.X_train.shape[1], *_HIDDEN, 10)))
    return (
        f"{data.name}: {len(data.X_train):,} training and {len(data.X_test):,} test images of {height}×{width} pixels\n"
        f"Network {sizes}, ReLU, softmax, float32; Adam at {_RATE:g}, batches of {settings.batch_size}, "
        f"{settings.epochs} epochs, seed {settings.seed}\n"
        f"Threads: compiled {num_threads()}, NumPy {_numpy_threads()}"
    )


def _numpy_threads() -> str:
    """How many threads NumPy's matrix products may use; only threadpoolctl can tell, and it need not be there."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return "as many as its BLAS chooses"
    pools: list[dict[str, Any]] = threadpool_info()
    return str(max((pool["num_threads"] for pool in pools if pool["user_api"] == "blas"), default=1))


def _report(runs: dict[str, Run], samples: int) -> str:
    """A table of both runs and one line that compares them."""
    rows = [f"{'':10}{'test accuracy':>15}{'training time':>16}{'samples a second':>19}"]
    for backend, run in runs.items():
        rate = f"{samples / run.history.seconds:,.0f}"
        rows.append(f"{_BACKENDS[backend]:10}{100 * run.accuracy:>13.2f} %{run.history.seconds:>14.3f} s{rate:>19}")
    compiled, reference = runs["compiled"], runs["reference"]
    difference = np.max(np.abs(np.subtract(compiled.history.loss, reference.history.loss)))
    rows.append(
        f"NumPy takes {reference.history.seconds / compiled.history.seconds:.2f} times as long; "
        f"the losses of the two differ by at most {difference:.1g} in any epoch"
    )
    return "\n".join(rows)


def _draw(runs: dict[str, Run], data: ImageData, path: Path) -> None:
    """Loss curves on the left, test images with the compiled network's answers on the right."""
    figure = plot.new_figure(12, 5.4)
    panels: Any = figure.subfigures(1, 2, width_ratios=[1, 1.15])
    left, right = panels
    curves = {}
    for backend, run in runs.items():
        text = f"{_BACKENDS[backend]}: {100 * run.accuracy:.1f} % of test images right, {run.history.seconds:.2f} s"
        curves[text] = run.history.loss
    plot.loss_curves(curves, xlabel="epoch", log=True, title=f"Training loss on {data.name}", figure=left)
    predicted = runs["compiled"].predicted
    mistakes = np.flatnonzero(predicted != data.y_test)
    shown = _choose(mistakes, len(predicted))
    plot.predictions(
        data.X_test[shown],
        data.y_test[shown],
        predicted[shown],
        columns=_COLUMNS,
        shape=data.image_shape,
        title=f"{len(mistakes)} of {len(predicted):,} test images mistaken "
        f"({min(len(mistakes), _MISTAKES_SHOWN)} shown here, framed)",
        figure=right,
    )
    try:
        figure.savefig(path, format="png")
    except OSError as error:
        raise DemoError(f"{path}: the picture cannot be written ({error.strerror or error})") from None


def _choose(mistakes: npt.NDArray[np.intp], n: int) -> npt.NDArray[np.intp]:
    """Rows to show: the first mistakes, filled up with the first right ones, in the order of the data."""
    some = mistakes[:_MISTAKES_SHOWN]
    right = np.setdiff1d(np.arange(n), mistakes)[: _SHOWN - len(some)]
    return np.sort(np.concatenate([some, right]))
