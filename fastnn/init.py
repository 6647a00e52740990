"""Initial weights: constant, normal, Xavier, He and Glorot, each normal and uniform. Biases start at zero.

Sources: X. Glorot and Y. Bengio, *Understanding the difficulty of training deep feedforward neural networks*, AISTATS
2010; K. He and others, *Delving Deep into Rectifiers*, ICCV 2015. "xavier" is the simplified form that looks at the
inputs only, "glorot" is the form of the paper.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn._arrays import numbers
from fastnn._scalars import number
from fastnn.spec import NetworkSpec

Scheme = str | tuple[str, float] | Callable[[np.random.Generator, int, int], npt.ArrayLike]

# Activations that pass about half of their input: He's factor 2 makes up for the other half.
_RECTIFIERS = frozenset({"relu", "leaky_relu", "elu", "softplus", "gelu", "silu"})

# Variance of a weight, from the number of inputs and outputs of its layer.
_VARIANCES: dict[str, Callable[[int, int], float]] = {
    "he": lambda n_in, n_out: 2.0 / n_in,
    "xavier": lambda n_in, n_out: 1.0 / n_in,
    "glorot": lambda n_in, n_out: 2.0 / (n_in + n_out),
}
PARAMETRISED = ("constant", "normal", "uniform")
NAMES = ("auto", "zeros", *(name + form for name in _VARIANCES for form in ("", "_normal", "_uniform")))


def initialise(spec: NetworkSpec, init: Scheme | Sequence[Scheme], parameters: npt.NDArray[Any]) -> None:
    """Fill a flat parameter vector with initial weights and zero biases.

    Parameters
    ----------
    spec : NetworkSpec
        Sizes, activations, and the seed that makes the same weights again (in either dtype, up to rounding).
    init : scheme, or one scheme per layer
        - "auto": "he" for a layer with an activation of the ReLU family, "xavier" for any other;
        - "he", "xavier", "glorot", or with "_normal" behind: N(0, std²), std = √(2/n_in), √(1/n_in), √(2/(n_in+n_out));
        - the same with "_uniform" behind: evenly on ±√3·std, which has the same variance;
        - "zeros"; ("constant", c); ("normal", std); ("uniform", limit);
        - a function of (rng, n_in, n_out) that returns an array of shape (n_in, n_out).
    parameters : ndarray, shape (n_parameters,)
        Written in place, only after every layer's weights were made.

    Raises
    ------
    ValueError
        An unknown name, a wrong number of schemes, or a function that returns another shape or values not finite.
    TypeError
        Something that is none of these.

    Examples
    --------
    >>> from fastnn import MLP
    >>> net = MLP([1000, 500, 10], activation="relu", init="he", seed=0)
    >>> round(float(net.weights[0].std()) * (1000 / 2) ** 0.5, 2)
    1.0
    """
    schemes = _per_layer(init, spec.n_layers)
    rng = np.random.default_rng(spec.seed)
    shapes = list(itertools.pairwise(spec.sizes))
    layers = zip(schemes, shapes, spec.activations, strict=True)
    weights = [_weights(scheme, rng, n_in, n_out, name) for scheme, (n_in, n_out), (name, _) in layers]
    for (W, b), values in zip(spec.layer_views(parameters), weights, strict=True):
        W[...] = values
        b[...] = 0.0


def _per_layer(init: Any, n_layers: int) -> list[Any]:
    if isinstance(init, str) or callable(init) or _is_parametrised(init):
        return [init] * n_layers
    if not isinstance(init, (list, tuple)):
        raise TypeError(f"init: wanted a name, a pair such as ('normal', 0.01) or a function, got {init!r}")
    if len(init) != n_layers:
        raise ValueError(f"init: wanted {n_layers} schemes, one per layer, got {len(init)}")
    return list(init)


def _is_parametrised(init: Any) -> bool:
    if not isinstance(init, tuple) or len(init) != 2 or not isinstance(init[0], str):
        return False
    # Known by its name already, so that a wrong number is refused as one.
    return init[0] in PARAMETRISED or isinstance(init[1], (int, float))


def _weights(scheme: Any, rng: np.random.Generator, n_in: int, n_out: int, activation: str) -> npt.NDArray[Any]:
    """One layer's weights (n_in, n_out) in float64."""
    if callable(scheme):
        return _from_function(scheme, rng, n_in, n_out)
    if _is_parametrised(scheme):
        return _parametrised(scheme[0], scheme[1], rng, n_in, n_out)
    if not isinstance(scheme, str):
        raise TypeError(f"init: wanted a name, a pair such as ('normal', 0.01) or a function, got {scheme!r}")
    if scheme not in NAMES:
        raise ValueError(f"init: wanted one of {', '.join(NAMES)}, got {scheme!r}")
    if scheme == "zeros":
        return np.zeros((n_in, n_out))
    if scheme == "auto":
        scheme = "he" if activation in _RECTIFIERS else "xavier"
    name, _, form = scheme.partition("_")
    std = math.sqrt(_VARIANCES[name](n_in, n_out))
    if form == "uniform":
        return rng.uniform(-math.sqrt(3.0) * std, math.sqrt(3.0) * std, (n_in, n_out))
    return rng.normal(0.0, std, (n_in, n_out))


def _parametrised(name: str, value: float, rng: np.random.Generator, n_in: int, n_out: int) -> npt.NDArray[Any]:
    if name not in PARAMETRISED:
        raise ValueError(f"init: wanted ('constant', c), ('normal', std) or ('uniform', limit), got {(name, value)!r}")
    value = number(f"init: {name}", value)
    if not math.isfinite(value) or (value < 0 and name != "constant"):
        raise ValueError(f"init: wanted a finite number{'' if name == 'constant' else ' >= 0'}, got {(name, value)!r}")
    if name == "constant":
        return np.full((n_in, n_out), value)
    return rng.normal(0.0, value, (n_in, n_out)) if name == "normal" else rng.uniform(-value, value, (n_in, n_out))


def _from_function(
    function: Callable[[np.random.Generator, int, int], npt.ArrayLike], rng: np.random.Generator, n_in: int, n_out: int
) -> npt.NDArray[Any]:
    values = numbers("init: the function's weights", function(rng, n_in, n_out))
    if values.shape != (n_in, n_out):
        raise ValueError(f"init: wanted shape ({n_in}, {n_out}) from the function, got {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError("init: wanted finite values from the function, got NaN or infinity")
    return values
