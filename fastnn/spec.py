"""What a network is, apart from its numbers: sizes, activations, loss, regularisation, dtype, seed.

All checks of architecture arguments are here: an engine and a model file start from a spec that is known to be sound.
"""

import itertools
import math
import operator
import secrets
from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn._scalars import integer, number
from fastnn._table import ACTIVATIONS, LOSSES
from fastnn._table import Activation as ActivationFacts
from fastnn.losses import default_loss, default_output, is_probabilistic

Activation = str | tuple[str, float]

# Every offset into the parameters, in bytes, must fit a signed 64-bit integer.
_MOST_PARAMETERS = 2**60


@dataclass(frozen=True)
class NetworkSpec:
    """The architecture of a network and the rule of its cost; immutable and checked.

    Attributes
    ----------
    sizes : tuple of int
        Units per layer, the inputs first.
    activations : tuple of (str, float)
        One (name, alpha) per layer, the last is the output's. Alpha is 0 where the activation has no such parameter.
    loss : str
        "softmax_cross_entropy", "sigmoid_cross_entropy" or "squared_error".
    keep : tuple of float
        Per hidden layer the probability that dropout keeps an output; 1 means no dropout.
    l2 : float
        The factor λ of weight decay.
    l2_form : str
        "mean" adds λ/(2m)·ΣW² for a batch of m rows, "sum" adds λ/2·ΣW². Weights only, never biases.
    sparsity : tuple of float or None
        (ρ, β): adds β Σ_j KL(ρ‖ρ̂_j) for each hidden layer.
    dtype : str
        "float32" or "float64".
    seed : int
        0 to 2⁶⁴ − 1. Drives initial weights, shuffling and dropout.
    """

    sizes: tuple[int, ...]
    activations: tuple[tuple[str, float], ...]
    loss: str
    keep: tuple[float, ...]
    l2: float = 0.0
    l2_form: str = "mean"
    sparsity: tuple[float, float] | None = None
    dtype: str = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse whatever an engine could not carry out."""
        _check_sizes(self.sizes)
        n_layers = len(self.sizes) - 1
        if len(self.activations) != n_layers:
            raise ValueError(f"activations: wanted {n_layers}, one per layer, got {len(self.activations)}")
        for name, alpha in self.activations:
            _check_activation(name, alpha)
        if len(self.keep) != n_layers - 1:
            raise ValueError(f"dropout: wanted {n_layers - 1} values, one per hidden layer, got {len(self.keep)}")
        for keep in self.keep:
            if not 0.0 < keep <= 1.0:
                raise ValueError(f"dropout: wanted a drop probability in [0, 1), got {1.0 - keep:g}")
        self._check_loss()
        if not (math.isfinite(self.l2) and self.l2 >= 0.0):
            raise ValueError(f"l2: wanted a finite number >= 0, got {self.l2}")
        if not isinstance(self.l2_form, str) or self.l2_form not in ("mean", "sum"):
            raise ValueError(f"l2_form: wanted 'mean' or 'sum', got {self.l2_form!r}")
        self._check_sparsity()
        if self.dtype not in ("float32", "float64"):
            raise ValueError(f"dtype: wanted 'float32' or 'float64', got {self.dtype!r}")
        if not 0 <= self.seed < 2**64:
            raise ValueError(f"seed: wanted 0 to 2**64 - 1, got {self.seed}")

    def _check_loss(self) -> None:
        if self.loss not in LOSSES:
            raise ValueError(f"loss: wanted one of {', '.join(LOSSES)}, got {self.loss!r}")
        wanted, output = LOSSES[self.loss].link, self.activations[-1][0]
        if is_probabilistic(self.loss) and output not in (wanted, "identity"):
            raise ValueError(f"loss {self.loss!r} wants output {wanted!r} or 'identity' (logits), got {output!r}")

    def _check_sparsity(self) -> None:
        if self.sparsity is None:
            return
        rho, beta = self.sparsity
        if not 0.0 < rho < 1.0:
            raise ValueError(f"sparsity: wanted rho strictly between 0 and 1, got {rho}")
        if not (math.isfinite(beta) and beta >= 0.0):
            raise ValueError(f"sparsity: wanted a finite beta >= 0, got {beta}")
        hidden = [name for name, _ in self.activations[:-1]]
        if not hidden or any(name != "sigmoid" for name in hidden):
            raise ValueError(f"sparsity wants hidden layers and 'sigmoid' for each of them, got {hidden}")

    @property
    def n_layers(self) -> int:
        """Layers with weights: one less than there are sizes."""
        return len(self.sizes) - 1

    @property
    def n_parameters(self) -> int:
        """Length of the flat parameter vector."""
        return sum((i + 1) * o for i, o in itertools.pairwise(self.sizes))

    def layer_slices(self) -> list[tuple[slice, slice]]:
        """Per layer the slices of W (row-major) and b in the flat vector: W1, b1, W2, b2, …"""
        slices, start = [], 0
        for n_in, n_out in itertools.pairwise(self.sizes):
            middle, end = start + n_in * n_out, start + (n_in + 1) * n_out
            slices.append((slice(start, middle), slice(middle, end)))
            start = end
        return slices

    def layer_views(self, flat: npt.NDArray[Any]) -> list[tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
        """Per layer W (n_in, n_out) and b (n_out,) as views of a flat vector."""
        shapes = itertools.pairwise(self.sizes)
        pairs = zip(self.layer_slices(), shapes, strict=True)
        return [(flat[w].reshape(shape), flat[b]) for (w, b), shape in pairs]

    def to_dict(self) -> dict[str, Any]:
        """Everything as values that JSON has; `from_dict` takes it back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "NetworkSpec":
        """The spec that `to_dict` described. ValueError or TypeError where a value is missing, unknown or wrong."""
        wanted = set(cls.__dataclass_fields__)
        if not isinstance(values, dict) or set(values) != wanted:
            got = sorted(values) if isinstance(values, dict) else type(values).__name__
            raise ValueError(f"network description: wanted exactly the entries {sorted(wanted)}, got {got}")
        sparsity = values["sparsity"]
        return cls(
            sizes=_sizes(values["sizes"]),
            activations=tuple((str(name), float(alpha)) for name, alpha in values["activations"]),
            loss=str(values["loss"]),
            keep=tuple(float(keep) for keep in values["keep"]),
            l2=float(values["l2"]),
            l2_form=str(values["l2_form"]),
            sparsity=None if sparsity is None else (float(sparsity[0]), float(sparsity[1])),
            dtype=str(values["dtype"]),
            seed=operator.index(values["seed"]),
        )


