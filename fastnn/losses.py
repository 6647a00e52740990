"""Which loss goes with which output, and what targets each accepts.

The formulas are `fastnn.reference.softmax_cross_entropy`, `sigmoid_cross_entropy` and `squared_error`. Here targets and
sample weights become what an engine takes, or are refused with the row that is wrong.
"""

from typing import Any

import numpy as np

from fastnn._arrays import Array, numbers, real_array, require_finite
from fastnn._table import LOSSES, ROW_SUM_TOLERANCE

# The output activation of each task, from which its loss follows.
TASKS = {"binary": "sigmoid", "multiclass": "softmax", "regression": "identity"}


def is_probabilistic(loss: str) -> bool:
    """Whether targets are probabilities: the loss contains the output's activation (a cross-entropy does)."""
    return LOSSES[loss].link != "identity"


def default_output(loss: str | None, task: str | None) -> str:
    """The output activation where none is given: the task's, else the loss's, else identity."""
    if task is not None:
        if task not in TASKS:
            raise ValueError(f"task: wanted one of {', '.join(TASKS)}, got {task!r}")
        return TASKS[task]
    if loss is not None and loss in LOSSES:
        return LOSSES[loss].link
    return "identity"


def default_loss(output: str, task: str | None) -> str:
    """The loss where none is given: that of the task, else the cross-entropy of the output, else squared error."""
    if task is not None and task not in TASKS:
        raise ValueError(f"task: wanted one of {', '.join(TASKS)}, got {task!r}")
    wanted = output if task is None else TASKS[task]
    return next(
        (name for name, loss in LOSSES.items() if is_probabilistic(name) and loss.link == wanted), "squared_error"
    )


def prepare_target(name: str, y: Any, loss: str, n_rows: int, n_outputs: int, dtype: np.dtype[Any]) -> Array:
    """Targets as an engine takes them: labels (n,) of intp, or real rows (n, n_outputs).

    Parameters
    ----------
    name : str
        What error messages call the targets.
    y : array_like
        For softmax cross-entropy integer labels (n,) in 0 … n_outputs − 1, or rows (n, n_outputs) that sum to 1; for
        sigmoid cross-entropy values in [0, 1], for squared error any, of shape (n, n_outputs), or (n,) where there is
        one output. Booleans and integers are taken as numbers.
    loss : str
        A key of `fastnn.reference.LOSSES`.
    n_rows, n_outputs : int
        What the inputs and the network have.
    dtype : numpy.dtype
        The network's.

    Raises
    ------
    ValueError
        Another shape, a label or value out of range, NaN or infinity, a row that does not sum to 1.
    TypeError
        Something other than real numbers.
    """
    labels = LOSSES[loss].labels
    array = numbers(name, y)
    if labels and array.ndim == 1 and array.dtype.kind in "iub":
        return _labels(name, array, n_rows, n_outputs)
    if labels and array.ndim == 1 and array.dtype.kind == "f":
        wanted = f"integer labels or rows of shape ({n_rows}, {n_outputs})"
        raise TypeError(f"{name}: wanted {wanted}, got {array.dtype} of shape {array.shape}")
    rows = array.reshape(-1, 1) if array.ndim == 1 and n_outputs == 1 else array
    if rows.shape != (n_rows, n_outputs):
        wanted = f"({n_rows}, {n_outputs})"
        if labels or n_outputs == 1:
            wanted = f"({n_rows},) or " + wanted
        raise ValueError(f"{name}: wanted shape {wanted} for loss {loss!r}, got {array.shape}")
    target = real_array(rows, dtype)
    require_finite(name, target)
    if is_probabilistic(loss):
        _require_rows(name, target, ((target >= 0) & (target <= 1)).all(axis=1), "values in [0, 1]")
    if labels:
        sums = target.sum(axis=1, dtype=np.float64)
        _require_rows(name, target, np.abs(sums - 1.0) <= ROW_SUM_TOLERANCE, "a sum of 1")
    return target


def prepare_weight(name: str, weight: Any, n_rows: int, dtype: np.dtype[Any]) -> Array | None:
    """Sample weights (n,) as a real array, or None; ValueError unless finite, >= 0 and not all zero."""
    if weight is None:
        return None
    array = numbers(name, weight)
    if array.shape != (n_rows,):
        raise ValueError(f"{name}: wanted shape ({n_rows},), got {array.shape}")
    array = real_array(array, dtype)
    require_finite(name, array)
    if n_rows and array.min() < 0:
        row = int(np.argmax(array < 0))
        raise ValueError(f"{name}: row {row} is {array[row]}, wanted weights >= 0")
    if n_rows and array.max() == 0:
        raise ValueError(f"{name}: every weight is 0, wanted a sum > 0")
    return array


def has_classes(target: Array, loss: str) -> bool:
    """Whether a prepared target names classes, so that predictions are right or wrong."""
    return is_probabilistic(loss) and (LOSSES[loss].labels or bool(np.isin(target, (0, 1)).all()))


def accuracy(outputs: Array, target: Array, loss: str, output: str, weight: Array | None) -> float | None:
    """Share of rows (of values, for several sigmoid outputs) that are right; None where the targets are no classes.

    A sigmoid output is right on the same side of ½ as its target (of 0 for logits); a softmax row where its largest
    entry is the label, or the largest entry of the target row.
    """
    if not has_classes(target, loss):
        return None
    if LOSSES[loss].labels:
        labels = target if target.ndim == 1 else target.argmax(axis=1)
        right = (outputs.argmax(axis=1) == labels).astype(np.float64)
    else:
        threshold = 0.0 if output == "identity" else 0.5
        right = ((outputs >= threshold) == (target >= 0.5)).mean(axis=1)
    return float(np.average(right, weights=weight))


def _labels(name: str, labels: Array, n_rows: int, n_classes: int) -> Array:
    if labels.shape != (n_rows,):
        raise ValueError(f"{name}: wanted {n_rows} labels, one per row, got {labels.size}")
    if n_rows and (labels.min() < 0 or labels.max() >= n_classes):
        row = int(np.argmax((labels < 0) | (labels >= n_classes)))
        raise ValueError(f"{name}: row {row} is label {labels[row]}, wanted 0 to {n_classes - 1}")
    return np.require(labels, np.intp, ["C", "A"])


def _require_rows(name: str, target: Array, good: Any, wanted: str) -> None:
    if not good.all():
        row = int(np.argmin(good))
        shown = np.array2string(target[row], threshold=8, precision=4)
        raise ValueError(f"{name}: row {row} is {shown}, wanted {wanted}")
