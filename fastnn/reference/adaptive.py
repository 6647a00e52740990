"""Updates in place with a rate for every parameter: RMSprop, Adagrad, Adam, AdamW. `updates` has the plain ones.

Every update first forms g' = scale g + l2 p, as there.
"""

from __future__ import annotations

import math

import numpy as np

from fastnn._scalars import integer
from fastnn.reference import _check
from fastnn.reference.updates import check_update, step_gradient

Array = np.ndarray


def rmsprop_update(
    p: Array,
    g: Array,
    s: Array,
    lr: float,
    beta: float = 0.9,
    epsilon: float = 1e-8,
    *,
    l2: float = 0.0,
    scale: float = 1.0,
) -> None:
    """RMSprop: s = beta s + (1 - beta) g'^2, p -= lr g' / (sqrt(s) + epsilon).

    Parameters
    ----------
    p : ndarray, any shape, float32 or float64
        Parameters, updated in place.
    g : ndarray like p
        Gradient.
    s : ndarray like p
        State, zeros at the start, updated in place.
    lr : float
        Learning rate.
    beta : float
        Decay of the average of squares.
    epsilon : float
        Added to the root.
    l2, scale : float
        g' = scale g + l2 p takes the place of g.

    Raises
    ------
    TypeError, ValueError
        An array has another dtype, shape or layout, is read-only or overlaps another.

    Notes
    -----
    T. Tieleman and G. Hinton, Neural networks for machine learning, lecture 6.5, 2012.

    Examples
    --------
    >>> p = np.array([1.0])
    >>> rmsprop_update(p, np.array([0.5]), np.zeros(1), lr=0.1)
    >>> p
    array([0.68377225])
    """
    lr, beta, epsilon, l2, scale = check_update(p, g, {"s": s}, lr=lr, beta=beta, epsilon=epsilon, l2=l2, scale=scale)
    g = step_gradient(p, g, l2, scale)
    s *= beta
    s += (1 - beta) * np.square(g)
    p -= lr * g / (np.sqrt(s) + epsilon)


def adagrad_update(
    p: Array, g: Array, s: Array, lr: float, epsilon: float = 1e-10, *, l2: float = 0.0, scale: float = 1.0
) -> None:
    """Adagrad: s += g'^2, p -= lr g' / (sqrt(s) + epsilon).

    Parameters
    ----------
    p : ndarray, any shape, float32 or float64
        Parameters, updated in place.
    g : ndarray like p
        Gradient.
    s : ndarray like p
        State, zeros at the start, updated in place.
    lr : float
        Learning rate.
    epsilon : float
        Added to the root.
    l2, scale : float
        g' = scale g + l2 p takes the place of g.

    Raises
    ------
    TypeError, ValueError
        An array has another dtype, shape or layout, is read-only or overlaps another.

    Notes
    -----
    J. Duchi et al., Adaptive subgradient methods for online learning and stochastic optimization, JMLR 12 (2011) 2121.

    Examples
    --------
    >>> p = np.array([1.0])
    >>> adagrad_update(p, np.array([0.5]), np.zeros(1), lr=0.1)
    >>> p
    array([0.9])
    """
    lr, epsilon, l2, scale = check_update(p, g, {"s": s}, lr=lr, epsilon=epsilon, l2=l2, scale=scale)
    g = step_gradient(p, g, l2, scale)
    s += np.square(g)
    p -= lr * g / (np.sqrt(s) + epsilon)


def _check_adam(t: int, beta1: float, beta2: float) -> None:
    integer("t", t, 1, 2**63 - 1)
    _check.decay("beta1", beta1)
    _check.decay("beta2", beta2)


def _adam_step(
    p: Array, g: Array, m: Array, v: Array, lr: float, t: int, beta1: float, beta2: float, epsilon: float
) -> None:
    m *= beta1
    m += (1 - beta1) * g
    v *= beta2
    v += (1 - beta2) * np.square(g)
    # The bias corrections are numbers: folded into the rate and epsilon they cost two passes less.
    root = math.sqrt(1 - beta2**t)
    p -= (lr * root / (1 - beta1**t)) * m / (np.sqrt(v) + epsilon * root)


