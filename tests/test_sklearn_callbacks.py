"""`fastnn.sklearn` with `sklearn.callback`, which scikit-learn has since 1.9, and our own ``callbacks`` beside it."""

import importlib.util
import pickle
import warnings
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastnn.sklearn import MLPClassifier, MLPRegressor, accelerate

THERE = importlib.util.find_spec("sklearn.callback") is not None
needs_callbacks = pytest.mark.skipif(not THERE, reason="this scikit-learn has no callbacks")
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)
SOLVERS = ("sgd", "adam", "lbfgs")


class Recorder:
    """Keeps what the hooks are given; with `last`, ends training after that many steps."""

    def __init__(self, last: int | None = None, fails: bool = False) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.given: list[dict[str, Any]] = []
        self.last, self.fails = last, fails

    def setup(self, estimator: Any, context: Any) -> None:
        self.calls.append(("setup", context))

    def teardown(self, estimator: Any, context: Any) -> None:
        self.calls.append(("teardown", context))

    def on_fit_task_begin(
        self, estimator: Any, context: Any, *, X: Any, y: Any, metadata: Any, fitted_estimator: Any
    ) -> None:
        self.calls.append(("begin", context))

    def on_fit_task_end(
        self, estimator: Any, context: Any, *, X: Any, y: Any, metadata: Any, fitted_estimator: Any
    ) -> bool:
        if self.fails:
            raise RuntimeError("a callback failed")
        self.calls.append(("end", context))
        if context.parent is not None and fitted_estimator is not None:  # an epoch that was run
            self.given.append({"X": X, "y": y, "metadata": metadata, "fitted": fitted_estimator})
        return len(self.given) == self.last

    def outline(self) -> list[str]:
        return [f"{hook} {context.task_name}" for hook, context in self.calls]


def net(**settings: Any) -> Any:
    return MLPClassifier(**{"hidden_layer_sizes": (5,), "max_iter": 4, "random_state": 0, **settings})


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_there_where_scikit_learn_has_them(kind: Any) -> None:
    assert hasattr(kind(), "set_callbacks") == THERE


