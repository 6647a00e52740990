"""A fit by `fastnn.sklearn` needs no more memory than scikit-learn's."""

import subprocess
import sys
import tracemalloc
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

import scipy.sparse
from sklearn import neural_network as theirs
from sklearn.exceptions import ConvergenceWarning

from fastnn import sklearn as ours
from fastnn.sklearn import _training

NAMES = ("MLPClassifier", "MLPRegressor")
SETTINGS: dict[str, dict[str, Any]] = {
    "adam": {},
    "large batches": {"batch_size": 1000},
    "in order": {"shuffle": False},
    "early stopping": {"early_stopping": True},
    "lbfgs": {"solver": "lbfgs"},
}
X = np.random.default_rng(0).standard_normal((4000, 300), dtype=np.float32)
Y = (X[:, 0] > 0).astype(int)
# What the engine cannot read as it is.
LAYOUTS = {
    "columns": np.asfortranarray,
    "a part": lambda X: np.repeat(X, 2, axis=1)[:, ::2],
    "sparse": lambda X: scipy.sparse.csr_matrix(np.where(X > 1, X, 0)),
}


def fit(module: Any, name: str, X: Any, **settings: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return getattr(module, name)(hidden_layer_sizes=(30,), max_iter=2, random_state=0, **settings).fit(X, Y)


def traced_peak(module: Any, name: str, X: Any, **settings: Any) -> int:
    """Bytes that NumPy held at most during a fit, beyond what was there before."""
    fit(module, name, X, **settings)  # imports, and what is kept for the next time
    tracemalloc.start()
    try:
        fit(module, name, X, **settings)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", SETTINGS)
@pytest.mark.parametrize("name", NAMES)
def test_numpy_memory_of_a_fit(name: str, kind: str) -> None:
    mine, other = (traced_peak(module, name, X, **SETTINGS[kind]) for module in (ours, theirs))
    assert 0 < mine <= other


@pytest.mark.parametrize(("solver", "rows"), [("adam", 200), ("lbfgs", _training._DENSE_ROWS)])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_large_data_are_copied_in_pieces(layout: str, solver: str, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    data = LAYOUTS[layout](X)
    at_once = fit(ours, "MLPRegressor", data, solver=solver)
    monkeypatch.setattr(_training, "_COPY_BYTES", 0)
    in_pieces = fit(ours, "MLPRegressor", data, solver=solver)
    for a, b in zip(at_once.coefs_ + at_once.intercepts_, in_pieces.coefs_ + in_pieces.intercepts_, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)
    mine, other = (traced_peak(module, "MLPRegressor", data, solver=solver) for module in (ours, theirs))
    # scikit-learn multiplies sparse rows as they are, the engine a piece made dense.
    assert 0 < mine <= other + (X[:rows].nbytes if layout == "sparse" else 0)
    monkeypatch.undo()
    assert traced_peak(ours, "MLPRegressor", data, solver=solver) > mine


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_weights_and_penalty_in_pieces(solver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data, weight = np.asfortranarray(X, np.float64), np.arange(len(X)) % 3.0
    monkeypatch.setattr(_training, "_COPY_BYTES", 0)
    settings = {"solver": solver, "hidden_layer_sizes": (5,), "alpha": 50.0, "max_iter": 4, "random_state": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        pieces, whole = (
            ours.MLPRegressor(**settings).fit(data, Y, sample_weight=weight)
            for data in (data, np.ascontiguousarray(data))
        )
    assert pieces.loss_ == pytest.approx(whole.loss_, rel=1e-9)
    np.testing.assert_allclose(pieces.coefs_[0], whole.coefs_[0], rtol=1e-6, atol=1e-12)


# The kernel also counts what BLAS and the engine allocate outside NumPy. Not ru_maxrss, which a process inherits from
# the one that started it. With a prediction, because a fit by mini-batches alone takes too little to show.
STATUS = Path("/proc/self/status")
PROCESS = """
import re, warnings
import numpy as np
from pathlib import Path
from {module} import {name}
warnings.simplefilter("ignore")
X = np.random.default_rng(0).standard_normal((20_000, 784), dtype=np.float32)
y = (X[:, 0] > 0).astype(int)
def peak():
    return 1024 * int(re.search(r"VmHWM:\\s*(\\d+) kB", Path("{status}").read_text())[1])
net = {name}(max_iter=2, random_state=0, **{settings})
before = peak()
net.fit(X, y).predict(X)
print(peak() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not STATUS.exists(), reason="the kernel does not tell")
@pytest.mark.parametrize("kind", ["adam", "early stopping", "lbfgs"])
@pytest.mark.parametrize("name", NAMES)
def test_resident_memory_of_a_fit(name: str, kind: str) -> None:
    mine, other = (
        int(
            subprocess.check_output(
                [sys.executable, "-c", PROCESS.format(module=module, name=name, settings=SETTINGS[kind], status=STATUS)]
            )
        )
        for module in (ours.__name__, theirs.__name__)
    )
    assert other > 4 << 20, "scikit-learn's fit did not show: nothing was compared"
    assert mine <= other + (1 << 20)  # pages come and go by the megabyte