def adam_update(
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    lr: float,
    t: int,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    *,
    l2: float = 0.0,
    scale: float = 1.0,
) -> None:
    """Adam: steps along an average of gradients over the root of an average of their squares.

    Parameters
    ----------
    p : ndarray, any shape, float32 or float64
        Parameters, updated in place.
    g : ndarray like p
        Gradient.
    m, v : ndarray like p
        State, zeros at the start, updated in place.
    lr : float
        Learning rate.
    t : int
        Number of this update, from 1.
    beta1 : float in [0, 1)
        Decay of the average of gradients m.
    beta2 : float in [0, 1)
        Decay of the average of squares v.
    epsilon : float
        Added to the root.
    l2, scale : float
        g' = scale g + l2 p takes the place of g.

    Raises
    ------
    TypeError, ValueError
        An array has another dtype, shape or layout, is read-only or overlaps another, t < 1, or a beta is out of
        range.

    Notes
    -----
    m = beta1 m + (1 - beta1) g', v = beta2 v + (1 - beta2) g'^2,
    p -= lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon).

    D. P. Kingma and J. Ba, Adam: a method for stochastic optimization, ICLR 2015.

    Examples
    --------
    >>> p = np.array([1.0])
    >>> adam_update(p, np.array([0.5]), np.zeros(1), np.zeros(1), lr=0.1, t=1)
    >>> p
    array([0.9])
    """
    lr, beta1, beta2, epsilon, l2, scale = check_update(
        p, g, {"m": m, "v": v}, lr=lr, beta1=beta1, beta2=beta2, epsilon=epsilon, l2=l2, scale=scale
    )
    _check_adam(t, beta1, beta2)
    _adam_step(p, step_gradient(p, g, l2, scale), m, v, lr, t, beta1, beta2, epsilon)


def adamw_update(
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    lr: float,
    t: int,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    weight_decay: float = 0.01,
    *,
    l2: float = 0.0,
    scale: float = 1.0,
) -> None:
    """Adam with decoupled weight decay: p *= 1 - lr weight_decay first, then the step of `adam_update`.

    Parameters
    ----------
    p : ndarray, any shape, float32 or float64
        Parameters, updated in place.
    g : ndarray like p
        Gradient.
    m, v : ndarray like p
        State, zeros at the start, updated in place.
    lr : float
        Learning rate.
    t : int
        Number of this update, from 1.
    beta1 : float in [0, 1)
        Decay of the average of gradients m.
    beta2 : float in [0, 1)
        Decay of the average of squares v.
    epsilon : float
        Added to the root.
    weight_decay : float
        Decay of the parameters per unit of lr.
    l2, scale : float
        g' = scale g + l2 p takes the place of g.

    Raises
    ------
    TypeError, ValueError
        An array has another dtype, shape or layout, is read-only or overlaps another, t < 1, or a beta is out of
        range.

    Notes
    -----
    I. Loshchilov and F. Hutter, Decoupled weight decay regularization, ICLR 2019. An l2 term takes p as it is before
    the decay.

    Examples
    --------
    >>> p = np.array([1.0])
    >>> adamw_update(p, np.array([0.5]), np.zeros(1), np.zeros(1), lr=0.1, t=1)
    >>> p
    array([0.899])
    """
    lr, beta1, beta2, epsilon, weight_decay, l2, scale = check_update(
        p,
        g,
        {"m": m, "v": v},
        lr=lr,
        beta1=beta1,
        beta2=beta2,
        epsilon=epsilon,
        weight_decay=weight_decay,
        l2=l2,
        scale=scale,
    )
    _check_adam(t, beta1, beta2)
    g = step_gradient(p, g, l2, scale)
    p *= 1 - lr * weight_decay
    _adam_step(p, g, m, v, lr, t, beta1, beta2, epsilon)
