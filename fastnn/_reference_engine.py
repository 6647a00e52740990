"""A whole network in NumPy: the definition of what `fastnn.engine.Engine` does, with the same interface.

Takes real arrays (`fastnn._arrays`) and checks them, as the compiled engine does, before anything is written. Inside, a
network is a composition of the ops of `fastnn.reference`; nothing here is tuned. Denormals are computed with, whatever
`fastnn.denormals` says: that is the compiled engine's.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn import reference
from fastnn._claim import Claim
from fastnn._state import HYPER, OptimizerState
from fastnn.reference import ACTIVATIONS, LOSSES, UPDATES
from fastnn.spec import NetworkSpec

Array = npt.NDArray[Any]

# Like the compiled engine: what is not finite shows in the results, not as a warning.
_quiet = np.errstate(all="ignore")


def _alone(method: Callable[..., Any]) -> Callable[..., Any]:
    """As the compiled engine, whose workspace has room for one: refuses a second thread that trains or evaluates."""

    @functools.wraps(method)
    def claiming(self: Any, *args: Any, **options: Any) -> Any:
        with self._claim:
            return method(self, *args, **options)

    return claiming


@dataclass
class _Layer:
    """What one layer's forward pass leaves for its backward pass. B batch, I in, O out."""

    x: Array  # (B, I), behind the dropout of the layer before
    y: Array  # (B, O), before this layer's dropout
    z: Array | None  # (B, O), only for activations whose derivative needs it
    activation: str
    alpha: float | None