def network_spec(
    sizes: Sequence[int],
    activation: Activation | Sequence[Activation],
    output: Activation | None,
    *,
    loss: str | None,
    task: str | None,
    dropout: float | Sequence[float],
    l2: float,
    l2_form: str,
    sparsity: tuple[float, float] | None,
    dtype: npt.DTypeLike,
    seed: int | None,
) -> NetworkSpec:
    """The spec for the arguments of `fastnn.MLP`: defaults filled in, one value spread over layers."""
    for name, value in (("loss", loss), ("task", task)):
        if value is not None and not isinstance(value, str):
            raise TypeError(f"{name}: wanted a name or None, got {value!r}")
    layers = _sizes(sizes)
    n_hidden = len(layers) - 2
    last = _activation(default_output(loss, task) if output is None else output, "output")
    drops = _per_hidden_layer("dropout", dropout, n_hidden, single=_is_number(dropout))
    single = isinstance(activation, str) or _is_pair(activation)
    hidden = _per_hidden_layer("activation", activation, n_hidden, single=single)
    if sparsity is not None and not (_is_ordered(sparsity) and hasattr(sparsity, "__len__") and len(sparsity) == 2):
        raise ValueError(f"sparsity: wanted a pair (rho, beta), got {sparsity!r}")
    return NetworkSpec(
        sizes=layers,
        activations=(*(_activation(one) for one in hidden), last),
        loss=default_loss(last[0], task) if loss is None else loss,
        keep=tuple(1.0 - number("dropout", drop) for drop in drops),
        l2=number("l2", l2),
        l2_form=l2_form,
        sparsity=None if sparsity is None else (number("sparsity", sparsity[0]), number("sparsity", sparsity[1])),
        dtype=_dtype_name(dtype),
        seed=secrets.randbits(64) if seed is None else integer("seed", seed),
    )


