"""Activations, forward: y = g(z), element by element, or row by row for the softmax.

Checks and documentation; the arithmetic is in `formulas`, the gradients are in `derivatives`.
"""

from __future__ import annotations

import numpy as np

from fastnn._table import ACTIVATIONS
from fastnn.reference import _check
from fastnn.reference.formulas import FORWARD

Array = np.ndarray


def _forward(name: str, z: Array, out: Array | None, alpha: float | None = None) -> Array:
    _check.array("z", z, shape=_check.ROW if ACTIVATIONS[name].rowwise else None)
    slope = _check.alpha(ACTIVATIONS, name, alpha)
    return FORWARD[name](z, slope, _check.in_place("out", out, z.dtype, z.shape, z=z))


def identity_forward(z: Array, *, out: Array | None = None) -> Array:
    """The input unchanged: y = z.

    Parameters
    ----------
    z : ndarray, any shape, float32 or float64
        Pre-activations, C-contiguous.
    out : ndarray like z, optional
        Receives y; may be z itself.

    Returns
    -------
    ndarray like z
        y: `out`, or a new array.

    Raises
    ------
    TypeError, ValueError
        An array has another dtype, shape or layout.

    Examples
    --------
    >>> identity_forward(np.array([-1.0, 2.0]))
    array([-1.,  2.])
    """
    return _forward("identity", z, out)


def sigmoid_forward(z: Array, *, out: Array | None = None) -> Array:
    """Logistic function: y = 1 / (1 + exp(-z)).

    Parameters
    ----------
    z : ndarray, any shape, float32 or float64
        Pre-activations, C-contiguous.
    out : ndarray like z, optional
        Receives y; may be z itself.

    Returns
    -------
    ndarray like z
        y: `out`, or a new array.

    Raises
    ------
    TypeError, ValueError
        An array has another dtype, shape or layout.

    Notes
    -----
    Computed from exp(-abs(z)), so that nothing overflows and very negative z keep their relative accuracy, down to
    denormals.

    Examples
    --------
    >>> sigmoid_forward(np.array([-2.0, 0.0]))
    array([0.11920292, 0.5       ])
    """
    return _forward("sigmoid", z, out)


def tanh_forward(z: Array, *, out: Array | None = None) -> Array:
    """Hyperbolic tangent: y = tanh(z).

    Parameters
    ----------
    z : ndarray, any shape, float32 or float64
        Pre-activations, C-contiguous.
    out : ndarray like z, optional
        Receives y; may be z itself.

    Returns
    -------
    ndarray like z
        y: `out`, or a new array.

    Raises
    ------
    TypeError, ValueError
        An array has another dtype, shape or layout.

    Examples
    --------
    >>> tanh_forward(np.array([-1.0, 0.5]))
    array([-0.76159416,  0.46211716])
    """
    return _forward("tanh", z, out)


def relu_forward(z: Array, *, out: Array | None = None) -> Array:
    """Rectified linear unit: y = max(z, 0).

    Parameters
    ----------
    z : ndarray, any shape, float32 or float64
        Pre-activations, C-contiguous.
    out : ndarray like z, optional
        Receives y; may be z itself.

    Returns
    -------
    ndarray like z
        y: `out`, or a new array.

    Raises
    ------
    TypeError, ValueError
        An array has another dtype, shape or layout.

    Notes
    -----
    V. Nair and G. E. Hinton, Rectified linear units improve restricted Boltzmann machines, ICML 2010.

    Examples
    --------
    >>> relu_forward(np.array([-1.0, 2.0]))
    array([0., 2.])
    """
    return _forward("relu", z, out)


def leaky_relu_forward(z: Array, alpha: float = 0.01, *, out: Array | None = None) -> Array:
    """Leaky rectified linear unit: y = z where z > 0, else alpha * z.

    Parameters
    ----------
    z : ndarray, any shape, float32 or float64
        Pre-activations, C-contiguous.
    alpha : float
        Slope below zero, finite, >= 0.
    out : ndarray like z, optional
        Receives y; may be z itself.

    Returns
    -------
    ndarray like z
        y: `out`, or a new array.

    Raises
    ------
    TypeError, ValueError
        An array has another dtype, shape or layout, or alpha is out of range.

    Notes
    -----
    A. L. Maas et al., Rectifier nonlinearities improve neural network acoustic models, ICML 2013.

    Examples
    --------
    >>> leaky_relu_forward(np.array([-1.0, 2.0]))
    array([-0.01,  2.  ])
    """
    return _forward("leaky_relu", z, out, alpha)


