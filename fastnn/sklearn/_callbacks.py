"""scikit-learn's callbacks, `sklearn.callback`: a fit as a task, and each epoch or iteration as one within it.

They came with version 1.9. Before that the estimators have no ``set_callbacks``, and nothing here does anything.
"""

from __future__ import annotations

from typing import Any

from fastnn._arrays import Array

try:
    from sklearn import callback
except ImportError:
    CallbackSupport: Any = object
else:
    CallbackSupport = callback.CallbackSupportMixin


class FitTasks:
    """The task of one fit, its steps one after another; free of charge where no callbacks are set.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor

    Attributes
    ----------
    before : dict or None
        The estimator's attributes as they were; None once training has begun, which may need their memory.
    """

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator
        self.before: dict[str, Any] | None = dict(vars(estimator))
        self.fit: Any = None
        self.step: Any = None

    def open(self, X: Any, y: Any, weight: Any, name: str, n_steps: int) -> None:
        """The fit is about to begin.

        Parameters
        ----------
        X, y, weight : array-like
            As they were given to ``fit``: a frame's names stay with it.
        name : str
            Of a step: "epoch" or "iteration".
        n_steps : int
            At most.
        """
        estimator, self.name = self.estimator, name
        if getattr(estimator, "_skl_callbacks", None):
            metadata = None if weight is None else {"sample_weight": weight}
            self.given = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
            self.fit = estimator._init_callback_context(max_subtasks=n_steps)
            self.fit.call_on_fit_task_begin(**self.given)

    def begin(self, parameters: Array) -> None:
        """A step begins, from these parameters."""
        self.before = None
        if self.fit is not None:
            self.step = self.fit.subcontext(task_name=self.name)
            self.step.call_on_fit_task_begin(**self.given, reconstruction_attributes=lambda: self._fitted(parameters))

    def end(self, parameters: Array) -> bool:
        """A step has ended, at these parameters; whether a callback wants it to be the last."""
        if self.fit is None:
            return False
        step, self.step = self.step, None
        return step.call_on_fit_task_end(**self.given, reconstruction_attributes=lambda: self._fitted(parameters))

    def close(self) -> None:
        """The fit has ended."""
        if self.fit is None:
            return
        if self.step is not None:  # begun, but training was over
            self.step.call_on_fit_task_end(estimator=self.estimator)
        self.fit.call_on_fit_task_end(**self.given, reconstruction_attributes={})

    def _fitted(self, parameters: Array) -> dict[str, Any]:
        """What a copy of the estimator needs to be as if training had stopped: nothing that goes on changing."""
        net = self.estimator._net
        views = net.key[0].layer_views(parameters.astype(net.engine.parameters.dtype))  # astype copies
        curves = ("loss_curve_", "validation_scores_", "validation_loss_curve_")
        values = {name: getattr(self.estimator, name, None) for name in curves}
        return {
            "coefs_": [W for W, _ in views],
            "intercepts_": [b for _, b in views],
            **{name: list(value) for name, value in values.items() if value is not None},
        }