def _dtype_name(dtype: npt.DTypeLike) -> str:
    try:
        return np.dtype(dtype).name
    except TypeError:
        raise TypeError(f"dtype: wanted 'float32' or 'float64', got {dtype!r}") from None


def _sizes(sizes: Sequence[int]) -> tuple[int, ...]:
    if not _is_ordered(sizes):
        raise TypeError(f"sizes: wanted a sequence of integers such as [784, 100, 10], got {sizes!r}")
    return tuple(integer("sizes", size) for size in sizes)


def _check_sizes(sizes: tuple[int, ...]) -> None:
    if len(sizes) < 2:
        raise ValueError(f"sizes: wanted at least two, the inputs and the outputs, got {list(sizes)}")
    if min(sizes) < 1:
        raise ValueError(f"sizes: wanted at least 1 unit in every layer, got {list(sizes)}")
    if sum((i + 1) * o for i, o in itertools.pairwise(sizes)) > _MOST_PARAMETERS:
        raise ValueError(f"sizes: {list(sizes)} makes more than 2**60 parameters")


def _is_pair(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and _is_number(value[1])


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) or (isinstance(value, np.ndarray) and value.ndim == 0)


def _is_ordered(value: Any) -> bool:
    """Values one after the other; text counts as one value, and a set has no order."""
    return hasattr(value, "__iter__") and not isinstance(value, (str, bytes, Set, Mapping))


def _per_hidden_layer(name: str, value: Any, n_hidden: int, *, single: bool) -> tuple[Any, ...]:
    if single:
        return (value,) * n_hidden
    if not _is_ordered(value):
        raise TypeError(f"{name}: wanted one value or one per hidden layer, got {value!r}")
    values = tuple(value)
    if len(values) != n_hidden:
        raise ValueError(f"{name}: wanted {n_hidden} values, one per hidden layer, got {len(values)}")
    return values


def _activation(value: Activation, argument: str = "activation") -> tuple[str, float]:
    """A (name, alpha) pair with the activation's own alpha where none is given."""
    if isinstance(value, str):
        return value, _known(value, argument).alpha or 0.0
    if not _is_pair(value) or not isinstance(value[0], str):
        raise TypeError(f"{argument}: wanted a name or a pair (name, alpha), got {value!r}")
    name, alpha = value
    if _known(name, argument).alpha is None:
        raise ValueError(f"{argument}: {name!r} takes no alpha, got {alpha!r}")
    return name, number(f"{argument}: {name}", alpha)


def _known(name: str, argument: str = "activation") -> ActivationFacts:
    if name not in ACTIVATIONS:
        raise ValueError(f"{argument}: wanted one of {', '.join(ACTIVATIONS)}, got {name!r}")
    return ACTIVATIONS[name]


def _check_activation(name: str, alpha: float) -> None:
    facts = _known(name)
    if facts.alpha is None and alpha != 0.0:
        raise ValueError(f"activation {name!r} takes no alpha, got {alpha}")
    if facts.alpha is not None and not (math.isfinite(alpha) and (alpha > 0.0 or (alpha == 0.0 and facts.alpha_zero))):
        raise ValueError(
            f"activation {name!r}: wanted a finite alpha {'>=' if facts.alpha_zero else '>'} 0, got {alpha}"
        )