def elu_forward(z: Array, alpha: float = 1.0, *, out: Array | None = None) -> Array:
    """Exponential linear unit: y = z where z > 0, else alpha * (exp(z) - 1).

    Parameters
    ----------
    z : ndarray, any shape, float32 or float64
        Pre-activations, C-contiguous.
    alpha : float
        Limit for z to minus infinity is -alpha; finite, > 0.
    out : ndarray like z, optional
        Receives y; may be z itself.

    Returns
    -------
    ndarray like z
        y: `out`, or a new array.

    Raises
    ------
    TypeError, ValueError
        An array has another dtype, shape or layout, or alpha is out of range.

    Notes
    -----
    D.-A. Clevert et al., Fast and accurate deep network learning by exponential linear units, ICLR 2016.

    Examples
    --------
    >>> elu_forward(np.array([-1.0, 2.0]))
    array([-0.63212056,  2.        ])
    """
    return _forward("elu", z, out, alpha)


def softplus_forward(z: Array, *, out: Array | None = None) -> Array:
    """Softplus: y = log(1 + exp(z)).

    Parameters
    ----------
    z : ndarray, any shape, float32 or float64
        Pre-activations, C-contiguous.
    out : ndarray like z, optional
        Receives y; may be z itself.

    Returns
    -------
    ndarray like z
        y: `out`, or a new array.

    Raises
    ------
    TypeError, ValueError
        An array has another dtype, shape or layout.

    Notes
    -----
    Computed as max(z, 0) + log1p(exp(-abs(z))), which neither overflows nor cancels.

    Examples
    --------
    >>> softplus_forward(np.array([-1.0, 2.0]))
    array([0.31326169, 2.12692801])
    """
    return _forward("softplus", z, out)


def gelu_forward(z: Array, *, out: Array | None = None) -> Array:
    """Gaussian error linear unit, exact: y = z * Phi(z), Phi the standard normal distribution function.

    Parameters
    ----------
    z : ndarray, any shape, float32 or float64
        Pre-activations, C-contiguous.
    out : ndarray like z, optional
        Receives y; may be z itself.

    Returns
    -------
    ndarray like z
        y: `out`, or a new array.

    Raises
    ------
    TypeError, ValueError
        An array has another dtype, shape or layout.

    Notes
    -----
    D. Hendrycks and K. Gimpel, Gaussian error linear units, 2016. Not the tanh approximation. At minus infinity the
    result is its limit, -0.

    Examples
    --------
    >>> gelu_forward(np.array([-1.0, 2.0]))
    array([-0.15865525,  1.95449974])
    """
    return _forward("gelu", z, out)


def silu_forward(z: Array, *, out: Array | None = None) -> Array:
    """Sigmoid linear unit (swish): y = z / (1 + exp(-z)).

    Parameters
    ----------
    z : ndarray, any shape, float32 or float64
        Pre-activations, C-contiguous.
    out : ndarray like z, optional
        Receives y; may be z itself.

    Returns
    -------
    ndarray like z
        y: `out`, or a new array.

    Raises
    ------
    TypeError, ValueError
        An array has another dtype, shape or layout.

    Notes
    -----
    S. Elfwing et al., Sigmoid-weighted linear units, Neural Networks 107 (2018) 3. At minus infinity the result is its
    limit, -0.

    Examples
    --------
    >>> silu_forward(np.array([-1.0, 2.0]))
    array([-0.26894142,  1.76159416])
    """
    return _forward("silu", z, out)


def softmax_forward(z: Array, *, out: Array | None = None) -> Array:
    """Softmax over the last axis: y = exp(z) / sum(exp(z)).

    Parameters
    ----------
    z : ndarray, shape (..., n), float32 or float64
        Pre-activations, C-contiguous.
    out : ndarray like z, optional
        Receives y; may be z itself.

    Returns
    -------
    ndarray like z
        y: `out`, or a new array.

    Raises
    ------
    TypeError, ValueError
        An array has another dtype, shape or layout.

    Notes
    -----
    Shifted by the row's maximum, which leaves the result as it is and keeps exp from overflowing. A row that holds NaN
    or +inf, or only -inf, becomes NaN.

    Examples
    --------
    >>> softmax_forward(np.array([1010.0, 1000.0, 990.0]))
    array([9.99954600e-01, 4.53978686e-05, 2.06106005e-09])
    """
    return _forward("softmax", z, out)


def step_forward(z: Array, *, out: Array | None = None) -> Array:
    """Heaviside step: y = 1 where z > 0, 0 where z <= 0; NaN stays NaN.

    Parameters
    ----------
    z : ndarray, any shape, float32 or float64
        Pre-activations, C-contiguous.
    out : ndarray like z, optional
        Receives y; may be z itself.

    Returns
    -------
    ndarray like z
        y: `out`, or a new array.

    Raises
    ------
    TypeError, ValueError
        An array has another dtype, shape or layout.

    Notes
    -----
    Forward only: its derivative is zero wherever it exists, so that nothing could be learned from it.

    Examples
    --------
    >>> step_forward(np.array([-1.0, 0.0, 2.0]))
    array([0., 0., 1.])
    """
    return _forward("step", z, out)
