"""Small networks, data for one, and a callback that keeps what it sees: for tests of fit. Not a test itself."""

import numpy as np

from fastnn import MLP, Callback


def data(m: int = 50) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(m, 4))
    return X, (X[:, 0] * X[:, 1] > 0).astype(int) + (X[:, 2] > 1)


def network(backend: str = "reference", **options: object) -> MLP:
    settings = {"activation": "tanh", "output": "softmax", "dtype": "float64", "seed": 3, "backend": backend}
    return MLP([4, 9, 6, 3], **{**settings, **options})


def small_network(backend: str, **options: object) -> MLP:
    return MLP([3, 4, 2], **{"activation": "tanh", "seed": 1, "backend": backend, **options})


class Recorder(Callback):
    def __init__(self) -> None:
        self.calls: list[tuple] = []

    def on_fit_begin(self, fit: object) -> None:
        self.calls.append(("begin", fit.epochs, fit.n_batches, fit.n_rows))

    def on_batch_end(self, fit: object) -> None:
        self.calls.append(("batch", fit.epoch, fit.batch))

    def on_epoch_end(self, fit: object) -> None:
        assert fit.history.loss[-1] == fit.loss
        self.calls.append(("epoch", fit.epoch))

    def on_fit_end(self, fit: object) -> None:
        self.calls.append(("end", fit.failed))
