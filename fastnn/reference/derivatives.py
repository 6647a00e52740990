"""Activations, backward: dz = dy ∘ g'(z), from the output y of the forward pass where y says enough.

Checks and documentation; the arithmetic is in `formulas`. The step function has no gradient and so no function here.
"""

from __future__ import annotations

import numpy as np

from fastnn._table import ACTIVATIONS
from fastnn.reference import _check
from fastnn.reference.formulas import BACKWARD

Array = np.ndarray


def _backward(
    name: str,
    dy: Array,
    y: Array,
    out: Array | None,
    alpha: float | None = None,
    z: Array | None = None,
) -> Array:
    _check.array("dy", dy, shape=_check.ROW if ACTIVATIONS[name].rowwise else None)
    _check.array("y", y, dy.dtype, dy.shape)
    if ACTIVATIONS[name].needs_z:
        _check.array("z", z, dy.dtype, dy.shape)
    slope = _check.alpha(ACTIVATIONS, name, alpha)
    return BACKWARD[name](dy, y, z, slope, _check.in_place("out", out, dy.dtype, dy.shape, dy=dy, y=y, z=z))


def identity_backward(dy: Array, y: Array, *, out: Array | None = None) -> Array:
    """Gradient through `identity_forward`: dz = dy.

    Parameters
    ----------
    dy : ndarray, any shape, float32 or float64
        Gradient of a cost with respect to the output.
    y : ndarray like dy
        The output of the forward pass.
    out : ndarray like dy, optional
        Receives dz; may be dy or y itself.

    Returns
    -------
    ndarray like dy
        dz, the gradient with respect to the pre-activation: `out`, or a new array.

    Raises
    ------
    TypeError, ValueError
        An array has another dtype, shape or layout.

    Examples
    --------
    >>> identity_backward(np.array([2.0]), np.array([0.5]))
    array([2.])
    """
    return _backward("identity", dy, y, out)


def sigmoid_backward(dy: Array, y: Array, *, out: Array | None = None) -> Array:
    """Gradient through `sigmoid_forward`: dz = dy * y * (1 - y).

    Parameters
    ----------
    dy : ndarray, any shape, float32 or float64
        Gradient of a cost with respect to the output.
    y : ndarray like dy
        The output of the forward pass.
    out : ndarray like dy, optional
        Receives dz; may be dy or y itself.

    Returns
    -------
    ndarray like dy
        dz, the gradient with respect to the pre-activation: `out`, or a new array.

    Raises
    ------
    TypeError, ValueError
        An array has another dtype, shape or layout.

    Examples
    --------
    >>> sigmoid_backward(np.array([2.0]), np.array([0.5]))
    array([0.5])
    """
    return _backward("sigmoid", dy, y, out)


def tanh_backward(dy: Array, y: Array, *, out: Array | None = None) -> Array:
    """Gradient through `tanh_forward`: dz = dy * (1 - y**2).

    Parameters
    ----------
    dy : ndarray, any shape, float32 or float64
        Gradient of a cost with respect to the output.
    y : ndarray like dy
        The output of the forward pass.
    out : ndarray like dy, optional
        Receives dz; may be dy or y itself.

    Returns
    -------
    ndarray like dy
        dz, the gradient with respect to the pre-activation: `out`, or a new array.

    Raises
    ------
    TypeError, ValueError
        An array has another dtype, shape or layout.

    Examples
    --------
    >>> tanh_backward(np.array([2.0]), np.array([0.5]))
    array([1.5])
    """
    return _backward("tanh", dy, y, out)


def relu_backward(dy: Array, y: Array, *, out: Array | None = None) -> Array:
    """Gradient through `relu_forward`: dz = dy * (1 where y > 0, else 0).

    Parameters
    ----------
    dy : ndarray, any shape, float32 or float64
        Gradient of a cost with respect to the output.
    y : ndarray like dy
        The output of the forward pass.
    out : ndarray like dy, optional
        Receives dz; may be dy or y itself.

    Returns
    -------
    ndarray like dy
        dz, the gradient with respect to the pre-activation: `out`, or a new array.

    Raises
    ------
    TypeError, ValueError
        An array has another dtype, shape or layout.

    Notes
    -----
    The derivative at z = 0 is taken as 0.

    Examples
    --------
    >>> relu_backward(np.array([2.0]), np.array([0.5]))
    array([2.])
    """
    return _backward("relu", dy, y, out)


def leaky_relu_backward(dy: Array, y: Array, alpha: float = 0.01, *, out: Array | None = None) -> Array:
    """Gradient through `leaky_relu_forward`: dz = dy * (1 where y > 0, else alpha).

    Parameters
    ----------
    dy : ndarray, any shape, float32 or float64
        Gradient of a cost with respect to the output.
    y : ndarray like dy
        The output of the forward pass.
    alpha : float
        As in the forward pass.
    out : ndarray like dy, optional
        Receives dz; may be dy or y itself.

    Returns
    -------
    ndarray like dy
        dz, the gradient with respect to the pre-activation: `out`, or a new array.

    Raises
    ------
    TypeError, ValueError
        An array has another dtype, shape or layout, or alpha is out of range.

    Notes
    -----
    The derivative at z = 0 is taken as alpha.

    Examples
    --------
    >>> leaky_relu_backward(np.array([2.0]), np.array([-0.5]))
    array([0.02])
    """
    return _backward("leaky_relu", dy, y, out, alpha=alpha)


