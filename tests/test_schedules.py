"""Learning-rate schedules: the rate of every step, in a fit, and what is refused."""

import pickle
from fractions import Fraction

import numpy as np
import pytest

from fastnn import MLP, SGD, schedules

DATA = np.random.default_rng(0).normal(size=(12, 4)), np.arange(12) % 3


def _net() -> MLP:
    return MLP([4, 9, 3], activation="tanh", output="softmax", seed=3, backend="reference")


@pytest.mark.parametrize(
    ("schedule", "wanted"),
    [
        (schedules.constant(0.2), lambda k: 0.2),
        (schedules.step_decay(0.2, every=5, factor=0.5), lambda k: 0.2 * 0.5 ** (k // 5)),
        (schedules.exponential(0.2, 0.9), lambda k: 0.2 * 0.9**k),
        (schedules.inverse_scaling(0.2, 0.7), lambda k: 0.2 / (k + 1) ** 0.7),
        (schedules.inverse_time(0.2, 0.3), lambda k: 0.2 / (1 + 0.3 * k)),
        (schedules.cosine(0.2, 8, final=0.1), lambda k: 0.1 + 0.05 * (1 + np.cos(np.pi * min(k, 8) / 8))),
        (schedules.warmup(0.2, 4), lambda k: 0.2 * min((k + 1) / 4, 1)),
        (
            schedules.warmup(schedules.exponential(0.2, 0.5), 3),
            lambda k: [0.2 / 3, 0.4 / 3, 0.2][k] if k < 3 else 0.2 * 0.5 ** (k - 3),
        ),
        (schedules.piecewise([2, 5], [0.3, 0.2, 0.1]), lambda k: 0.3 if k < 2 else 0.2 if k < 5 else 0.1),
        (lambda step: 0.1 if step < 3 else 0.05, lambda k: 0.1 if k < 3 else 0.05),
        (lambda step: 0.07, lambda k: 0.07),
        ([0.1 / (k + 1) for k in range(12)].__getitem__, lambda k: 0.1 / (k + 1)),
        (np.linspace(0.1, 0.2, 12).__getitem__, lambda k: 0.1 + k / 110),
        (lambda step: Fraction(1, 10 + step), lambda k: 1 / (10 + k)),
        (lambda step: 0.1 / (1 + (step & 3)), lambda k: 0.1 / (1 + k % 4)),
    ],
)
def test_schedules_give_the_rate_of_each_step(schedule: object, wanted: object) -> None:
    X, y = DATA
    history = _net().fit(X, y, optimizer=SGD(schedule), epochs=12, batch_size=None)
    np.testing.assert_allclose(history.lr, [wanted(k) for k in range(12)], rtol=1e-12)


def test_powers_beyond_64_bits_are_right() -> None:
    rates = schedules.learning_rates(lambda step: 1.0 / 2**step, 0, 200)
    np.testing.assert_array_equal(rates, [1.0 / 2**k for k in range(200)])
    after = schedules.learning_rates(schedules.warmup(lambda step: 1.0 / 2 ** max(step, 0), 2), 60, 20)
    np.testing.assert_array_equal(after, [1.0 / 2 ** (k - 2) for k in range(60, 80)])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: schedules.step_decay(0.1, every=0), "every: wanted a finite number > 0"),
        (lambda: schedules.cosine(-1.0, 10), "lr: wanted a finite number >= 0"),
        (lambda: schedules.piecewise([1, 2], [0.1, 0.2]), "one rate more than boundaries"),
        (lambda: schedules.piecewise([2, 1], [0.1, 0.2, 0.3]), "boundaries that increase"),
        (lambda: schedules.piecewise([1, np.nan], [0.1, 0.2, 0.3]), "boundaries that increase"),
    ],
)
def test_schedules_refuse(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("schedule", "error", "message"),
    [
        (lambda step: -0.1 + 0 * step, ValueError, "got -0.1 at step 0"),
        (lambda step: np.where(np.asarray(step) < 0, 0.1, np.nan), ValueError, "got nan at step 0"),
        (lambda step: np.ones(7), ValueError, "wanted 1 rates"),
        (lambda step: 1j, TypeError, "wanted a real number, got 1j at step 0"),
        (lambda step: np.exp(1j * step), TypeError, r"wanted a real number, got np.complex128\(1\+0j\) at step 0"),
        (lambda step: "fast", TypeError, "step 0: wanted a number, got 'fast'"),
        (lambda step: None, TypeError, "step 0: wanted a number, got None"),
    ],
)
def test_a_wrong_schedule_is_refused_before_anything_changes(
    schedule: object, error: type[Exception], message: str
) -> None:
    X, y = DATA
    net = _net()
    before = net.parameters.copy()
    with pytest.raises(error, match=message):
        net.fit(X, y, optimizer=SGD(schedule))
    np.testing.assert_array_equal(net.parameters, before)
    assert net.history is None


@pytest.mark.parametrize(
    "schedule",
    [
        schedules.constant(0.1),
        schedules.step_decay(0.1, 3),
        schedules.exponential(0.1, 0.9),
        schedules.inverse_scaling(0.1),
        schedules.inverse_time(0.1, 0.2),
        schedules.cosine(0.1, 5),
        schedules.warmup(schedules.cosine(0.1, 5), 3),
        schedules.piecewise([2, 4], [0.3, 0.2, 0.1]),
    ],
)
def test_schedules_can_be_pickled(schedule: object) -> None:
    again = pickle.loads(pickle.dumps(SGD(schedule))).lr
    np.testing.assert_array_equal(again(np.arange(9)), schedule(np.arange(9)))
