"""Random numbers from a counter: every word is a function of (row, column, layer, step, seed) and of nothing else.

So a mask need not be stored, does not depend on threads or on the order of the rows, and the compiled kernels make the
same one.
"""

from __future__ import annotations

import numpy as np

from fastnn._scalars import integer, number
from fastnn.reference import _check

Array = np.ndarray

# Philox 4x32-10: J. K. Salmon, M. A. Moraes, R. O. Dror and D. E. Shaw, Parallel random numbers: as easy as 1, 2, 3, SC
# '11.
_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
_MASK = np.uint64(0xFFFFFFFF)
_HIGH = np.uint64(32)
PERMUTATION_LAYER = 0xFFFFFFFF
# A word and an index share 64 bits in the compiled sort.
LONGEST_PERMUTATION = 2**32 - 1


def _philox(counter: tuple[Array, Array, Array, Array], seed: int) -> tuple[Array, Array, Array, Array]:
    """Philox 4x32-10 of 32-bit counters held in uint64 arrays that broadcast against each other."""
    c0, c1, c2, c3 = counter
    key = [seed & 0xFFFFFFFF, seed >> 32]
    for _ in range(_ROUNDS):
        product0 = _MULTIPLIERS[0] * c0
        product1 = _MULTIPLIERS[1] * c2
        c0 = (product1 >> _HIGH) ^ c1 ^ np.uint64(key[0])
        c2 = (product0 >> _HIGH) ^ c3 ^ np.uint64(key[1])
        c1, c3 = product1 & _MASK, product0 & _MASK
        key = [(k + s) & 0xFFFFFFFF for k, s in zip(key, _KEY_STEPS, strict=True)]
    return c0, c1, c2, c3


