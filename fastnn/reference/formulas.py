"""The arithmetic of the activations, without docstrings for users and without checks: those are in the public modules.

forward(z, alpha, y) writes y and may find y to be z itself; backward(dy, y, z, alpha, dz) writes dz and may find dz to
be any of its inputs. `FORWARD` and `BACKWARD` hold them by name for the fused affine ops. NumPy warns of overflow and
of invalid operations as usual.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from fastnn.reference.normal import LIMIT, MIDDLE, gaussian_parts, middle, tail_ratio

Array = np.ndarray
SQRT_2PI = math.sqrt(2 * math.pi)
# σ(-800) = 0 and σ(800) = 1 in float64; a finite limit keeps inf·0 out of the SiLU.
SILU_LIMIT = 800.0


def identity(z: Array, alpha: float, y: Array) -> Array:
    if y is not z:
        np.copyto(y, z)
    return y


def sigmoid(z: Array, alpha: float, y: Array) -> Array:
    # One exponential that never overflows; for z < 0 the small numerator keeps the relative accuracy, down to
    # denormals.
    e = np.exp(-np.abs(z))
    return np.divide(np.where(z < 0, e, 1), 1 + e, out=y)


def tanh(z: Array, alpha: float, y: Array) -> Array:
    return np.tanh(z, out=y)


def relu(z: Array, alpha: float, y: Array) -> Array:
    return np.maximum(z, 0, out=y)


def leaky_relu(z: Array, alpha: float, y: Array) -> Array:
    np.copyto(y, np.where(z > 0, z, alpha * z))
    return y


def elu(z: Array, alpha: float, y: Array) -> Array:
    np.copyto(y, np.where(z > 0, z, alpha * np.expm1(np.minimum(z, 0))))
    return y


def softplus(z: Array, alpha: float, y: Array) -> Array:
    tail = np.log1p(np.exp(-np.abs(z)))
    return np.add(np.maximum(z, 0), tail, out=y)


def gelu(z: Array, alpha: float, y: Array) -> Array:
    wide = z.astype(np.float64, copy=False)
    clipped = np.clip(wide, -LIMIT, LIMIT)
    t = np.abs(clipped)
    first, second = gaussian_parts(t)
    tail = tail_ratio(t) * second
    outer = np.where(wide < 0, clipped * tail * first, wide * (1 - tail * first))
    np.copyto(y, np.where(t < MIDDLE, wide * (0.5 + middle(clipped)), outer), casting="same_kind")
    return y


def silu(z: Array, alpha: float, y: Array) -> Array:
    # With h = exp(-|z|/2), z σ(z) = z h / (1 + h²) · h for z < 0: exp(-|z|) alone would lose its digits as a denormal
    # although z times it need not be one.
    wide = np.maximum(z, -SILU_LIMIT, out=np.empty(z.shape))
    h = np.exp(-0.5 * np.abs(wide))
    f = np.where(wide < 0, h, 1)
    wide *= f
    wide /= 1 + h * h
    wide *= f
    np.copyto(y, wide, casting="same_kind")
    return y


def softmax(z: Array, alpha: float, y: Array) -> Array:
    if z.size:
        np.subtract(z, z.max(axis=-1, keepdims=True), out=y)
        np.exp(y, out=y)
        y /= y.sum(axis=-1, keepdims=True)
    return y


def step(z: Array, alpha: float, y: Array) -> Array:
    return np.heaviside(z, 0, out=y)


def identity_gradient(dy: Array, y: Array, z: Array | None, alpha: float, dz: Array) -> Array:
    if dz is not dy:
        np.copyto(dz, dy)
    return dz


def sigmoid_gradient(dy: Array, y: Array, z: Array | None, alpha: float, dz: Array) -> Array:
    return np.multiply(dy, y * (1 - y), out=dz)


def tanh_gradient(dy: Array, y: Array, z: Array | None, alpha: float, dz: Array) -> Array:
    return np.multiply(dy, 1 - y * y, out=dz)


def relu_gradient(dy: Array, y: Array, z: Array | None, alpha: float, dz: Array) -> Array:
    return np.multiply(dy, y > 0, out=dz)


def leaky_relu_gradient(dy: Array, y: Array, z: Array | None, alpha: float, dz: Array) -> Array:
    return np.multiply(dy, np.where(y > 0, dy.dtype.type(1), dy.dtype.type(alpha)), out=dz)


def elu_gradient(dy: Array, y: Array, z: Array | None, alpha: float, dz: Array) -> Array:
    return np.multiply(dy, np.where(y > 0, 1, y + alpha), out=dz)


def softplus_gradient(dy: Array, y: Array, z: Array | None, alpha: float, dz: Array) -> Array:
    return np.multiply(dy, -np.expm1(-y), out=dz)


def gelu_gradient(dy: Array, y: Array, z: Array, alpha: float, dz: Array) -> Array:
    # Φ(z) + z φ(z); below zero both terms have the factor exp(-z²/2), the first part of which is multiplied in last.
    clipped = np.clip(z.astype(np.float64, copy=False), -LIMIT, LIMIT)
    t = np.abs(clipped)
    first, second = gaussian_parts(t)
    below = (tail_ratio(t) - t / SQRT_2PI) * second * first
    outer = np.where(clipped < 0, below, 1 - below)
    inner = 0.5 + middle(clipped) + clipped / SQRT_2PI * second * first
    np.copyto(dz, dy * np.where(t < MIDDLE, inner, outer), casting="same_kind")
    return dz


def silu_gradient(dy: Array, y: Array, z: Array, alpha: float, dz: Array) -> Array:
    wide = np.clip(z.astype(np.float64, copy=False), -SILU_LIMIT, SILU_LIMIT)
    e = np.exp(-np.abs(wide))
    small, large = e / (1 + e), 1 / (1 + e)
    # σ(z) (1 + z σ(-z))
    slope = np.where(wide < 0, small * (1 + wide * large), large * (1 + wide * small))
    np.copyto(dz, dy * slope, casting="same_kind")
    return dz


def softmax_gradient(dy: Array, y: Array, z: Array | None, alpha: float, dz: Array) -> Array:
    projection = (dy * y).sum(axis=-1, keepdims=True)
    return np.multiply(y, dy - projection, out=dz)


FORWARD: dict[str, Callable[[Array, float, Array], Array]] = {
    f.__name__: f for f in (identity, sigmoid, tanh, relu, leaky_relu, elu, softplus, gelu, silu, softmax, step)
}
BACKWARD: dict[str, Callable[..., Array]] = {
    "identity": identity_gradient,
    "sigmoid": sigmoid_gradient,
    "tanh": tanh_gradient,
    "relu": relu_gradient,
    "leaky_relu": leaky_relu_gradient,
    "elu": elu_gradient,
    "softplus": softplus_gradient,
    "gelu": gelu_gradient,
    "silu": silu_gradient,
    "softmax": softmax_gradient,
}
