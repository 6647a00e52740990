"""Losses with their gradients: sums over the outputs of a row, (weighted) means over the rows.

B rows, O outputs. Elements are computed in the arrays' dtype; the rows' losses are added up in float64.
"""

from __future__ import annotations

import math

import numpy as np

from fastnn._scalars import number, positive
from fastnn.reference import _check
from fastnn.reference.formulas import FORWARD

Array = np.ndarray


def _row_weights(sample_weight: Array | None, rows: int) -> Array:
    """The rows' shares of the mean, w_i / Σ w, in float64."""
    if sample_weight is None:
        return np.full(rows, 1 / rows)
    wide = sample_weight.astype(np.float64)
    return wide / wide.sum()


def _gradient(name: str, a: Array | bool | None, like: Array, /, **inputs: Array | None) -> Array | None:
    """Where the gradient goes, or None where the caller passed False."""
    return None if a is False else _check.output(name, a, like.dtype, like.shape, **inputs)


def softmax_cross_entropy(
    z: Array, target: Array, sample_weight: Array | None = None, *, dz: Array | bool | None = None
) -> tuple[float, Array | None]:
    """Cross-entropy of the softmax of logits, and its gradient with respect to the logits.

    With p = softmax(z) by rows, loss = sum_i w_i (-sum_j t_ij log p_ij) / sum_i w_i and
    dz_ij = w_i (p_ij sum_k t_ik - t_ij) / sum_i w_i, which is (p - t) / B for unit weights and rows of t that sum to 1.

    Parameters
    ----------
    z : ndarray, shape (B, O), float32 or float64
        Logits; at least one row and one column.
    target : ndarray, shape (B,), int of any width, or shape (B, O), dtype of z
        Labels 0 to O - 1, or a row of probabilities for each sample.
    sample_weight : ndarray, shape (B,), dtype of z, optional
        Weights w, finite, >= 0 and not all zero; by default 1 each.
    dz : ndarray, shape (B, O), dtype of z, or None or False
        An array receives the gradient; None makes a new one; False leaves it out.

    Returns
    -------
    loss : float
        In nats.
    dz : ndarray, shape (B, O), or None
        The gradient.

    Raises
    ------
    TypeError, ValueError
        An array has another dtype, shape or layout, dz overlaps another argument, a label or weight is out of range.

    Notes
    -----
    log p = z - max - log(sum(exp(z - max))), so that large logits neither overflow nor give log(0).

    Examples
    --------
    >>> loss, dz = softmax_cross_entropy(np.array([[0.0, 0.0]]), np.array([1]))
    >>> round(loss, 6), dz
    (0.693147, array([[ 0.5, -0.5]]))
    """
    _check.array("z", z, shape=("B", "O"))
    _check.some_rows("z", z)
    _check.some_classes("z", z)
    labels = _check.labels("target", target, *z.shape)
    if labels is None:
        _check.array("target", target, z.dtype, z.shape)
    _check.weights("sample_weight", sample_weight, z.dtype, len(z))
    dz = _gradient("dz", dz, z, z=z, target=target, sample_weight=sample_weight)

    share = _row_weights(sample_weight, len(z))
    shifted = z - z.max(axis=1, keepdims=True)
    p = np.exp(shifted)
    total = p.sum(axis=1, keepdims=True)
    log_p = shifted - np.log(total)
    if labels is not None:
        index = np.arange(len(z))
        row_loss = -log_p[index, labels].astype(np.float64)
    else:
        row_loss = -np.sum(target * log_p, axis=1, dtype=np.float64)
    loss = float(share @ row_loss)
    if dz is None:
        return loss, None
    p /= total
    if labels is not None:
        p[index, labels] -= 1
    else:
        p *= target.sum(axis=1, keepdims=True)
        p -= target
    np.multiply(p, share[:, None].astype(z.dtype), out=dz)
    return loss, dz


def sigmoid_cross_entropy(
    z: Array, target: Array, sample_weight: Array | None = None, *, dz: Array | bool | None = None
) -> tuple[float, Array | None]:
    """Binary cross-entropy of the sigmoid of logits, summed over the outputs, and its gradient.

    With a = sigmoid(z), loss = sum_i w_i sum_j (-t_ij log a_ij - (1 - t_ij) log(1 - a_ij)) / sum_i w_i and
    dz_ij = w_i (a_ij - t_ij) / sum_i w_i.

    Parameters
    ----------
    z : ndarray, shape (B, O), float32 or float64
        Logits; at least one row.
    target : ndarray, shape (B, O), dtype of z
        Targets, usually within 0 to 1.
    sample_weight : ndarray, shape (B,), dtype of z, optional
        Weights w, finite, >= 0 and not all zero; by default 1 each.
    dz : ndarray, shape (B, O), dtype of z, or None or False
        An array receives the gradient; None makes a new one; False leaves it out.

    Returns
    -------
    loss : float
        In nats.
    dz : ndarray, shape (B, O), or None
        The gradient.

    Raises
    ------
    TypeError, ValueError
        An array has another dtype, shape or layout, dz overlaps another argument, a weight is out of range.

    Notes
    -----
    The summand is computed as max(z, 0) - z t + log1p(exp(-abs(z))), which neither overflows nor cancels.

    Examples
    --------
    >>> loss, dz = sigmoid_cross_entropy(np.array([[0.0], [0.0]]), np.array([[1.0], [0.0]]))
    >>> round(loss, 6), dz.ravel()
    (0.693147, array([-0.25,  0.25]))
    """
    _check.array("z", z, shape=("B", "O"))
    _check.some_rows("z", z)
    _check.array("target", target, z.dtype, z.shape)
    _check.weights("sample_weight", sample_weight, z.dtype, len(z))
    dz = _gradient("dz", dz, z, z=z, target=target, sample_weight=sample_weight)

    share = _row_weights(sample_weight, len(z))
    terms = np.maximum(z, 0) - z * target + np.log1p(np.exp(-np.abs(z)))
    loss = float(share @ terms.sum(axis=1, dtype=np.float64))
    if dz is None:
        return loss, None
    residual = FORWARD["sigmoid"](z, 0.0, np.empty_like(z)) - target
    return loss, np.multiply(residual, share[:, None].astype(z.dtype), out=dz)