@needs_callbacks
@pytest.mark.parametrize("solver", SOLVERS)
def test_hooks_in_their_order(solver: str) -> None:
    recorder = Recorder()
    fitted = net(solver=solver).set_callbacks(recorder).fit(X, Y)
    step = "iteration" if solver == "lbfgs" else "epoch"
    # The iteration after the last is begun by SciPy's report of the last, and is closed empty.
    steps = [f"begin {step}", f"end {step}"] * (fitted.n_iter_ + (solver == "lbfgs"))
    assert recorder.outline() == ["setup fit", "begin fit", *steps, "end fit", "teardown fit"]
    contexts = [context for hook, context in recorder.calls if hook == "end"]
    assert [context.task_id for context in contexts[:-1]] == list(range(len(steps) // 2))
    assert contexts[-1].max_subtasks == len(steps) // 2
    assert all(context.parent is contexts[-1] and context.max_subtasks == 0 for context in contexts[:-1])
    assert not hasattr(fitted, "_callback_fit_ctx")


@needs_callbacks
def test_partial_fit_is_a_fit_of_one_epoch() -> None:
    recorder = Recorder()
    net().set_callbacks(recorder).partial_fit(X, Y, classes=[0, 1, 2]).partial_fit(X, Y)
    once = ["setup fit", "begin fit", "begin epoch", "end epoch", "end fit", "teardown fit"]
    assert recorder.outline() == once * 2


@needs_callbacks
@pytest.mark.parametrize(
    "settings",
    [{"solver": solver} for solver in SOLVERS] + [{"early_stopping": True, "learning_rate_init": 0.1}],
    ids=str,
)
@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_the_estimator_after_each_step_is_that_of_a_shorter_fit(kind: Any, settings: dict[str, Any]) -> None:
    settings = {"hidden_layer_sizes": (5,), "max_iter": 8, "random_state": 0, **settings}
    recorder = Recorder()
    kind(**settings).set_callbacks(recorder).fit(X, Y)
    assert len(recorder.given) == 8
    for n, given in enumerate(recorder.given, start=1):
        shorter = kind(**{**settings, "max_iter": n}).fit(X, Y)
        np.testing.assert_array_equal(given["fitted"].predict(X), shorter.predict(X))
        for a, b in zip(given["fitted"].coefs_, shorter.coefs_, strict=True):
            np.testing.assert_array_equal(a, b)
        for curve in ("loss_curve_", "validation_scores_"):
            assert getattr(given["fitted"], curve, None) == getattr(shorter, curve, None)
        assert given["fitted"].n_iter_ == n


@needs_callbacks
def test_data_as_they_were_given() -> None:
    words, weight = np.array(["setosa", "versicolor", "virginica"])[Y], np.arange(len(Y), dtype=float)
    recorder = Recorder()
    net().set_callbacks(recorder).fit(X, words, sample_weight=weight)
    for given in recorder.given:
        assert given["X"] is X and given["y"] is words and given["metadata"] == {"sample_weight": weight}


@pytest.mark.parametrize("how", ["callbacks=", pytest.param("set_callbacks", marks=needs_callbacks)])
@pytest.mark.parametrize("solver", SOLVERS)
def test_a_callback_ends_training_without_a_warning(solver: str, how: str) -> None:
    fitted = net(solver=solver, max_iter=50)
    if how == "callbacks=":
        fitted.set_params(callbacks=[lambda estimator: estimator.n_iter_ == 3])
    else:
        fitted.set_callbacks(recorder := Recorder(last=3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted.fit(X, Y)
    assert fitted.n_iter_ == 3
    if how == "set_callbacks":
        begun, ended = (
            recorder.outline().count(f"{hook} {recorder.calls[2][1].task_name}") for hook in ("begin", "end")
        )
        assert begun == ended == 3
        np.testing.assert_array_equal(recorder.given[-1]["fitted"].coefs_[0], fitted.coefs_[0])


@needs_callbacks
@pytest.mark.parametrize("solver", SOLVERS)
def test_teardown_after_an_error(solver: str) -> None:
    recorder = Recorder(fails=True)
    with pytest.raises(RuntimeError, match="a callback failed"):
        net(solver=solver).set_callbacks(recorder).fit(X, Y)
    assert recorder.outline()[-1] == "teardown fit"


@needs_callbacks
def test_copies() -> None:
    """They stay with clones and pickles, as scikit-learn has it, and not with conversions."""
    fitted = net().set_callbacks(Recorder()).fit(X, Y)
    assert clone(fitted)._skl_callbacks == fitted._skl_callbacks
    fresh = pickle.loads(pickle.dumps(net().set_callbacks(Recorder())))
    assert len(fresh.fit(X, Y)._skl_callbacks[0].given) == 4
    assert not hasattr(fitted.to_sklearn(), "_skl_callbacks")
    assert not hasattr(accelerate(fitted), "_skl_callbacks")
    assert not hasattr(fitted.set_callbacks(), "_skl_callbacks")


@needs_callbacks
@pytest.mark.parametrize("kind", ["alone", "in a pipeline", "in a search"])
def test_progress_bar(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("rich")
    from sklearn.callback import ProgressBar

    model = net()
    if kind != "alone":
        model = make_pipeline(StandardScaler(), model)
    if kind == "in a search":
        model = GridSearchCV(model, {"mlpclassifier__alpha": [0.0, 1.0]}, cv=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # "does not support callbacks"
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.set_callbacks(ProgressBar(max_propagation_depth=None)).fit(X, Y)
    lines = [line for line in capsys.readouterr().out.splitlines() if "MLPClassifier - fit" in line]
    assert lines and all("100%" in line for line in lines)


@needs_callbacks
@pytest.mark.parametrize("library", ["numpy", "pandas"])
def test_scoring_monitor(library: str) -> None:
    from sklearn.callback import ScoringMonitor

    data = X if library == "numpy" else pytest.importorskip("pandas").DataFrame(X, columns=list("abcd"))
    monitor = ScoringMonitor(scoring="accuracy")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # names of columns that went missing on the way
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = net(learning_rate_init=0.05).set_callbacks(monitor).fit(data, Y)
    rows = monitor.get_logs().data
    # The fit itself, and its epochs.
    assert len(rows) == 5
    assert [row["accuracy"] for row in rows if row["task_name"] == "fit"] == [fitted.score(data, Y)]
    assert [row["accuracy"] for row in rows if row["task_name"] == "epoch"][-1] == fitted.score(data, Y)
