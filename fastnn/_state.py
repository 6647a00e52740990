"""What an optimiser remembers, apart from the optimiser: the engines and `fastnn.optim` share it."""

from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn._arrays import lines_of_zeros
from fastnn._table import UPDATES

# Where each hyperparameter of an update stands in OptimizerState.hyper; an engine reads it by position.
HYPER = {
    "lr": 0,
    "momentum": 1,
    "beta": 1,
    "beta1": 1,
    "beta2": 2,
    "epsilon": 3,
    "weight_decay": 4,
    "clip": 5,
    "epsilon_hat": 6,
}


class OptimizerState:
    """What an optimiser remembers about one network; both engines read and write it.

    Parameters
    ----------
    kind : str
        Name of the update without "_update".
    hyper : ndarray of float64, shape (7,)
        Kept, not copied. lr, beta1 (or the one decay), beta2, epsilon, weight decay, clip norm (0: no clipping),
        epsilon_hat (not 0: Adam adds epsilon to √v itself, before the bias correction, the "epsilon hat" of the paper's
        section 2).
    n_parameters : int
        Of the network.
    dtype : {"float32", "float64"}
        Of the running means and the snapshot.

    Attributes
    ----------
    slots : ndarray, shape (n_slots, n_parameters)
        The running means, zeros at the start.
    counter : ndarray of int64, shape (1,)
        Updates made so far, also as ``t``.
    snapshot, snapshot_counter : ndarray
        Parameters and slots in one vector, and t, as they were at the end of the last finite epoch.
    epoch : int
        Epochs that `MLP.fit` finished with it: numbers the shuffles.

    Examples
    --------
    >>> state = Adam(0.1).state(MLP([2, 3, 1]))
    >>> state.kind, float(state.hyper[0]), state.slots.shape, state.t
    ('adam', 0.1, (2, 13), 0)
    """

    __slots__ = ("counter", "epoch", "hyper", "kind", "slots", "snapshot", "snapshot_counter")

    def __init__(self, kind: str, hyper: npt.NDArray[np.float64], n_parameters: int, dtype: str) -> None:
        n_slots = len(UPDATES[kind].slots)
        self.kind = kind
        self.hyper = hyper
        # Views cannot be resized: an engine keeps addresses.
        self.slots = lines_of_zeros((n_slots, n_parameters), dtype)
        self.counter = np.zeros(1, np.int64)[:]
        # Not filled before a fit does so: until then it takes no memory.
        self.snapshot = np.empty((1 + n_slots) * n_parameters, dtype)[:]
        self.snapshot_counter = np.zeros(1, np.int64)[:]
        self.epoch = 0

    def __setattr__(self, name: str, value: Any) -> None:
        """An array takes over the values: engines keep its address. What says what it is for stays."""
        if not hasattr(self, name) or name in ("epoch", "t"):
            object.__setattr__(self, name, value)
        elif name == "kind":
            raise AttributeError(f"kind: this state is of {self.kind!r}, ask another optimiser for another")
        else:
            array, values = getattr(self, name), np.asarray(value)
            if values.shape != array.shape:
                raise ValueError(f"state.{name}: wanted shape {array.shape}, got {values.shape}")
            array[...] = values

    @property
    def t(self) -> int:
        """Updates made so far."""
        return int(self.counter[0])

    @t.setter
    def t(self, value: int) -> None:
        self.counter[0] = value

    def require(self, n_parameters: int, dtype: str) -> None:
        """Refuse to be used for another network than it was made for.

        Parameters
        ----------
        n_parameters : int
            Of the network.
        dtype : {"float32", "float64"}
            Of the network.

        Raises
        ------
        ValueError
            An array has another shape or dtype, is read-only, or is not C-contiguous; the message says which.

        Examples
        --------
        >>> Adam(0.1).state(MLP([2, 3, 1])).require(13, "float32")
        """
        n_slots = len(UPDATES[self.kind].slots)
        wanted = {
            "hyper": ("float64", (7,)),
            "slots": (dtype, (n_slots, n_parameters)),
            "counter": ("int64", (1,)),
            "snapshot": (dtype, ((1 + n_slots) * n_parameters,)),
            "snapshot_counter": ("int64", (1,)),
        }
        for name, (kind, shape) in wanted.items():
            a = getattr(self, name)
            if a.dtype != kind or a.shape != shape or not a.flags.carray:
                layout = "" if a.flags.carray else ", not writable, aligned and C-contiguous"
                raise ValueError(f"state.{name}: wanted {kind} {shape}, got {a.dtype} {a.shape}{layout}")

    def save(self, parameters: npt.NDArray[Any]) -> None:
        """Write the snapshot.

        Parameters
        ----------
        parameters : ndarray, shape (n_parameters,)
            Of the network, to be kept with slots and t.

        Examples
        --------
        >>> state = Momentum().state(MLP([1, 1]))
        >>> state.save(np.array([1.0, 2.0]))
        >>> state.snapshot
        array([1., 2., 0., 0.], dtype=float32)
        """
        n = parameters.size
        self.snapshot[:n] = parameters
        self.snapshot[n:] = self.slots.reshape(-1)
        self.snapshot_counter[0] = self.counter[0]

    def restore(self, parameters: npt.NDArray[Any]) -> None:
        """Take parameters, slots and t back from the snapshot.

        Parameters
        ----------
        parameters : ndarray, shape (n_parameters,)
            Of the network; written in place.

        Examples
        --------
        >>> state = Momentum().state(MLP([1, 1]))
        >>> state.save(np.array([1.0, 2.0]))
        >>> parameters = np.full(2, np.nan)
        >>> state.restore(parameters)
        >>> parameters
        array([1., 2.])
        """
        n = parameters.size
        parameters[...] = self.snapshot[:n]
        self.slots.reshape(-1)[...] = self.snapshot[n:]
        self.counter[0] = self.snapshot_counter[0]

    def reset(self) -> None:
        """Forget slots, t and the epoch number, in place.

        Examples
        --------
        >>> state = Momentum().state(MLP([1, 1]))
        >>> state.t = 5
        >>> state.reset()
        >>> state.t
        0
        """
        self.slots[...] = 0
        self.counter[0] = 0
        self.epoch = 0
