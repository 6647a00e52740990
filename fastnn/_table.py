"""The ops by name: what each activation, loss and update needs. Everything that must loop over them reads it here.

Only facts stand here, no arithmetic. The contract test compares these rows with the functions' signatures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True)
class Activation:
    """What a layer has to know about an activation.

    Attributes
    ----------
    alpha : float or None
        Default of its parameter; None where there is no parameter.
    needs_z : bool
        The backward pass needs the pre-activation besides the output.
    differentiable : bool
        There is a backward pass.
    rowwise : bool
        An output depends on its whole row, not on one element only.
    alpha_zero : bool
        alpha may be zero (otherwise it must be positive).
    """

    alpha: float | None = None
    needs_z: bool = False
    differentiable: bool = True
    rowwise: bool = False
    alpha_zero: bool = False


@dataclass(frozen=True)
class Loss:
    """What a trainer has to know about a loss.

    Attributes
    ----------
    gradient : str
        Name of the argument that receives the gradient.
    labels : bool
        The target may be integer labels.
    link : str
        The output activation that the loss contains; "identity" where it takes the outputs themselves.
    """

    gradient: str
    labels: bool = False
    link: str = "identity"


@dataclass(frozen=True)
class Update:
    """What an optimiser has to know about an update.

    Attributes
    ----------
    slots : tuple of str
        Names of the state arrays, in the order of the arguments.
    hyper : mapping
        Names and default values of its hyperparameters besides lr, l2 and scale.
    counts : bool
        It takes the number t of the update, from 1.
    """

    slots: tuple[str, ...] = ()
    hyper: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    counts: bool = False


def _hyper(**values: float) -> Mapping[str, float]:
    return MappingProxyType(values)


ACTIVATIONS: Mapping[str, Activation] = MappingProxyType(
    {
        "identity": Activation(),
        "sigmoid": Activation(),
        "tanh": Activation(),
        "relu": Activation(),
        "leaky_relu": Activation(alpha=0.01, alpha_zero=True),
        "elu": Activation(alpha=1.0),
        "softplus": Activation(),
        "gelu": Activation(needs_z=True),
        "silu": Activation(needs_z=True),
        "softmax": Activation(rowwise=True),
        "step": Activation(differentiable=False),
    }
)

LOSSES: Mapping[str, Loss] = MappingProxyType(
    {
        "softmax_cross_entropy": Loss(gradient="dz", labels=True, link="softmax"),
        "sigmoid_cross_entropy": Loss(gradient="dz", link="sigmoid"),
        "squared_error": Loss(gradient="dy"),
    }
)

UPDATES: Mapping[str, Update] = MappingProxyType(
    {
        "sgd": Update(),
        "momentum": Update(slots=("v",), hyper=_hyper(momentum=0.9)),
        "nesterov": Update(slots=("v",), hyper=_hyper(momentum=0.9)),
        "averaged_momentum": Update(slots=("v",), hyper=_hyper(beta=0.9)),
        "rmsprop": Update(slots=("s",), hyper=_hyper(beta=0.9, epsilon=1e-8)),
        "adagrad": Update(slots=("s",), hyper=_hyper(epsilon=1e-10)),
        "adam": Update(slots=("m", "v"), hyper=_hyper(beta1=0.9, beta2=0.999, epsilon=1e-8), counts=True),
        "adamw": Update(
            slots=("m", "v"), hyper=_hyper(beta1=0.9, beta2=0.999, epsilon=1e-8, weight_decay=0.01), counts=True
        ),
    }
)

# How far the sum of a row of class probabilities may be from 1: float16 rows of a thousand classes stay within this.
ROW_SUM_TOLERANCE = 1e-3
