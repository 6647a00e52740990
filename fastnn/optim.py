"""The optimisers: what to do with a gradient. Light descriptions; what they remember is kept for each network.

The formulas are the ``<kind>_update`` functions of `fastnn.reference`. Below, g is the gradient of the whole cost,
including L2 (`fastnn.MLP`, ``l2``), after clipping; p the parameters; lr the learning rate.
"""

from fastnn._optimizer import Optimizer, check_hyper
from fastnn._state import OptimizerState
from fastnn.schedules import Schedule

__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "Momentum", "Optimizer", "OptimizerState", "RMSprop"]


class SGD(Optimizer):
    """Gradient descent, plain or with momentum.

    Without momentum ``p −= lr·g``. With it ``v = momentum·v − lr·g`` and ``p += v``; with ``nesterov=True``
    ``p += momentum·v − lr·g`` instead (Sutskever and others, ICML 2013, in the form that evaluates g at p).

    Parameters
    ----------
    lr : float or schedule, default 0.01
    momentum : float in [0, 1), default 0
    nesterov : bool, default False
        Wants momentum > 0.
    clip_norm : float, optional

    Raises
    ------
    TypeError, ValueError
        A hyperparameter that is no number, or out of its range.

    Notes
    -----
    PyTorch's ``SGD(momentum=…)`` keeps ``v / −lr``: the same steps as long as the rate does not change.

    Examples
    --------
    >>> SGD(0.1, momentum=0.9, nesterov=True)
    SGD(lr=0.1, momentum=0.9, nesterov=True)
    """

    def __init__(
        self,
        lr: float | Schedule = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        *,
        clip_norm: float | None = None,
    ) -> None:
        check_hyper("momentum", momentum)
        if nesterov and momentum == 0.0:
            raise ValueError("nesterov: wanted momentum > 0 with it, got 0")
        self.kind = ("nesterov" if nesterov else "momentum") if momentum else "sgd"
        self.nesterov = bool(nesterov)
        super().__init__(lr, clip_norm=clip_norm, **({"momentum": momentum} if momentum else {}))

    @property
    def momentum(self) -> float:
        """The decay of the running mean; 0 where there is none."""
        return self._hyper.get("momentum", 0.0)

    def __repr__(self) -> str:
        return super().__repr__()[:-1] + (", nesterov=True)" if self.nesterov else ")")


class Momentum(Optimizer):
    """Momentum in the averaged form: ``v = beta·v + (1 − beta)·g``, ``p −= lr·v``.

    The classical form, which does not weigh g by 1 − beta, is `SGD` with ``momentum``.

    Parameters
    ----------
    lr : float or schedule, default 0.01
    beta : float in [0, 1), default 0.9
    clip_norm : float, optional

    Raises
    ------
    TypeError, ValueError
        A hyperparameter that is no number, or out of its range.

    Examples
    --------
    >>> Momentum(0.1)
    Momentum(lr=0.1, beta=0.9)
    """

    kind = "averaged_momentum"

    def __init__(self, lr: float | Schedule = 0.01, beta: float = 0.9, *, clip_norm: float | None = None) -> None:
        super().__init__(lr, clip_norm=clip_norm, beta=beta)


class RMSprop(Optimizer):
    """``s = beta·s + (1 − beta)·g²``, ``p −= lr·g / (√s + epsilon)`` (G. Hinton, Coursera lecture 6e, 2012).

    Parameters
    ----------
    lr : float or schedule, default 0.001
    beta : float in [0, 1), default 0.9
    epsilon : float > 0, default 1e-8
    clip_norm : float, optional

    Raises
    ------
    TypeError, ValueError
        A hyperparameter that is no number, or out of its range.

    Examples
    --------
    >>> RMSprop().beta
    0.9
    """

    kind = "rmsprop"

    def __init__(
        self,
        lr: float | Schedule = 1e-3,
        beta: float = 0.9,
        epsilon: float = 1e-8,
        *,
        clip_norm: float | None = None,
    ) -> None:
        super().__init__(lr, clip_norm=clip_norm, beta=beta, epsilon=epsilon)


class Adagrad(Optimizer):
    """``s += g²``, ``p −= lr·g / (√s + epsilon)`` (J. Duchi, E. Hazan and Y. Singer, JMLR 12, 2011).

    Parameters
    ----------
    lr : float or schedule, default 0.01
    epsilon : float > 0, default 1e-10
    clip_norm : float, optional

    Raises
    ------
    TypeError, ValueError
        A hyperparameter that is no number, or out of its range.

    Examples
    --------
    >>> Adagrad(clip_norm=5.0)
    Adagrad(lr=0.01, epsilon=1e-10, clip_norm=5.0)
    """

    kind = "adagrad"

    def __init__(self, lr: float | Schedule = 0.01, epsilon: float = 1e-10, *, clip_norm: float | None = None) -> None:
        super().__init__(lr, clip_norm=clip_norm, epsilon=epsilon)


class Adam(Optimizer):
    """Adam with bias correction (D. Kingma and J. Ba, ICLR 2015).

    ``m = beta1·m + (1 − beta1)·g``, ``v = beta2·v + (1 − beta2)·g²``, and at the t-th step
    ``p −= lr·m̂ / (√v̂ + epsilon)`` with ``m̂ = m / (1 − beta1ᵗ)``, ``v̂ = v / (1 − beta2ᵗ)``.

    Parameters
    ----------
    lr : float or schedule, default 0.001
    beta1, beta2 : float in [0, 1), default 0.9 and 0.999
    epsilon : float > 0, default 1e-8
    clip_norm : float, optional

    Raises
    ------
    TypeError, ValueError
        A hyperparameter that is no number, or out of its range.

    Examples
    --------
    >>> Adam(1e-3)
    Adam(lr=0.001, beta1=0.9, beta2=0.999, epsilon=1e-08)
    """

    kind = "adam"

    def __init__(
        self,
        lr: float | Schedule = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        *,
        clip_norm: float | None = None,
    ) -> None:
        super().__init__(lr, clip_norm=clip_norm, beta1=beta1, beta2=beta2, epsilon=epsilon)


class AdamW(Optimizer):
    """`Adam` behind a decay that does not pass through the running means: ``p *= 1 − lr·weight_decay`` first.

    As in PyTorch, ``weight_decay`` acts on every parameter, biases included; ``l2`` of the network on weights only.
    Source: I. Loshchilov and F. Hutter, *Decoupled Weight Decay Regularization*, ICLR 2019.

    Parameters
    ----------
    lr : float or schedule, default 0.001
    beta1, beta2 : float in [0, 1), default 0.9 and 0.999
    epsilon : float > 0, default 1e-8
    weight_decay : float >= 0, default 0.01
    clip_norm : float, optional

    Raises
    ------
    TypeError, ValueError
        A hyperparameter that is no number, or out of its range.

    Examples
    --------
    >>> AdamW(1e-3, weight_decay=0.1).weight_decay
    0.1
    """

    kind = "adamw"

    def __init__(
        self,
        lr: float | Schedule = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.01,
        *,
        clip_norm: float | None = None,
    ) -> None:
        super().__init__(lr, clip_norm=clip_norm, beta1=beta1, beta2=beta2, epsilon=epsilon, weight_decay=weight_decay)