class ReferenceEngine:
    """Parameters, gradients and passes of one network.

    Parameters
    ----------
    spec : NetworkSpec

    Attributes
    ----------
    parameters, gradients : ndarray, shape (n_parameters,)
        Zeros at first; never replaced, so views of them stay valid.
    """

    # The module that the ops are taken from; a subclass may take the compiled ones.
    ops: Any = reference

    def __init__(self, spec: NetworkSpec) -> None:
        self.spec = spec
        self.dtype = np.dtype(spec.dtype)
        self.parameters = np.zeros(spec.n_parameters, self.dtype)
        self.gradients = np.zeros(spec.n_parameters, self.dtype)
        # As of the compiled engine.
        self.loss_scale, self.l2_by_weight, self.bound = 1.0, False, 0.0
        self._claim = Claim()
        self._layers = spec.layer_views(self.parameters)
        self._layer_gradients = spec.layer_views(self.gradients)
        self._newest_order: tuple[tuple[int, bool, int] | None, Array] = None, np.empty(0, np.intp)

    # --- Arguments ----------------------------------------------------------------------------------------------------

    def try_batch(self, X: Any, target: Any, weight: Any) -> None:
        """None: `fastnn._network` converts. What the compiled engine takes by itself has to come out as the same."""

    # --- Passes -------------------------------------------------------------------------------------------------------

    def try_predict(self, X: Any, out: Any) -> Array | None:
        """As `predict`; None where that refuses something, its arguments for all that is known here."""
        try:
            return self.predict(X, out)
        except (TypeError, ValueError):
            return None

    @_quiet
    def predict(self, X: Array, out: Array | None = None) -> Array:
        """The outputs (B, O) for X (B, I), or (O,) for (I,); written into ``out`` where given."""
        single = isinstance(X, np.ndarray) and X.ndim == 1
        x = self._inputs(X[None, :] if single else X)
        wanted = (self.spec.sizes[-1],) if single else (len(x), self.spec.sizes[-1])
        if out is not None:
            _check("out", out, self.dtype, wanted)
            if not out.flags.writeable:
                raise ValueError("out: wanted an array that can be written, got a read-only one")
            if np.may_share_memory(out, X) or np.may_share_memory(out, self.parameters):
                raise ValueError(
                    "out: wanted memory of its own, got an array that overlaps the inputs or the parameters"
                )
        y = self._forward(x)[-1].y.reshape(wanted)
        if out is None:
            return y
        out[...] = y
        return out

    @_quiet
    def activations(self, X: Array) -> list[Array]:
        """Every layer's output (B, n), without dropout."""
        return [layer.y for layer in self._forward(self._inputs(X))]

    @_alone
    @_quiet
    def loss(self, X: Array, target: Array, weight: Array | None, step: int | None = None) -> float:
        """The cost; with the dropout masks of ``step`` where it is given."""
        return self._cost(self._batch(X, target, weight), target, weight, step, gradient=False)

    @_alone
    @_quiet
    def loss_and_gradients(self, X: Array, target: Array, weight: Array | None, step: int | None = None) -> float:
        """The cost, and its gradient in ``gradients``."""
        return self._cost(self._batch(X, target, weight), target, weight, step, gradient=True)

    @_alone
    @_quiet
    def input_gradient(self, X: Array, dY: Array, out: Array | None = None) -> Array:
        """dX (B, I), the vector–Jacobian product of the outputs with dY (B, O), without dropout."""
        x = self._inputs(X)
        _check("dY", dY, self.dtype, (len(x), self.spec.sizes[-1]))
        if out is not None:
            _check("out", out, self.dtype, x.shape)
        d = dY
        layers = self._forward(x)
        for layer, (W, _) in zip(reversed(layers), reversed(self._layers), strict=True):
            d, _, _ = self._backward(d, layer, W, dw=False, db=False)
        if out is None:
            return d
        out[...] = d
        return out

    # --- Training -----------------------------------------------------------------------------------------------------

    @_alone
    def train_step(self, X: Array, target: Array, weight: Array | None, state: OptimizerState) -> float:
        """One update; returns the cost before it. Where that is not finite nothing is updated."""
        return self._step(X, target, weight, state, float(state.hyper[HYPER["lr"]]))

    def try_train_step(self, X: Any, target: Any, weight: Any, state: OptimizerState) -> float | None:
        """As `train_step`; None where that refuses something."""
        try:
            return self.train_step(X, target, weight, state)
        except (TypeError, ValueError):
            return None

    @_quiet
    def _step(self, X: Array, target: Array, weight: Array | None, state: OptimizerState, lr: float) -> float:
        loss = self.loss_and_gradients(X, target, weight, state.t)
        if math.isfinite(loss):
            self._update(state, lr)
        return loss

    @_alone
    def run(
        self,
        X: Array,
        target: Array,
        weight: Array | None,
        state: OptimizerState,
        batch_size: int,
        shuffle: bool,
        epoch: int,
        batch: int,
        lr: npt.NDArray[np.float64],
        losses: npt.NDArray[np.float64],
        snapshot: bool,
        order: npt.NDArray[np.intp] | None = None,
    ) -> int:
        """Do ``len(losses)`` steps from batch number ``batch`` of epoch number ``epoch`` on, over into later epochs.

        Writes each step's loss. Returns the number of steps done: fewer where the next step's loss, or the parameters
        at the end of an epoch, are not finite; its loss is written too. With ``snapshot`` the state is saved behind
        each epoch. ``order``, an intp array (n,), takes the place of the shuffle of every epoch of this call.
        """
        n = len(self._batch(X, target, weight))
        n_batches = -(-n // batch_size)
        for k in range(len(losses)):
            whole = self._order(n, shuffle, epoch) if order is None else order
            rows = whole[batch * batch_size : (batch + 1) * batch_size]
            share = None if weight is None else weight[rows]
            losses[k] = self._step(X[rows], target[rows], share, state, float(lr[k]))
            if not math.isfinite(losses[k]):
                return k
            batch += 1
            if batch == n_batches:
                if not np.isfinite(self.parameters).all():
                    return k
                if snapshot:
                    state.save(self.parameters)
                epoch, batch = epoch + 1, 0
        return len(losses)

    def _order(self, n: int, shuffle: bool, epoch: int) -> Array:
        """Row numbers in the order of an epoch; kept, since a fit with callbacks asks again at every batch."""
        key = (n, shuffle, epoch)
        if self._newest_order[0] != key:
            order = self.ops.permutation(n, self.spec.seed, step=epoch) if shuffle else np.arange(n)
            self._newest_order = key, order
        return self._newest_order[1]

    def _update(self, state: OptimizerState, lr: float) -> None:
        """One optimiser step over all parameters with the gradient of the whole cost, clipped."""
        facts = UPDATES[state.kind]
        clip, scale = state.hyper[HYPER["clip"]], 1.0
        if clip > 0.0:
            norm = math.sqrt(float(np.square(self.gradients, dtype=np.float64).sum()))
            scale = clip / norm if norm > clip else 1.0
        hyper: dict[str, Any] = {name: float(state.hyper[HYPER[name]]) for name in facts.hyper}
        if facts.counts:
            hyper["t"] = state.t + 1
            if state.hyper[HYPER["epsilon_hat"]]:
                hyper["epsilon"] /= math.sqrt(1 - hyper["beta2"] ** hyper["t"])
        update = getattr(self.ops, f"{state.kind}_update")
        update(self.parameters, self.gradients, *state.slots, lr=lr, scale=scale, **hyper)
        state.t += 1

    # --- Parts of a pass ----------------------------------------------------------------------------------------------

    def _forward(self, x: Array, step: int | None = None, *, logits: bool = False) -> list[_Layer]:
        """Each layer's record. ``logits``: stop before the output's activation, which the loss contains."""
        layers: list[_Layer] = []
        last = self.spec.n_layers - 1
        for number, ((W, b), (name, alpha)) in enumerate(zip(self._layers, self.spec.activations, strict=True)):
            activation = "identity" if logits and number == last else name
            facts = ACTIVATIONS[activation]
            parameter = None if facts.alpha is None else alpha
            z = np.empty((len(x), W.shape[1]), self.dtype) if facts.needs_z else None
            y = self.ops.affine_forward(x, W, b, activation, alpha=parameter, z=z)
            layers.append(_Layer(x, y, z, activation, parameter))
            x = self._dropout(self.ops.dropout_forward, y, step, number)
        return layers

    def _backward(self, d: Array, layer: _Layer, W: Array, **wanted: Any) -> tuple[Any, Any, Any]:
        """`affine_backward` of one layer; ``wanted`` says which of dx, dw, db and where."""
        found: tuple[Any, Any, Any] = self.ops.affine_backward(
            d, layer.x, W, layer.y, layer.activation, alpha=layer.alpha, z=layer.z, **wanted
        )
        return found

    def _dropout(self, dropout: Any, values: Array, step: int | None, number: int) -> Array:
        """``values`` of layer ``number`` with the mask of ``step``; unchanged without dropout."""
        keep = self.spec.keep[number] if number < len(self.spec.keep) else 1.0
        if step is None or keep == 1.0:
            return values
        dropped: Array = dropout(values, keep, self.spec.seed, step=step, layer=number)
        return dropped

    def _cost(self, x: Array, target: Array, weight: Array | None, step: int | None, *, gradient: bool) -> float:
        """Data term + L2 + sparsity, and with ``gradient`` the gradient of the sum."""
        if gradient:
            self._require_differentiable()
        layers = self._forward(x, step, logits=LOSSES[self.spec.loss].link != "identity")
        loss, d = self._loss(layers[-1].y, target, weight, gradient=gradient)
        for number in range(self.spec.n_layers - 1, -1, -1):
            if number < self.spec.n_layers - 1:
                if gradient:
                    d = self._dropout(self.ops.dropout_backward, d, step, number)
                loss += self._sparsity(layers[number].y, weight, d)
            if gradient:
                W, (dW, db) = self._layers[number][0], self._layer_gradients[number]
                d, _, _ = self._backward(d, layers[number], W, dx=None if number else False, dw=dW, db=db)
        m = float(weight.sum()) if weight is not None and self.l2_by_weight else len(x)
        return self.loss_scale * float(loss) + self._l2(m, gradient=gradient)

    def _loss(self, y: Array, target: Array, weight: Array | None, *, gradient: bool) -> tuple[float, Any]:
        """The data term, and with ``gradient`` its gradient in what the loss takes."""
        loss_function = getattr(self.ops, self.spec.loss)
        result: tuple[float, Any] = loss_function(
            y, target, weight, **{LOSSES[self.spec.loss].gradient: None if gradient else False}
        )
        if self.bound and LOSSES[self.spec.loss].link != "identity":
            return self._bounded_loss(y, target, weight), result[1]
        return result

    def _bounded_loss(self, z: Array, target: Array, weight: Array | None) -> float:
        """The mean cross-entropy of single outcomes whose probabilities are kept within bound and 1 - bound."""
        from scipy.special import log_softmax

        outcomes = np.eye(z.shape[1])[target] if target.dtype == np.intp else target
        if LOSSES[self.spec.loss].link == "softmax":
            losses = -(outcomes * log_softmax(z.astype(np.float64), axis=1)).sum(axis=1, keepdims=True)
        else:
            losses = reference.softplus_forward(z.astype(np.float64)) - outcomes * z
        # -log(1 - bound) is bound for one that small.
        rows = np.clip(losses, self.bound, -np.log(self.bound)).sum(axis=1)
        return float(np.average(rows, weights=weight))

    def _sparsity(self, a: Array, weight: Array | None, d: Array | None) -> float:
        """The sparsity cost of one hidden layer's outputs; its gradient is added to ``d``."""
        if self.spec.sparsity is None:
            return 0.0
        rho, beta = self.spec.sparsity
        cost, _ = self.ops.kl_sparsity(a, rho, beta, weight, da=False if d is None else d)
        return float(cost)

    def _l2(self, rows: float, *, gradient: bool) -> float:
        """λ/2·ΣW², λ divided by the rows in the "mean" form; adds its gradient."""
        factor = self.spec.l2 / rows if self.spec.l2_form == "mean" else self.spec.l2
        if factor == 0.0:
            return 0.0
        total = 0.0
        for (W, _), (dW, _) in zip(self._layers, self._layer_gradients, strict=True):
            total += float(np.square(W, dtype=np.float64).sum())
            if gradient:
                dW += self.dtype.type(factor) * W
        return 0.5 * factor * total

    # --- Checks -------------------------------------------------------------------------------------------------------

    def _require_differentiable(self) -> None:
        # The loss contains the output's activation where it has a link, so only the others must have a derivative.
        for name, _ in self.spec.activations:
            if not ACTIVATIONS[name].differentiable:
                raise ValueError(f"activation {name!r} has no gradient: the network can predict, but not be trained")

    def _inputs(self, X: Array) -> Array:
        _check("X", X, self.dtype, (None, self.spec.sizes[0]))
        return X

    def _batch(self, X: Array, target: Array, weight: Array | None) -> Array:
        """X, after all three are checked."""
        x = self._inputs(X)
        if len(x) == 0:
            raise ValueError("X: wanted at least one row, got none")
        if LOSSES[self.spec.loss].labels and isinstance(target, np.ndarray) and target.dtype == np.intp:
            _check("y", target, np.dtype(np.intp), (len(x),))
        else:
            _check("y", target, self.dtype, (len(x), self.spec.sizes[-1]))
        if weight is not None:
            _check("sample_weight", weight, self.dtype, (len(x),))
        return x


def _check(name: str, a: Any, dtype: np.dtype[Any], shape: tuple[int | None, ...]) -> None:
    """Refuse ``a`` unless it is a real array of the dtype and shape (None: any length)."""
    if not isinstance(a, np.ndarray):
        raise TypeError(f"{name}: wanted a NumPy array, got {type(a).__name__}")
    if a.dtype != dtype:
        raise TypeError(f"{name}: wanted dtype {dtype}, got {a.dtype}")
    if a.ndim != len(shape) or any(want not in (None, got) for want, got in zip(shape, a.shape, strict=True)):
        raise ValueError(f"{name}: wanted shape {tuple('n' if s is None else s for s in shape)}, got {a.shape}")
    if not (a.flags.c_contiguous and a.flags.aligned):
        raise ValueError(f"{name}: wanted a C-contiguous, aligned array, got strides {a.strides}")
