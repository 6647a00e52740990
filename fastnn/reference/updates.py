"""Updates of parameters, in place: p and the optimiser's state arrays, all of one shape, from the gradient g.

Every update first forms g' = scale g + l2 p: `scale` serves gradient clipping, `l2` is the gradient of (l2 / 2) sum
p^2. Terms with scale = 1 or l2 = 0 are left out.
"""

from __future__ import annotations

import numpy as np

from fastnn._scalars import number
from fastnn.reference import _check

Array = np.ndarray


def check_update(p: Array, g: Array, slots: dict[str, Array], **numbers: float) -> list[float]:
    """Check the arrays of an update, which must not share memory, and return its numbers as floats."""
    _check.array("p", p)
    _check.array("g", g, p.dtype, p.shape)
    arrays = {"g": g}
    for name, a in {"p": p, **slots}.items():
        _check.writable(name, a, p.dtype, p.shape)
        for other_name, other in arrays.items():
            _check.apart(name, a, other_name, other)
        arrays[name] = a
    return [number(name, value) for name, value in numbers.items()]


def step_gradient(p: Array, g: Array, l2: float, scale: float) -> Array:
    """g' = scale g + l2 p."""
    if scale != 1:
        g = scale * g
    return g + l2 * p if l2 else g


def sgd_update(p: Array, g: Array, lr: float, *, l2: float = 0.0, scale: float = 1.0) -> None:
    """Gradient descent: p -= lr g'.

    Parameters
    ----------
    p : ndarray, any shape, float32 or float64
        Parameters, updated in place.
    g : ndarray like p
        Gradient.
    lr : float
        Learning rate.
    l2, scale : float
        g' = scale g + l2 p takes the place of g.

    Raises
    ------
    TypeError, ValueError
        An array has another dtype, shape or layout, is read-only or overlaps another.

    Examples
    --------
    >>> p = np.array([1.0])
    >>> sgd_update(p, np.array([0.5]), lr=0.1)
    >>> p
    array([0.95])
    """
    lr, l2, scale = check_update(p, g, {}, lr=lr, l2=l2, scale=scale)
    g = step_gradient(p, g, l2, scale)
    p -= lr * g


def momentum_update(
    p: Array, g: Array, v: Array, lr: float, momentum: float = 0.9, *, l2: float = 0.0, scale: float = 1.0
) -> None:
    """Gradient descent with classical momentum: v = momentum v - lr g', p += v.

    Parameters
    ----------
    p : ndarray, any shape, float32 or float64
        Parameters, updated in place.
    g : ndarray like p
        Gradient.
    v : ndarray like p
        State, zeros at the start, updated in place.
    lr : float
        Learning rate.
    momentum : float
        Share of the last step that is kept.
    l2, scale : float
        g' = scale g + l2 p takes the place of g.

    Raises
    ------
    TypeError, ValueError
        An array has another dtype, shape or layout, is read-only or overlaps another.

    Notes
    -----
    B. T. Polyak, Some methods of speeding up the convergence of iteration methods, 1964. PyTorch's SGD keeps v / -lr
    instead, which is the same while lr is constant.

    Examples
    --------
    >>> p = np.array([1.0])
    >>> momentum_update(p, np.array([0.5]), np.zeros(1), lr=0.1)
    >>> p
    array([0.95])
    """
    lr, momentum, l2, scale = check_update(p, g, {"v": v}, lr=lr, momentum=momentum, l2=l2, scale=scale)
    g = step_gradient(p, g, l2, scale)
    v *= momentum
    v -= lr * g
    p += v


def nesterov_update(
    p: Array, g: Array, v: Array, lr: float, momentum: float = 0.9, *, l2: float = 0.0, scale: float = 1.0
) -> None:
    """Gradient descent with Nesterov's momentum: v = momentum v - lr g', p += momentum v - lr g'.

    Parameters
    ----------
    p : ndarray, any shape, float32 or float64
        Parameters, updated in place.
    g : ndarray like p
        Gradient.
    v : ndarray like p
        State, zeros at the start, updated in place.
    lr : float
        Learning rate.
    momentum : float
        Share of the last step that is kept.
    l2, scale : float
        g' = scale g + l2 p takes the place of g.

    Raises
    ------
    TypeError, ValueError
        An array has another dtype, shape or layout, is read-only or overlaps another.

    Notes
    -----
    I. Sutskever et al., On the importance of initialization and momentum in deep learning, ICML 2013, in the form that
    looks ahead from the parameters, as in scikit-learn and Keras.

    Examples
    --------
    >>> p = np.array([1.0])
    >>> nesterov_update(p, np.array([0.5]), np.zeros(1), lr=0.1)
    >>> p
    array([0.905])
    """
    lr, momentum, l2, scale = check_update(p, g, {"v": v}, lr=lr, momentum=momentum, l2=l2, scale=scale)
    step = lr * step_gradient(p, g, l2, scale)
    v *= momentum
    v -= step
    p += momentum * v - step


def averaged_momentum_update(
    p: Array, g: Array, v: Array, lr: float, beta: float = 0.9, *, l2: float = 0.0, scale: float = 1.0
) -> None:
    """Descent along an average of gradients: v = beta v + (1 - beta) g', p -= lr v.

    Parameters
    ----------
    p : ndarray, any shape, float32 or float64
        Parameters, updated in place.
    g : ndarray like p
        Gradient.
    v : ndarray like p
        State, zeros at the start, updated in place.
    lr : float
        Learning rate.
    beta : float
        Decay of the average.
    l2, scale : float
        g' = scale g + l2 p takes the place of g.

    Raises
    ------
    TypeError, ValueError
        An array has another dtype, shape or layout, is read-only or overlaps another.

    Examples
    --------
    >>> p = np.array([1.0])
    >>> averaged_momentum_update(p, np.array([0.5]), np.zeros(1), lr=0.1)
    >>> p
    array([0.995])
    """
    lr, beta, l2, scale = check_update(p, g, {"v": v}, lr=lr, beta=beta, l2=l2, scale=scale)
    g = step_gradient(p, g, l2, scale)
    v *= beta
    v += (1 - beta) * g
    p -= lr * v
