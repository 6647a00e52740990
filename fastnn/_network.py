"""What stands under `fastnn.MLP`: a network's spec, engine, parameters and files, and conversion of what comes in."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from fastnn import io
from fastnn._arrays import Array, numbers, real_array, require_finite, rows
from fastnn._claim import Claim
from fastnn._scalars import integer
from fastnn.engine import Engine
from fastnn.history import History
from fastnn.losses import prepare_target, prepare_weight
from fastnn.optim import Optimizer, OptimizerState
from fastnn.spec import NetworkSpec


def _reference_engine(spec: NetworkSpec) -> Any:
    # Imported when first asked for: it brings the whole of `fastnn.reference`.
    from fastnn._reference_engine import ReferenceEngine

    return ReferenceEngine(spec)


# Both have the interface that `ReferenceEngine` describes.
ENGINES: dict[str, Callable[[NetworkSpec], Any]] = {"compiled": Engine, "reference": _reference_engine}


# What `Network._start` makes anew for a copy.
_MACHINERY = frozenset({"_engine", "_dtype", "_fitting", "_bound"})


class _Views(list[Array]):
    """Views of one parameter vector; assigning to an item writes into the view, so that the network changes."""

    def __init__(self, name: str, views: Iterable[Array]) -> None:
        super().__init__(views)
        self._name = name

    def __setitem__(self, index: Any, value: Any) -> None:
        layer = integer(f"{self._name}: number of a layer", index)
        view, array = self[layer], numbers(f"{self._name}[{layer}]", value)
        if array.ndim and array.shape != view.shape:
            raise ValueError(f"{self._name}[{layer}]: wanted shape {view.shape}, got {array.shape}")
        view[...] = array


class Network:
    """A network without its verbs: what it is, not what it can be asked to do."""

    spec: NetworkSpec
    backend: str
    deterministic: bool
    history: History | None

    def _start(self, spec: NetworkSpec, backend: str, deterministic: bool = False) -> None:
        """Everything but the values of the parameters."""
        if not isinstance(backend, str) or backend not in ENGINES:
            raise ValueError(f"backend: wanted one of {', '.join(ENGINES)}, got {backend!r}")
        if deterministic and backend != "compiled":
            raise ValueError(
                f"deterministic: wanted backend 'compiled', whose own kernels keep the promise, got {backend!r}"
            )
        engine = ENGINES[backend](spec)  # may be refused: nothing is set before
        self.spec = spec
        self.backend = backend
        self.deterministic = bool(deterministic)
        self.history = None
        self._engine = engine
        if deterministic:
            self._engine.deterministic = True
        self._dtype = np.dtype(spec.dtype)
        self._fitting = Claim()
        # The optimiser of the newest train_step and its state, to spare the next call the look-up. Together, because no
        # thread may see two that do not belong to each other.
        self._bound: tuple[Optimizer, OptimizerState] | None = None

    # --- Parameters ---------------------------------------------------------------------------------------------------

    @property
    def parameters(self) -> Array:
        """All parameters as one vector: W1 row by row, b1, W2, … Writing to it changes the network."""
        parameters: Array = self._engine.parameters
        return parameters

    @property
    def gradients(self) -> Array:
        """Gradients of the newest `loss_and_gradients` or `train_step`, in the order of `parameters`.

        A training step may spare itself writing them: rely on them only behind `loss_and_gradients`.
        """
        gradients: Array = self._engine.gradients
        return gradients

    @property
    def weights(self) -> list[Array]:
        """Each layer's W (n_in, n_out) as a view: writing to it changes the network, as does ``net.weights[0] = W``."""
        return _Views("weights", (W for W, _ in self.spec.layer_views(self.parameters)))

    @property
    def biases(self) -> list[Array]:
        """Each layer's b (n_out,) as a view."""
        return _Views("biases", (b for _, b in self.spec.layer_views(self.parameters)))

    @property
    def sizes(self) -> tuple[int, ...]:
        """Units per layer, inputs first."""
        return self.spec.sizes

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of all numbers."""
        return self._dtype

    @property
    def seed(self) -> int:
        """What fixes initial weights, shuffling and dropout masks."""
        return self.spec.seed

    # --- Files, copies ------------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write parameters and architecture to a safetensors file (`fastnn.io.save`).

        Parameters
        ----------
        path : path
            The file; what was there is replaced, in one step.

        Raises
        ------
        ValueError
            A parameter is NaN or infinite.
        OSError
            It cannot be written.

        Examples
        --------
        >>> import os, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     MLP([3, 2]).save(os.path.join(folder, "model.safetensors"))
        ...     os.listdir(folder)
        ['model.safetensors']
        """
        io.save(path, self.spec, self.parameters)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, backend: str = "compiled", deterministic: bool = False) -> Self:
        """The network that `save` wrote (`fastnn.io.load`).

        Parameters
        ----------
        path : path
            The file.
        backend : {"compiled", "reference"}
            As for `fastnn.MLP`; a file does not say.
        deterministic : bool
            As for `fastnn.MLP`; a file does not say.

        Returns
        -------
        MLP
            With the parameters, architecture and seed of the one that was saved, and without its history.

        Raises
        ------
        ModelFileError
            The file is damaged, cut short, altered or none of ours; the message says why.
        OSError
            It is missing or cannot be read.

        Examples
        --------
        >>> import os, tempfile
        >>> net = MLP([3, 2], seed=1)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     net.save(os.path.join(folder, "model.safetensors"))
        ...     again = MLP.load(os.path.join(folder, "model.safetensors"))
        >>> bool((again.parameters == net.parameters).all())
        True
        """
        spec, parameters = io.load(path)
        return cls._from(spec, parameters, backend, deterministic)

    @classmethod
    def _from(cls, spec: NetworkSpec, parameters: Array, backend: str, deterministic: bool) -> Self:
        net = cls.__new__(cls)
        net._start(spec, backend, deterministic)
        net.parameters[...] = parameters
        return net

    def __getstate__(self) -> dict[str, Any]:
        """The parameters, and every attribute, those that a user or a subclass set included, but for the machinery."""
        kept = {name: value for name, value in self.__dict__.items() if name not in _MACHINERY}
        return {**kept, "parameters": self.parameters.copy()}

    def __setstate__(self, values: dict[str, Any]) -> None:
        """Undo `__getstate__`; a state that is refused changes nothing."""
        spec, parameters = values["spec"], numbers("parameters", values["parameters"])
        if parameters.shape != (spec.n_parameters,):
            raise ValueError(f"parameters: wanted shape ({spec.n_parameters},), got {parameters.shape}")
        self._start(spec, values["backend"], values["deterministic"])
        self.__dict__.update((name, value) for name, value in values.items() if name != "parameters")
        self.parameters[...] = parameters

    def __repr__(self) -> str:
        hidden, output = [name for name, _ in self.spec.activations[:-1]], self.spec.activations[-1][0]
        shown = [str(list(self.sizes))]
        if hidden:
            shown.append(f"activation={hidden[0] if len(set(hidden)) == 1 else hidden!r}")
        shown += [f"output={output}", f"loss={self.spec.loss}", f"{self.spec.n_parameters} {self.dtype} parameters"]
        return f"{type(self).__name__}({', '.join(shown)}, {self.backend})"

    # --- Derivatives by the inputs ------------------------------------------------------------------------------------

    def input_gradient(self, X: npt.ArrayLike, dY: npt.ArrayLike) -> Array:
        """The vector–Jacobian product ``dX[i, k] = Σ_j dY[i, j] · ∂Y[i, j]/∂X[i, k]``, output activation included.

        Parameters
        ----------
        X : array_like, shape (n, n_in) or (n_in,)
        dY : array_like, shape (n, n_out) or (n_out,)

        Returns
        -------
        ndarray, shape of X

        Raises
        ------
        TypeError, ValueError
            X or dY is not of real numbers, or of another shape.

        Examples
        --------
        >>> net = MLP([2, 1], init=("constant", 3.0), dtype="float64")
        >>> net.input_gradient([1.0, 2.0], [1.0])
        array([3., 3.])
        """
        x = self._inputs(X)
        d = self._like_outputs("dY", dY, x)
        return self._engine.input_gradient(np.atleast_2d(x), np.atleast_2d(d)).reshape(x.shape)

    def jacobian(self, X: npt.ArrayLike) -> Array:
        """Derivatives of every output by every input, row by row.

        Parameters
        ----------
        X : array_like, shape (n, n_in) or (n_in,)

        Returns
        -------
        ndarray, shape (n, n_out, n_in) or (n_out, n_in)

        Raises
        ------
        TypeError, ValueError
            X is not of real numbers, or of another shape.

        Examples
        --------
        >>> MLP([2, 3], init=("constant", 2.0), dtype="float64").jacobian([0.0, 1.0])
        array([[2., 2.],
               [2., 2.],
               [2., 2.]])
        """
        x = self._inputs(X)
        batch, n_out = np.atleast_2d(x), self.spec.sizes[-1]
        jacobian = np.empty((len(batch), n_out, self.spec.sizes[0]), self._dtype)
        for j in range(n_out):
            unit = np.zeros((len(batch), n_out), self._dtype)
            unit[:, j] = 1.0
            jacobian[:, j] = self._engine.input_gradient(batch, unit)
        return jacobian if x.ndim == 2 else jacobian[0]

    # --- Conversion ---------------------------------------------------------------------------------------------------

    def _bind(self, optimizer: Optimizer) -> OptimizerState:
        """The optimiser's state for this network, kept for the next step."""
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"optimizer: wanted an optimiser such as fastnn.Adam(1e-3), got {optimizer!r}")
        state = optimizer.state(self)
        self._bound = optimizer, state
        return state

    def _inputs(self, X: npt.ArrayLike) -> Array:
        """X as a real array (n, n_in) or (n_in,)."""
        x = numbers("X", X)
        if x.ndim not in (1, 2) or x.shape[-1] != self.spec.sizes[0]:
            raise ValueError(f"X: wanted shape (n, {self.spec.sizes[0]}) or ({self.spec.sizes[0]},), got {x.shape}")
        return real_array(x, self._dtype)

    def _converted(self, X: npt.ArrayLike, out: Any) -> Array:
        """`_inputs`, and a look at the caller's own memory, which the engine does not see once X is converted."""
        try:
            x = self._inputs(X)
        except (TypeError, ValueError) as error:
            raise error from None  # without the engine's complaint
        if x is not X and isinstance(out, np.ndarray) and np.may_share_memory(np.asarray(X), out):
            raise ValueError("out: wanted memory of its own, got an array that overlaps the inputs")
        return x

    def _like_outputs(self, name: str, values: npt.ArrayLike, x: Array) -> Array:
        """The values as a real array of the shape that the outputs for x have."""
        array = numbers(name, values)
        wanted = (*x.shape[:-1], self.spec.sizes[-1])
        if array.shape != wanted:
            raise ValueError(f"{name}: wanted shape {wanted}, got {array.shape}")
        return real_array(array, self._dtype)

    def _batch(
        self, X: npt.ArrayLike, y: npt.ArrayLike, weight: npt.ArrayLike | None, where: str = ""
    ) -> tuple[Array, Array, Array | None]:
        """X, targets and weights as the engine takes them; ``where`` is what messages put before the names."""
        taken: tuple[Array, Array, Array | None] | None = self._engine.try_batch(X, y, weight)
        if taken is not None:
            return taken
        x = rows(f"{where}X", X, self._dtype, self.spec.sizes[0])
        if len(x) == 0:
            raise ValueError(f"{where}X: wanted at least one row, got none")
        require_finite(f"{where}X", x)
        labels = numbers(f"{where}y", y)
        if labels.shape == (len(x),) and labels.dtype.kind in "iub":
            # A copy, made before the check: the compiled engine takes them for indices, whatever another thread writes.
            y = labels.copy()
        target = prepare_target(f"{where}y", y, self.spec.loss, len(x), self.spec.sizes[-1], self._dtype)
        weights = prepare_weight(f"{where}sample_weight", weight, len(x), self._dtype)
        return self._lasting(x), self._lasting(target), None if weights is None else self._lasting(weights)

    def _at_step(
        self, X: npt.ArrayLike, y: npt.ArrayLike, weight: npt.ArrayLike | None, step: int | None
    ) -> tuple[Array, Array, Array | None, int | None]:
        """`_batch`, and the number of the step whose dropout masks are wanted."""
        number = None if step is None else integer("step", step)
        return *self._batch(X, y, weight), number

    def _lasting(self, array: Array) -> Array:
        """A copy of what training would write into while it reads: a view of the parameters or gradients."""
        shared = np.may_share_memory(array, self.parameters) or np.may_share_memory(array, self.gradients)
        return array.copy() if shared else array
