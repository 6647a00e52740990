"""Learning rates that change with the step number: pass one as ``lr`` of any optimiser.

A schedule is a function of the step number, 0 for the first update, that returns the learning rate; it takes an array
of step numbers and returns an array, so that a whole epoch's rates are one call. Your own function will do, also one
that takes one number only. Step numbers go on where an optimiser is used for a second fit of the same network.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn._arrays import numbers
from fastnn._scalars import number, positive

Schedule = Callable[[Any], Any]
Rates = npt.NDArray[np.float64]


def _steps(step: npt.ArrayLike) -> Rates:
    return np.asarray(step, dtype=np.float64)


# The formulas, at the top of the module so that schedules can be pickled.


def _constant(lr: float, step: npt.ArrayLike) -> Rates:
    return np.full_like(_steps(step), lr)


def _step_decay(lr: float, period: float, factor: float, step: npt.ArrayLike) -> Rates:
    return lr * factor ** np.floor(_steps(step) / period)


def _exponential(lr: float, decay: float, step: npt.ArrayLike) -> Rates:
    return lr * decay ** _steps(step)


def _inverse_scaling(lr: float, power: float, step: npt.ArrayLike) -> Rates:
    return lr / (_steps(step) + 1.0) ** power


def _inverse_time(lr: float, decay: float, step: npt.ArrayLike) -> Rates:
    return lr / (1.0 + decay * _steps(step))


def _cosine(lr: float, fall: float, final: float, step: npt.ArrayLike) -> Rates:
    return final + (lr - final) * 0.5 * (1.0 + np.cos(np.pi * np.minimum(_steps(step) / fall, 1.0)))


def _warmup(after: Schedule, rise: float, step: npt.ArrayLike) -> Rates:
    at = _steps(step)
    return np.minimum((at + 1.0) / rise, 1.0) * _evaluate(after, np.maximum(at - rise, 0.0))


def _piecewise(edges: Rates, values: Rates, step: npt.ArrayLike) -> Rates:
    return values[np.searchsorted(edges, _steps(step), side="right")]


def constant(lr: float) -> Schedule:
    """The same rate at every step.

    Parameters
    ----------
    lr : float >= 0
        The rate.

    Returns
    -------
    callable
        The schedule: takes a step number, or an array of them, and returns as many rates, float64.

    Raises
    ------
    ValueError
        A number is out of its range or not finite.

    Examples
    --------
    >>> float(constant(0.1)(1000))
    0.1
    """
    lr = positive("lr", lr, zero=True)
    return partial(_constant, lr)


def step_decay(lr: float, every: int, factor: float = 0.1) -> Schedule:
    """``lr · factor^⌊step / every⌋``: a smaller rate after each ``every`` steps.

    Parameters
    ----------
    lr : float >= 0
        Rate of the first ``every`` steps.
    every : int > 0
        Steps from one fall to the next.
    factor : float > 0, default 0.1
        What the rate is multiplied by at each fall.

    Returns
    -------
    callable
        The schedule: takes a step number, or an array of them, and returns as many rates, float64.

    Raises
    ------
    ValueError
        A number is out of its range or not finite.

    Examples
    --------
    >>> np.round(step_decay(1.0, every=100)([0, 99, 100, 200]), 6)
    array([1.  , 1.  , 0.1 , 0.01])
    """
    lr, period, factor = positive("lr", lr, zero=True), positive("every", every), positive("factor", factor)
    return partial(_step_decay, lr, period, factor)


def exponential(lr: float, decay: float) -> Schedule:
    """``lr · decay^step``.

    Parameters
    ----------
    lr : float >= 0
        Rate of step 0.
    decay : float > 0
        What the rate is multiplied by at each step.

    Returns
    -------
    callable
        The schedule: takes a step number, or an array of them, and returns as many rates, float64.

    Raises
    ------
    ValueError
        A number is out of its range or not finite.

    Examples
    --------
    >>> exponential(1.0, 0.5)([0, 1, 2])
    array([1.  , 0.5 , 0.25])
    """
    lr, decay = positive("lr", lr, zero=True), positive("decay", decay)
    return partial(_exponential, lr, decay)


def inverse_scaling(lr: float, power: float = 0.5) -> Schedule:
    """``lr / (step + 1)^power``, scikit-learn's "invscaling".

    Parameters
    ----------
    lr : float >= 0
        Rate of step 0.
    power : float >= 0, default 0.5
        How fast it falls; with 0 it does not.

    Returns
    -------
    callable
        The schedule: takes a step number, or an array of them, and returns as many rates, float64.

    Raises
    ------
    ValueError
        A number is out of its range or not finite.

    Examples
    --------
    >>> inverse_scaling(1.0)([0, 3])
    array([1. , 0.5])
    """
    lr, power = positive("lr", lr, zero=True), positive("power", power, zero=True)
    return partial(_inverse_scaling, lr, power)


def inverse_time(lr: float, decay: float) -> Schedule:
    """``lr / (1 + decay · step)``.

    Parameters
    ----------
    lr : float >= 0
        Rate of step 0.
    decay : float >= 0
        How fast it falls: the rate is half of ``lr`` at step 1 / decay.

    Returns
    -------
    callable
        The schedule: takes a step number, or an array of them, and returns as many rates, float64.

    Raises
    ------
    ValueError
        A number is out of its range or not finite.

    Examples
    --------
    >>> inverse_time(1.0, 0.01)([0, 100])
    array([1. , 0.5])
    """
    lr, decay = positive("lr", lr, zero=True), positive("decay", decay, zero=True)
    return partial(_inverse_time, lr, decay)


def cosine(lr: float, steps: int, final: float = 0.0) -> Schedule:
    """Half a cosine from ``lr`` down to ``final`` over ``steps`` steps, then ``final``.

    Source: I. Loshchilov and F. Hutter, *SGDR: Stochastic Gradient Descent with Warm Restarts*, ICLR 2017, one period.

    Parameters
    ----------
    lr : float >= 0
        Rate of step 0.
    steps : int > 0
        Steps that the fall takes.
    final : float >= 0, default 0
        Rate behind them.

    Returns
    -------
    callable
        The schedule: takes a step number, or an array of them, and returns as many rates, float64.

    Raises
    ------
    ValueError
        A number is out of its range or not finite.

    Examples
    --------
    >>> np.round(cosine(1.0, steps=100)([0, 50, 100, 500]), 6)
    array([1. , 0.5, 0. , 0. ])
    """
    lr, fall, final = positive("lr", lr, zero=True), positive("steps", steps), positive("final", final, zero=True)
    return partial(_cosine, lr, fall, final)


def warmup(schedule: float | Schedule, steps: int) -> Schedule:
    """A straight rise over the first ``steps`` steps, then ``schedule``, which starts counting at 0 behind the rise.

    Step k < steps has (k + 1) / steps of the rate that ``schedule`` begins with.

    Parameters
    ----------
    schedule : float >= 0 or schedule
        The rates behind the rise.
    steps : int > 0
        Steps of the rise.

    Returns
    -------
    callable
        The schedule: takes a step number, or an array of them, and returns as many rates, float64.

    Raises
    ------
    ValueError
        A number is out of its range or not finite.

    Examples
    --------
    >>> warmup(1.0, steps=4)([0, 1, 3, 4])
    array([0.25, 0.5 , 1.  , 1.  ])
    """
    rise = positive("steps", steps)
    after = schedule if callable(schedule) else constant(schedule)

    return partial(_warmup, after, rise)


def piecewise(boundaries: Sequence[int], rates: Sequence[float]) -> Schedule:
    """``rates[0]`` up to step ``boundaries[0]``, ``rates[1]`` from there on, and so on; one rate more than boundaries.

    Parameters
    ----------
    boundaries : sequence of int, length n
        Step numbers, increasing.
    rates : sequence of float, length n + 1
        Each >= 0 and finite.

    Returns
    -------
    callable
        The schedule: takes a step number, or an array of them, and returns as many rates, float64.

    Raises
    ------
    ValueError
        Not one rate more than boundaries, boundaries that do not increase, or a rate out of its range.

    Examples
    --------
    >>> piecewise([100, 200], [1.0, 0.1, 0.01])([0, 99, 100, 200])
    array([1.  , 1.  , 0.1 , 0.01])
    """
    edges, values = numbers("boundaries", boundaries).astype(np.float64), numbers("rates", rates).astype(np.float64)
    if edges.ndim != 1 or values.shape != (len(edges) + 1,):
        raise ValueError(
            f"piecewise: wanted one rate more than boundaries, got {values.shape} rates, {edges.shape} boundaries"
        )
    if not (np.diff(edges) > 0).all():
        raise ValueError(f"piecewise: wanted boundaries that increase, got {edges.tolist()}")
    for value in values:
        positive("rates", value, zero=True)
    return partial(_piecewise, edges, values)


def learning_rates(schedule: float | Schedule, first: int, count: int) -> Rates:
    """The rates of ``count`` steps from step number ``first`` on.

    Parameters
    ----------
    schedule : float or schedule
        It is asked for all steps at once, an array of float64; one that refuses arrays step by step, each an int.
    first : int
        Number of the first step, from 0.
    count : int
        How many steps.

    Returns
    -------
    ndarray of float64, shape (count,)

    Raises
    ------
    ValueError
        The schedule returns another number of rates, or one that is negative or not finite; the message names the step.
    TypeError
        It returns something other than real numbers.

    Examples
    --------
    >>> learning_rates(lambda step: 1.0 if step < 2 else 0.1, first=1, count=3)
    array([1. , 0.1, 0.1])
    """
    if not callable(schedule):
        return np.full(count, schedule, dtype=np.float64)
    rates = _evaluate(schedule, np.arange(first, first + count, dtype=np.float64))
    if rates.shape != (count,):
        raise ValueError(f"learning-rate schedule: wanted {count} rates for {count} steps, got shape {rates.shape}")
    good = np.isfinite(rates) & (rates >= 0.0)
    if not good.all():
        bad = int(np.argmin(good))
        raise ValueError(f"learning-rate schedule: wanted a finite rate >= 0, got {rates[bad]} at step {first + bad}")
    return np.ascontiguousarray(rates)


def _evaluate(schedule: Schedule, steps: Rates) -> Rates:
    """The schedule at an array of steps, one step at a time where it does not take arrays."""
    try:
        # Of float64: powers that are right for one Python number overflow in int64.
        rates = np.asarray(schedule(steps))
        if rates.dtype.kind in "fiub":
            rates = rates.astype(np.float64)
            return np.broadcast_to(rates, steps.shape) if rates.ndim == 0 else rates
    except (TypeError, ValueError, IndexError):  # such as math.cos, an if over the step, or a list of rates
        pass
    return np.array([_one_rate(schedule, step) for step in steps.tolist()], dtype=np.float64)


def _one_rate(schedule: Schedule, step: float) -> float:
    rate = schedule(int(step) if step.is_integer() else step)
    if np.iscomplexobj(rate):  # NumPy's would lose its imaginary part
        raise TypeError(f"learning-rate schedule: wanted a real number, got {rate!r} at step {step:.0f}")
    return number(f"learning-rate schedule, step {step:.0f}", rate)
