"""Philox: known answers, the same bits from both implementations, and the statistics of masks and permutations."""

from types import ModuleType

import numpy as np
import pytest
from opcases import CASES
from oprecord import every

from fastnn import kernels, reference

# Random123-1.14, tests/kat_vectors, philox4x32 with 10 rounds: counter, key, result.
PI_COUNTER, PI_KEY = (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0)
ONES = 0xFFFFFFFF
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((ONES,) * 4, (ONES, ONES), (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (PI_COUNTER, PI_KEY, (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)),
]


def philox(counter: tuple[int, ...], key: tuple[int, ...]) -> tuple[int, ...]:
    """Philox 4x32-10 in Python's integers, from the paper."""
    c, k = list(counter), list(key)
    for _ in range(10):
        product0, product1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(product1 >> 32) ^ c[1] ^ k[0], product1 & ONES, (product0 >> 32) ^ c[3] ^ k[1], product0 & ONES]
        k = [(k[0] + 0x9E3779B9) & ONES, (k[1] + 0xBB67AE85) & ONES]
    return tuple(c)


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN)
def test_known_answers_of_the_plain_version(counter: tuple, key: tuple, words: tuple) -> None:
    assert philox(counter, key) == words


def test_known_answers_of_the_vectorised_version() -> None:
    from fastnn.reference.random import _philox

    for counter, key, words in KNOWN:
        arrays = tuple(np.array([c], np.uint64) for c in counter)
        assert tuple(int(w[0]) for w in _philox(arrays, key[0] | key[1] << 32)) == words


@pytest.mark.parametrize("seed", [0, 1, 0x299F31D0A4093822, 2**64 - 1])
@pytest.mark.parametrize(("step", "layer"), [(0, 0), (0x03707344, 0x13198A2E), (-1, 2**32 + 5)])
def test_words_are_philox_of_their_position(seed: int, step: int, layer: int, implementation: ModuleType) -> None:
    words = implementation.random_words(5, 11, seed, step=step, layer=layer)
    key = (seed & ONES, seed >> 32)
    for r in range(5):
        for c in range(11):
            assert words[r, c] == philox((c // 4, r, layer & ONES, step & ONES), key)[c % 4]


@pytest.mark.parametrize("name", ["random_words", "dropout_forward", "dropout_backward", "permutation"])
def test_same_bits_from_both(name: str, isa: str, dtype: str) -> None:
    case = CASES[name]
    rng = np.random.default_rng(0)
    for shape, variant in every(case):
        arguments = case.make(rng, shape, dtype, **variant)
        got, want = case.run(kernels, arguments)["out"], case.run(reference, arguments)["out"]
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got.view(np.uint8), want.view(np.uint8), f"{name} {shape} {variant}")


def test_words_do_not_depend_on_the_size_of_the_array(implementation: ModuleType) -> None:
    whole = implementation.random_words(9, 70, 3)
    np.testing.assert_array_equal(implementation.random_words(4, 33, 3), whole[:4, :33])


def test_streams_differ(implementation: ModuleType) -> None:
    words = [
        implementation.random_words(4, 8, seed, step=step, layer=layer).tobytes()
        for seed in (0, 1, 1 << 32)
        for step in (0, 1)
        for layer in (0, 1)
    ]
    assert len(set(words)) == len(words)


def test_words_are_uniform_and_uncorrelated(implementation: ModuleType) -> None:
    u = implementation.random_words(1000, 200, 17) / 2**32
    n = u.size
    assert abs(u.mean() - 1 / 2) < 4 / np.sqrt(12 * n)
    assert abs(u.var() - 1 / 12) < 4 * np.sqrt(1 / 180 / n)
    centred = u - 1 / 2
    for a, b in ((centred[:, :-1], centred[:, 1:]), (centred[:-1], centred[1:]), (centred[:, :-4], centred[:, 4:])):
        assert abs((a * b).mean()) < 4 / 12 / np.sqrt(a.size)
    counts = np.histogram(u, bins=64, range=(0, 1))[0]
    assert ((counts - n / 64) ** 2 / (n / 64)).sum() < 63 + 5 * np.sqrt(2 * 63)


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.8])
def test_dropout_keeps_the_expectation(keep: float, implementation: ModuleType, dtype: str) -> None:
    x = np.ones((1000, 100), dtype)
    y = implementation.dropout_forward(x, keep, 23, step=2, layer=1)
    kept = y != 0
    n = x.size
    assert abs(kept.mean() - keep) < 4 * np.sqrt(keep * (1 - keep) / n)
    assert (y[kept] == np.dtype(dtype).type(1 / keep)).all()
    assert abs(y.mean(dtype=np.float64) - 1) < 4 * np.sqrt((1 - keep) / keep / n)


def test_dropout_mask_is_a_threshold_of_the_words(implementation: ModuleType, dtype: str) -> None:
    x = np.random.default_rng(0).normal(size=(7, 37)).astype(dtype)
    for keep in (2.0**-40, 0.25, 0.7, 1 - 2.0**-32, 1.0):
        words = reference.random_words(7, 37, 99, step=5, layer=2)
        kept = words < int(np.floor(keep * 2**32))
        if keep == 1:
            assert kept.all()
        y = implementation.dropout_forward(x, keep, 99, step=5, layer=2)
        np.testing.assert_array_equal(y, np.where(kept, x * x.dtype.type(1 / keep), 0))
        np.testing.assert_array_equal(implementation.dropout_backward(x, keep, 99, step=5, layer=2), y)


def test_dropped_elements_are_zero_whatever_they_were(implementation: ModuleType, dtype: str) -> None:
    for value in (np.nan, np.inf, -np.inf):
        y = implementation.dropout_forward(np.full((4, 33), value, dtype), 0.5, 0)
        kept = reference.random_words(4, 33, 0) < 2**31
        np.testing.assert_array_equal(y, np.where(kept, value, 0.0))


def test_permutation(implementation: ModuleType) -> None:
    for n in (0, 1, 2, 5, 33, 1000):
        order = implementation.permutation(n, 7, step=3)
        assert order.dtype == np.intp
        np.testing.assert_array_equal(np.sort(order), np.arange(n))
        words = reference.random_words(1, n, 7, step=3, layer=0xFFFFFFFF)[0]
        np.testing.assert_array_equal(order, np.argsort(words, kind="stable"))
    first, second = (implementation.permutation(100, 7, step=step) for step in (0, 1))
    assert (first != second).any()


def test_every_permutation_is_equally_frequent(implementation: ModuleType) -> None:
    n = 6000
    seen: dict[bytes, int] = {}
    for step in range(n):
        key = implementation.permutation(3, 1, step=step).tobytes()
        seen[key] = seen.get(key, 0) + 1
    assert len(seen) == 6
    assert sum((count - n / 6) ** 2 / (n / 6) for count in seen.values()) < 5 + 5 * np.sqrt(10)