def _words(rows: int, cols: int, seed: int, step: int, layer: int) -> Array:
    """random_words without checks."""
    blocks = np.arange((cols + 3) // 4, dtype=np.uint64) & _MASK
    row = np.arange(rows, dtype=np.uint64)[:, None] & _MASK
    counter = (blocks, row, np.array(layer & 0xFFFFFFFF, np.uint64), np.array(step & 0xFFFFFFFF, np.uint64))
    words = np.empty((rows, len(blocks), 4), np.uint32)
    for i, word in enumerate(_philox(counter, seed)):
        words[:, :, i] = word
    return words.reshape(rows, 4 * len(blocks))[:, :cols]


def _seed(seed: int) -> int:
    return integer("seed", seed, 0, 2**64 - 1)


def random_words(rows: int, cols: int, seed: int, *, step: int = 0, layer: int = 0, out: Array | None = None) -> Array:
    """Uniform 32-bit words from Philox 4x32-10.

    word[r, c] = philox4x32_10(counter=(c // 4, r, layer, step), key=(seed mod 2^32, seed // 2^32))[c % 4], every part
    of the counter modulo 2^32.

    Parameters
    ----------
    rows, cols : int
        Shape of the result, >= 0.
    seed : int
        0 to 2^64 - 1.
    step, layer : int
        Choose one of the independent streams of the seed; modulo 2^32.
    out : ndarray, shape (rows, cols), uint32, optional
        Receives the words.

    Returns
    -------
    ndarray, shape (rows, cols), uint32
        The words: `out`, or a new array.

    Raises
    ------
    TypeError, ValueError
        A number is not an integer or out of range, `out` has another dtype, shape or layout.

    Notes
    -----
    J. K. Salmon et al., Parallel random numbers: as easy as 1, 2, 3, SC '11, doi:10.1145/2063384.2063405.

    Examples
    --------
    >>> [f"{word:08x}" for word in random_words(1, 4, 0)[0]]
    ['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8']
    """
    rows, cols = _check.lengths(4, rows=rows, cols=cols)
    seed = _seed(seed)
    step = integer("step", step)
    layer = integer("layer", layer)
    out = _check.output("out", out, np.dtype(np.uint32), (rows, cols))
    np.copyto(out, _words(rows, cols, seed, step, layer))
    return out


def _dropout(name: str, x: Array, keep: float, seed: int, step: int, layer: int, out: Array | None) -> Array:
    _check.array(name, x, shape=("B", "n"))
    keep = number("keep", keep)
    if not 0 < keep <= 1:
        raise ValueError(f"keep: wanted 0 < keep <= 1, got {keep}")
    seed = _seed(seed)
    step = integer("step", step)
    layer = integer("layer", layer)
    out = _check.in_place("out", out, x.dtype, x.shape, **{name: x})
    if keep == 1:
        np.copyto(out, x)
        return out
    kept = _words(x.shape[0], x.shape[1], seed, step, layer) < int(keep * 2**32)
    np.copyto(out, np.where(kept, x * x.dtype.type(1 / keep), 0))
    return out


def dropout_forward(
    x: Array, keep: float, seed: int, *, step: int = 0, layer: int = 0, out: Array | None = None
) -> Array:
    """Inverted dropout: y = x / keep with probability keep, else 0, so that the expectation of y is x.

    Element (r, c) is kept where random_words(B, n, seed, step=step, layer=layer)[r, c] < floor(keep 2^32).

    Parameters
    ----------
    x : ndarray, shape (B, n), float32 or float64
        Activations.
    keep : float
        Probability of keeping an element, 0 < keep <= 1; 1 copies x.
    seed, step, layer : int
        Choose the mask, as in `random_words`.
    out : ndarray like x, optional
        Receives y; may be x itself.

    Returns
    -------
    ndarray, shape (B, n)
        y: `out`, or a new array.

    Raises
    ------
    TypeError, ValueError
        An array has another dtype, shape or layout, keep or seed is out of range.

    Notes
    -----
    N. Srivastava et al., Dropout: a simple way to prevent neural networks from overfitting, JMLR 15 (2014) 1929. The
    factor 1 / keep is rounded to the dtype of x before it is multiplied in.

    Examples
    --------
    >>> dropout_forward(np.ones((1, 6)), 0.5, seed=0)
    array([[2., 0., 0., 0., 0., 2.]])
    """
    return _dropout("x", x, keep, seed, step, layer, out)


def dropout_backward(
    dy: Array, keep: float, seed: int, *, step: int = 0, layer: int = 0, out: Array | None = None
) -> Array:
    """Gradient through `dropout_forward`: the same linear map, with the same mask, of dy.

    Parameters
    ----------
    dy : ndarray, shape (B, n), float32 or float64
        Gradient of a cost with respect to the output.
    keep : float
        As in the forward pass.
    seed, step, layer : int
        As in the forward pass.
    out : ndarray like dy, optional
        Receives dx; may be dy itself.

    Returns
    -------
    ndarray, shape (B, n)
        dx: `out`, or a new array.

    Raises
    ------
    TypeError, ValueError
        An array has another dtype, shape or layout, keep or seed is out of range.

    Examples
    --------
    >>> dropout_backward(np.full((1, 6), 3.0), 0.5, seed=0)
    array([[6., 0., 0., 0., 0., 6.]])
    """
    return _dropout("dy", dy, keep, seed, step, layer, out)


def permutation(n: int, seed: int, *, step: int = 0, out: Array | None = None) -> Array:
    """A random order of 0 to n - 1: the stable argsort of n random words.

    order = argsort(random_words(1, n, seed, step=step, layer=2^32 - 1)[0], kind="stable")

    Parameters
    ----------
    n : int
        How many, 0 to 2^32 - 1.
    seed : int
        0 to 2^64 - 1.
    step : int
        Number of the order, modulo 2^32; training uses the epoch.
    out : ndarray, shape (n,), intp, optional
        Receives the order.

    Returns
    -------
    ndarray, shape (n,), intp
        The order: `out`, or a new array.

    Raises
    ------
    TypeError, ValueError
        A number is not an integer or out of range, `out` has another dtype, shape or layout.

    Examples
    --------
    >>> permutation(5, seed=1)
    array([1, 4, 2, 3, 0])
    """
    n = integer("n", n, 0, LONGEST_PERMUTATION)
    seed = _seed(seed)
    step = integer("step", step)
    out = _check.output("out", out, np.dtype(np.intp), (n,))
    np.copyto(out, np.argsort(_words(1, n, seed, step, PERMUTATION_LAYER)[0], kind="stable"))
    return out
