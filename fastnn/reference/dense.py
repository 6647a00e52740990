"""A fully connected layer: affine map and activation in one call, forward and backward.

B rows (samples), I inputs, O outputs; everything row-major.
"""

from __future__ import annotations

import numpy as np

from fastnn._table import ACTIVATIONS
from fastnn.reference import _check
from fastnn.reference.formulas import BACKWARD, FORWARD

Array = np.ndarray


def _activation(name: str, alpha: float | None) -> float:
    """The checked parameter of a known activation."""
    if not isinstance(name, str):
        raise TypeError(f"activation: wanted a name, got {type(name).__name__}")
    if name not in ACTIVATIONS:
        raise ValueError(f"activation: wanted one of {', '.join(ACTIVATIONS)}, got {name!r}")
    return _check.alpha(ACTIVATIONS, name, alpha)


def affine_forward(
    x: Array,
    w: Array,
    b: Array | None,
    activation: str = "identity",
    *,
    alpha: float | None = None,
    z: Array | None = None,
    out: Array | None = None,
) -> Array:
    """Affine map and activation: y = g(x w + b).

    Parameters
    ----------
    x : ndarray, shape (B, I), float32 or float64
        Rows of inputs, C-contiguous like all arrays here.
    w : ndarray, shape (I, O), dtype of x
        Weights.
    b : ndarray, shape (O,), dtype of x, or None
        Biases; None is without.
    activation : str
        Name of g, one of the activations of this module.
    alpha : float, optional
        Parameter of "leaky_relu" or "elu", by default theirs (0.01, 1.0); other activations ignore it.
    z : ndarray, shape (B, O), dtype of x, optional
        Also receives the pre-activation x w + b.
    out : ndarray, shape (B, O), dtype of x, optional
        Receives y.

    Returns
    -------
    ndarray, shape (B, O)
        y: `out`, or a new array.

    Raises
    ------
    TypeError, ValueError
        An array has another dtype, shape or layout, `z` or `out` overlaps another argument, the activation is unknown
        or alpha is out of its range.

    Examples
    --------
    >>> x = np.array([[1.0, 2.0]])
    >>> w = np.array([[1.0, -1.0], [0.5, 0.0]])
    >>> affine_forward(x, w, np.array([0.0, 0.5]), "relu")
    array([[2., 0.]])
    """
    _check.array("x", x, shape=("B", "I"))
    _check.array("w", w, x.dtype, (x.shape[1], "O"))
    shape = (x.shape[0], w.shape[1])
    if b is not None:
        _check.array("b", b, x.dtype, shape[1:])
    slope = _activation(activation, alpha)
    if z is not None:
        _check.output("z", z, x.dtype, shape, x=x, w=w, b=b)
    y = _check.output("out", out, x.dtype, shape, x=x, w=w, b=b, z=z)
    pre = np.matmul(x, w, out=y if z is None else z)
    if b is not None:
        pre += b
    return FORWARD[activation](pre, slope, y)


def _wanted(
    name: str, a: Array | bool | None, dtype: np.dtype, shape: tuple[int, ...], **inputs: Array | None
) -> Array | None:
    """The array for a gradient, or None where the caller passed False."""
    if a is False:
        return None
    return _check.output(name, a, dtype, shape, **inputs)


def affine_backward(
    dy: Array,
    x: Array,
    w: Array,
    y: Array,
    activation: str = "identity",
    *,
    alpha: float | None = None,
    z: Array | None = None,
    dx: Array | bool | None = None,
    dw: Array | bool | None = None,
    db: Array | bool | None = None,
) -> tuple[Array | None, Array | None, Array | None]:
    """Gradients through `affine_forward`: dw = x^T dz, db = column sums of dz, dx = dz w^T, with dz = dy * g'(z).

    Nothing is divided by the number of rows here: the gradient that a loss returns carries the mean.

    Parameters
    ----------
    dy : ndarray, shape (B, O), float32 or float64
        Gradient of a cost with respect to y.
    x : ndarray, shape (B, I), dtype of dy
        Inputs of the forward pass.
    w : ndarray, shape (I, O), dtype of dy
        Weights of the forward pass.
    y : ndarray, shape (B, O), dtype of dy
        Outputs of the forward pass.
    activation : str
        Name of g; any but "step", which has no gradient.
    alpha : float, optional
        As in the forward pass.
    z : ndarray, shape (B, O), dtype of dy
        Pre-activations of the forward pass; needed for "gelu" and "silu" only.
    dx : ndarray, shape (B, I), or None or False
        An array receives the gradient; None makes a new one; False leaves it out of the computation.
    dw : ndarray, shape (I, O), or None or False
        The same for the weights.
    db : ndarray, shape (O,), or None or False
        The same for the biases.

    Returns
    -------
    tuple of ndarray or None
        (dx, dw, db), None for those that were not wanted.

    Raises
    ------
    TypeError, ValueError
        An array has another dtype, shape or layout, an output overlaps another argument, the activation is unknown or
        has no gradient, or z is missing.

    Examples
    --------
    >>> x, w, dy = np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]]), np.array([[0.5]])
    >>> dx, dw, db = affine_backward(dy, x, w, affine_forward(x, w, None), dx=False)
    >>> dx is None, dw.ravel(), db
    (True, array([0.5, 1. ]), array([0.5]))
    """
    _check.array("dy", dy, shape=("B", "O"))
    rows, columns = dy.shape
    _check.array("x", x, dy.dtype, (rows, "I"))
    _check.array("w", w, dy.dtype, (x.shape[1], columns))
    _check.array("y", y, dy.dtype, dy.shape)
    slope = _activation(activation, alpha)
    if not ACTIVATIONS[activation].differentiable:
        raise ValueError(f"activation: wanted one that has a gradient, got {activation!r}")
    inputs = {"dy": dy, "x": x, "w": w, "y": y}
    if ACTIVATIONS[activation].needs_z:
        if z is None:
            raise ValueError(f"z: wanted the pre-activations, which {activation!r} needs, got None")
        inputs["z"] = _check.array("z", z, dy.dtype, dy.shape)
    dx = _wanted("dx", dx, dy.dtype, x.shape, **inputs)
    dw = _wanted("dw", dw, dy.dtype, w.shape, **inputs, dx=dx)
    db = _wanted("db", db, dy.dtype, (columns,), **inputs, dx=dx, dw=dw)
    dz = dy if activation == "identity" else BACKWARD[activation](dy, y, z, slope, np.empty_like(dy))
    if dx is not None:
        np.matmul(dz, w.T, out=dx)
    if dw is not None:
        np.matmul(x.T, dz, out=dw)
    if db is not None:
        np.sum(dz, axis=0, out=db)
    return dx, dw, db
