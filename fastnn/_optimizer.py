"""What all optimisers are: a learning rate or schedule, settings that stay, and a state for each network."""

import math
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from fastnn._scalars import number
from fastnn._state import HYPER, OptimizerState
from fastnn.schedules import Rates, Schedule, learning_rates

if TYPE_CHECKING:
    from fastnn._network import Network

# What an optimiser is made with, besides hyperparameters, and what follows from it.
_SETTINGS = frozenset({"momentum", "nesterov", "clip_norm", "weight_decay", "kind", "schedule"})


class Optimizer:
    """Base of all optimisers: a learning rate or schedule, clipping, and the state kept for each network.

    Using one optimiser again for the same network goes on where it stopped: running means, step number (so also the
    schedule and the dropout masks) and epoch number (so also the shuffles). `reset` forgets. Different networks do not
    disturb each other. A copied or pickled optimiser keeps its settings and starts afresh.

    Parameters
    ----------
    lr : float or callable
        Learning rate >= 0, or a schedule: a function of the step number (`fastnn.schedules`). ``optimizer.lr`` may be
        set at any time.
    clip_norm : float, optional
        Where the Euclidean norm of the whole gradient exceeds it, the gradient is scaled down to it.
    **hyper : float
        The other hyperparameters, by name, as a subclass hands them on.

    Raises
    ------
    TypeError
        A hyperparameter that is no number.
    ValueError
        One out of its range.

    Examples
    --------
    >>> adam = Adam(1e-3)
    >>> adam.lr = 1e-4
    >>> adam
    Adam(lr=0.0001, beta1=0.9, beta2=0.999, epsilon=1e-08)
    """

    kind: str
    schedule: Schedule | None

    def __init__(self, lr: float | Schedule, *, clip_norm: float | None = None, **hyper: float) -> None:
        self._states: WeakKeyDictionary[Network, OptimizerState] = WeakKeyDictionary()
        self._hyper = hyper
        for name, value in hyper.items():
            check_hyper(name, value)
        if clip_norm is not None and not 0.0 < number("clip_norm", clip_norm) < math.inf:
            raise ValueError(f"clip_norm: wanted a finite number > 0 or None, got {clip_norm}")
        self.clip_norm = clip_norm
        self.lr = lr

    @property
    def lr(self) -> float | Schedule:
        """The learning rate or schedule."""
        return self._lr

    @lr.setter
    def lr(self, value: float | Schedule) -> None:
        if not callable(value):
            check_hyper("lr", value)
            value = float(value)
        self._lr = value
        self.__dict__["schedule"] = value if callable(value) else None
        if not callable(value):
            for _, state in self._known():
                state.hyper[HYPER["lr"]] = value

    def _known(self) -> list[tuple["Network", OptimizerState]]:
        """The networks and their states, while other threads bring new ones."""
        networks = [reference() for reference in self._states.keyrefs()]
        known = [(net, self._states.get(net)) for net in networks if net is not None]
        return [(net, state) for net, state in known if state is not None]

    def learning_rates(self, first: int, count: int) -> Rates:
        """The rates of ``count`` steps from step number ``first`` on.

        Parameters
        ----------
        first : int
            Number of the first step, from 0: an optimiser's first update of a network is step 0.
        count : int
            How many steps.

        Returns
        -------
        ndarray of float64, shape (count,)

        Raises
        ------
        ValueError
            The schedule returns another number of rates, or one that is negative or not finite.

        Examples
        --------
        >>> SGD(schedules.exponential(1.0, 0.5)).learning_rates(1, 3)
        array([0.5  , 0.25 , 0.125])
        """
        return learning_rates(self._lr, first, count)

    def state(self, net: "Network") -> OptimizerState:
        """What this optimiser remembers about ``net``; made when it is first asked for.

        Parameters
        ----------
        net : MLP
            Kept by a weak reference: what is remembered goes with the network.

        Returns
        -------
        OptimizerState
            The same object at every call; the network's training writes to it.

        Examples
        --------
        >>> net, adam = MLP([2, 1]), Adam()
        >>> loss = net.train_step([[1, 2]], [3], adam)
        >>> adam.state(net).t
        1
        """
        state = self._states.get(net)
        if state is None:
            state = OptimizerState(self.kind, self._hyper_vector(), net.spec.n_parameters, net.spec.dtype)
            state = self._states.setdefault(net, state)  # another thread's, where that was first
            if not callable(self._lr):  # set since by another thread
                state.hyper[HYPER["lr"]] = self._lr
        else:
            state.require(net.spec.n_parameters, net.spec.dtype)  # a network may be made anew in place
        return state

    def reset(self, net: "Network | None" = None) -> None:
        """Forget what was remembered about ``net``, or about every network.

        Parameters
        ----------
        net : MLP, optional
            Of which to forget; one that the optimiser does not know changes nothing.

        Examples
        --------
        >>> net, adam = MLP([2, 1]), Adam()
        >>> loss = net.train_step([[1, 2]], [3], adam)
        >>> adam.reset(net)
        >>> adam.state(net).t
        0
        """
        for one, state in self._known():
            if net is None or one is net:
                state.reset()

    def _hyper_vector(self) -> npt.NDArray[np.float64]:
        vector = np.zeros(len(set(HYPER.values())))
        vector[HYPER["lr"]] = learning_rates(self._lr, 0, 1)[0]
        vector[HYPER["clip"]] = self.clip_norm or 0.0
        for name, value in self._hyper.items():
            vector[HYPER[name]] = value
        return vector

    def __getattr__(self, name: str) -> float:
        try:
            return float(self.__dict__["_hyper"][name])
        except KeyError:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        # Silently ignored otherwise: the states already hold the numbers they were made with.
        if "_lr" in self.__dict__ and (name in _SETTINGS or name in self._hyper):
            raise AttributeError(f"{name}: only lr can be changed, make another {type(self).__name__}")
        super().__setattr__(name, value)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_states": None}

    def __setstate__(self, values: dict[str, Any]) -> None:
        self.__dict__.update(values, _states=WeakKeyDictionary())

    def __repr__(self) -> str:
        shown = {"lr": self._lr, **self._hyper}
        if self.clip_norm is not None:
            shown["clip_norm"] = self.clip_norm
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


def check_hyper(name: str, value: Any) -> None:
    """Refuse a hyperparameter that is no number or out of its range."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name}: wanted a number{' or a schedule' if name == 'lr' else ''}, got {value!r}")
    value = number(name, value)
    if name == "epsilon":
        good, wanted = 0.0 < value < math.inf, "a finite number > 0"
    elif name in ("lr", "weight_decay"):
        good, wanted = 0.0 <= value < math.inf, "a finite number >= 0"
    else:
        good, wanted = 0.0 <= value < 1.0, "a number in [0, 1)"
    if not good:
        raise ValueError(f"{name}: wanted {wanted}, got {value}")