def elu_backward(dy: Array, y: Array, alpha: float = 1.0, *, out: Array | None = None) -> Array:
    """Gradient through `elu_forward`: dz = dy * (1 where y > 0, else y + alpha).

    Parameters
    ----------
    dy : ndarray, any shape, float32 or float64
        Gradient of a cost with respect to the output.
    y : ndarray like dy
        The output of the forward pass.
    alpha : float
        As in the forward pass.
    out : ndarray like dy, optional
        Receives dz; may be dy or y itself.

    Returns
    -------
    ndarray like dy
        dz, the gradient with respect to the pre-activation: `out`, or a new array.

    Raises
    ------
    TypeError, ValueError
        An array has another dtype, shape or layout, or alpha is out of range.

    Examples
    --------
    >>> elu_backward(np.array([2.0]), np.array([-0.5]))
    array([1.])
    """
    return _backward("elu", dy, y, out, alpha=alpha)


def softplus_backward(dy: Array, y: Array, *, out: Array | None = None) -> Array:
    """Gradient through `softplus_forward`: dz = dy * (1 - exp(-y)).

    Parameters
    ----------
    dy : ndarray, any shape, float32 or float64
        Gradient of a cost with respect to the output.
    y : ndarray like dy
        The output of the forward pass.
    out : ndarray like dy, optional
        Receives dz; may be dy or y itself.

    Returns
    -------
    ndarray like dy
        dz, the gradient with respect to the pre-activation: `out`, or a new array.

    Raises
    ------
    TypeError, ValueError
        An array has another dtype, shape or layout.

    Examples
    --------
    >>> softplus_backward(np.array([2.0]), np.array([0.5]))
    array([0.78693868])
    """
    return _backward("softplus", dy, y, out)


def gelu_backward(dy: Array, y: Array, *, z: Array, out: Array | None = None) -> Array:
    """Gradient through `gelu_forward`: dz = dy * (Phi(z) + z * phi(z)), phi the standard normal density.

    Parameters
    ----------
    dy : ndarray, any shape, float32 or float64
        Gradient of a cost with respect to the output.
    y : ndarray like dy
        The output of the forward pass; its shape is checked, its values are not used.
    z : ndarray like dy
        The pre-activations of the forward pass.
    out : ndarray like dy, optional
        Receives dz; may be dy, y or z itself.

    Returns
    -------
    ndarray like dy
        dz, the gradient with respect to the pre-activation: `out`, or a new array.

    Raises
    ------
    TypeError, ValueError
        An array has another dtype, shape or layout.

    Examples
    --------
    >>> gelu_backward(np.array([2.0]), np.array([0.5]), z=np.array([1.0]))
    array([2.16663094])
    """
    return _backward("gelu", dy, y, out, z=z)


def silu_backward(dy: Array, y: Array, *, z: Array, out: Array | None = None) -> Array:
    """Gradient through `silu_forward`: dz = dy * s * (1 + z * (1 - s)) with s = 1 / (1 + exp(-z)).

    Parameters
    ----------
    dy : ndarray, any shape, float32 or float64
        Gradient of a cost with respect to the output.
    y : ndarray like dy
        The output of the forward pass; its shape is checked, its values are not used.
    z : ndarray like dy
        The pre-activations of the forward pass.
    out : ndarray like dy, optional
        Receives dz; may be dy, y or z itself.

    Returns
    -------
    ndarray like dy
        dz, the gradient with respect to the pre-activation: `out`, or a new array.

    Raises
    ------
    TypeError, ValueError
        An array has another dtype, shape or layout.

    Examples
    --------
    >>> silu_backward(np.array([2.0]), np.array([0.5]), z=np.array([1.0]))
    array([1.85534102])
    """
    return _backward("silu", dy, y, out, z=z)


def softmax_backward(dy: Array, y: Array, *, out: Array | None = None) -> Array:
    """Gradient through `softmax_forward`: dz = y * (dy - sum(dy * y)).

    Parameters
    ----------
    dy : ndarray, shape (..., n), float32 or float64
        Gradient of a cost with respect to the output.
    y : ndarray like dy
        The output of the forward pass.
    out : ndarray like dy, optional
        Receives dz; may be dy or y itself.

    Returns
    -------
    ndarray like dy
        dz, the gradient with respect to the pre-activation: `out`, or a new array.

    Raises
    ------
    TypeError, ValueError
        An array has another dtype, shape or layout.

    Notes
    -----
    The product with the Jacobian matrix diag(y) - y y^T of each row; the sum runs over the last axis.

    Examples
    --------
    >>> softmax_backward(np.array([1.0, 2.0]), np.array([0.25, 0.75]))
    array([-0.1875,  0.1875])
    """
    return _backward("softmax", dy, y, out)