def squared_error(
    y: Array, target: Array, sample_weight: Array | None = None, *, dy: Array | bool | None = None
) -> tuple[float, Array | None]:
    """Half the squared error, summed over the outputs, and its gradient.

    loss = sum_i w_i sum_j (y_ij - t_ij)^2 / 2 / sum_i w_i and dy_ij = w_i (y_ij - t_ij) / sum_i w_i.

    Parameters
    ----------
    y : ndarray, shape (B, O), float32 or float64
        Outputs; at least one row.
    target : ndarray, shape (B, O), dtype of y
        Targets.
    sample_weight : ndarray, shape (B,), dtype of y, optional
        Weights w, finite, >= 0 and not all zero; by default 1 each.
    dy : ndarray, shape (B, O), dtype of y, or None or False
        An array receives the gradient; None makes a new one; False leaves it out.

    Returns
    -------
    loss : float
        In squared units of y.
    dy : ndarray, shape (B, O), or None
        The gradient.

    Raises
    ------
    TypeError, ValueError
        An array has another dtype, shape or layout, dy overlaps another argument, a weight is out of range.

    Examples
    --------
    >>> squared_error(np.array([[1.0, 2.0]]), np.array([[0.0, 4.0]]))
    (2.5, array([[ 1., -2.]]))
    """
    _check.array("y", y, shape=("B", "O"))
    _check.some_rows("y", y)
    _check.array("target", target, y.dtype, y.shape)
    _check.weights("sample_weight", sample_weight, y.dtype, len(y))
    dy = _gradient("dy", dy, y, y=y, target=target, sample_weight=sample_weight)

    share = _row_weights(sample_weight, len(y))
    residual = y - target
    loss = float(share @ np.square(residual).sum(axis=1, dtype=np.float64)) / 2
    if dy is None:
        return loss, None
    return loss, np.multiply(residual, share[:, None].astype(y.dtype), out=dy)


def kl_sparsity(
    a: Array,
    rho: float,
    beta: float,
    sample_weight: Array | None = None,
    *,
    da: Array | bool | None = None,
) -> tuple[float, Array | None]:
    """Sparsity penalty on the mean activations of hidden units; its gradient is added to `da`.

    With r_j = sum_i w_i a_ij / sum_i w_i, cost = beta sum_j [rho log(rho / r_j) + (1 - rho) log((1 - rho) / (1 -
    r_j))], the Kullback-Leibler divergence of Bernoulli(rho) and Bernoulli(r_j), and its gradient with respect to a_ij
    is beta (-rho / r_j + (1 - rho) / (1 - r_j)) w_i / sum_i w_i.

    Parameters
    ----------
    a : ndarray, shape (B, H), float32 or float64
        Activations within 0 to 1, those of sigmoid units; at least one row.
    rho : float
        The mean activation to aim at, 0 < rho < 1.
    beta : float
        Weight of the penalty, finite, >= 0.
    sample_weight : ndarray, shape (B,), dtype of a, optional
        Weights w, finite, >= 0 and not all zero; by default 1 each.
    da : ndarray, shape (B, H), dtype of a, or None or False
        The gradient is added to an array; None makes a new one; False leaves it out.

    Returns
    -------
    cost : float
        In nats.
    da : ndarray, shape (B, H), or None
        `da` plus the gradient.

    Raises
    ------
    TypeError, ValueError
        An array has another dtype, shape or layout, da overlaps another argument, rho, beta or a weight is out of
        range.

    Notes
    -----
    A. Ng, Sparse autoencoder, CS294A lecture notes, 2011.

    Examples
    --------
    >>> cost, da = kl_sparsity(np.array([[0.5], [0.5]]), 0.25, 2.0)
    >>> round(cost, 6), da.ravel()
    (0.261624, array([1., 1.]))
    """
    _check.array("a", a, shape=("B", "H"))
    _check.some_rows("a", a)
    rho = number("rho", rho)
    if not 0 < rho < 1:
        raise ValueError(f"rho: wanted 0 < rho < 1, got {rho}")
    beta = positive("beta", beta, zero=True)
    _check.weights("sample_weight", sample_weight, a.dtype, len(a))
    new = da is None
    da = _gradient("da", da, a, a=a, sample_weight=sample_weight)

    share = _row_weights(sample_weight, len(a))
    mean = share @ a.astype(np.float64, copy=False)
    divergence = rho * (math.log(rho) - np.log(mean)) + (1 - rho) * (math.log1p(-rho) - np.log1p(-mean))
    cost = beta * float(divergence.sum())
    if da is None:
        return cost, None
    slope = beta * ((1 - rho) / (1 - mean) - rho / mean)
    gradient = np.multiply.outer(share, slope)
    if new:
        np.copyto(da, gradient, casting="same_kind")
    else:
        np.add(da, gradient, out=da, casting="same_kind")
    return cost, da
