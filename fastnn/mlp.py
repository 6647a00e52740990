"""The network object. Leaves everything to an engine, which takes arrays of any real dtype and layout by itself.

Its ``try_…`` methods return None for what it does not take: lists and other array_likes, which are converted here, and
what has to be refused, for which the error is found here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn._arrays import Array
from fastnn._network import Network
from fastnn.callbacks import Callback, EarlyStopping
from fastnn.fitting import run_fit
from fastnn.history import History
from fastnn.init import Scheme, initialise
from fastnn.optim import Optimizer
from fastnn.spec import Activation, network_spec


class MLP(Network):
    """A multilayer perceptron.

    Parameters
    ----------
    sizes : sequence of int
        Units per layer, inputs first: ``[784, 100, 10]`` has one hidden layer.
    activation : str, (str, float), or one of these per hidden layer
        A name of `fastnn.reference.ACTIVATIONS`; "leaky_relu" and "elu" take a parameter: ``("leaky_relu", 0.1)``.
    output : str or (str, float), optional
        The output's activation. By default that of ``task``, else of ``loss``, else identity.
    loss : str, optional
        "softmax_cross_entropy", "sigmoid_cross_entropy" or "squared_error" (half the sum over the outputs). By default
        that of ``task``, else the cross-entropy of a softmax or sigmoid output, else squared error. A cross-entropy
        with ``output="identity"`` makes the network's outputs logits.
    task : {"binary", "multiclass", "regression"}, optional
        Sets output and loss: sigmoid, softmax or identity and what belongs to it.
    init : str, tuple, callable, or one of these per layer
        Initial weights, see `fastnn.init.initialise`: by default He for the ReLU family, Xavier otherwise. Biases 0.
    dropout : float or one per hidden layer
        The probability in [0, 1) to drop a hidden output in training; those kept are divided by 1 − dropout.
    l2 : float
        The factor λ of weight decay; on weights only, never on biases.
    l2_form : {"mean", "sum"}
        "mean" adds λ/(2m)·ΣW² to the cost of a batch of m rows, "sum" adds λ/2·ΣW².
    sparsity : (float, float), optional
        (ρ, β): adds β·Σ_j KL(ρ‖ρ̂_j), ρ̂_j the mean activation of hidden unit j over the batch. Every hidden layer has
        to be sigmoid.
    dtype : {"float32", "float64"}
        Of all numbers. What is passed in is converted.
    seed : int, optional
        0 to 2⁶⁴ − 1; by default drawn from the operating system. Fixes initial weights, shuffling and dropout masks.
    backend : {"compiled", "reference"}
        "reference" does the same in plain NumPy, with the same random numbers; denormals are never taken for zero there
        (`fastnn.denormals`).
    deterministic : bool
        Own kernels for every product, of whatever size: a row's outputs then are the same to the bit alone and in any
        batch, and training gives the same bits for any number of threads. Otherwise BLAS may serve very large layers.

    Attributes
    ----------
    spec : NetworkSpec
        The architecture.
    history : History or None
        Of the newest `fit`, also of one that failed.

    Raises
    ------
    ValueError, TypeError
        An argument that is not as described; the message says what came and what was wanted.

    Examples
    --------
    >>> X, y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), [0, 1, 1, 0]
    >>> net = MLP([2, 8, 1], activation="tanh", task="binary", seed=0)
    >>> history = net.fit(X, y, optimizer=Adam(0.05), epochs=300, batch_size=None)
    >>> (net.predict(X) > 0.5).ravel()
    array([False,  True,  True, False])
    """

    def __init__(
        self,
        sizes: Sequence[int],
        activation: Activation | Sequence[Activation] = "relu",
        output: Activation | None = None,
        *,
        loss: str | None = None,
        task: str | None = None,
        init: Scheme | Sequence[Scheme] = "auto",
        dropout: float | Sequence[float] = 0.0,
        l2: float = 0.0,
        l2_form: str = "mean",
        sparsity: tuple[float, float] | None = None,
        dtype: npt.DTypeLike = "float32",
        seed: int | None = None,
        backend: str = "compiled",
        deterministic: bool = False,
    ) -> None:
        spec = network_spec(
            sizes,
            activation,
            output,
            loss=loss,
            task=task,
            dropout=dropout,
            l2=l2,
            l2_form=l2_form,
            sparsity=sparsity,
            dtype=dtype,
            seed=seed,
        )
        self._start(spec, backend, deterministic)
        initialise(spec, init, self.parameters)

    # --- Forward ------------------------------------------------------------------------------------------------------

    def predict(self, X: npt.ArrayLike, out: Array | None = None) -> Array:
        """The outputs, without dropout.

        Parameters
        ----------
        X : array_like, shape (n, n_in) or (n_in,)
        out : ndarray, shape (n, n_out) or (n_out,), optional
            Of the network's dtype, C-contiguous; filled and returned.

        Returns
        -------
        ndarray, shape (n, n_out) or (n_out,)
            NaN and infinity in a row of X spread as arithmetic spreads them.

        Raises
        ------
        ValueError, TypeError
            X or ``out`` of another shape; ``out`` of another dtype, read-only or overlapping.

        Examples
        --------
        >>> net = MLP([3, 2], init="zeros", dtype="float64")
        >>> net.predict([[1, 2, 3]])
        array([[0., 0.]])
        >>> net([1.0, 2.0, 3.0])
        array([0., 0.])
        """
        y = self._engine.try_predict(X, out)
        return self._engine.predict(self._converted(X, out), out) if y is None else y

    __call__ = predict

    def activations(self, X: npt.ArrayLike) -> list[Array]:
        """Every layer's outputs, the last are those of `predict`; without dropout.

        Parameters
        ----------
        X : array_like, shape (n, n_in) or (n_in,)

        Returns
        -------
        list of ndarray
            Shapes (n, n_units), or (n_units,) for a single row.

        Raises
        ------
        TypeError, ValueError
            X is not of real numbers, or of another shape.

        Examples
        --------
        >>> [a.shape for a in MLP([4, 3, 2]).activations(np.zeros((5, 4)))]
        [(5, 3), (5, 2)]
        """
        x = self._inputs(X)
        outputs: list[Array] = self._engine.activations(np.atleast_2d(x))
        return outputs if x.ndim == 2 else [a[0] for a in outputs]

    # --- Cost and gradients -------------------------------------------------------------------------------------------

    def loss(
        self, X: npt.ArrayLike, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None, *, step: int | None = None
    ) -> float:
        """The cost: mean loss (weighted by ``sample_weight``), plus L2, plus sparsity.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.
        step : int, optional
            Use the dropout masks of this step number; by default there is no dropout.

        Returns
        -------
        float

        Raises
        ------
        TypeError, ValueError
            What `fit` refuses of them; ``step`` is no integer.

        Examples
        --------
        >>> MLP([2, 1], init="zeros").loss([[1, 2]], [2.0])
        2.0
        """
        return float(self._engine.loss(*self._at_step(X, y, sample_weight, step)))

    def loss_and_gradients(
        self, X: npt.ArrayLike, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None, *, step: int | None = None
    ) -> tuple[float, list[tuple[Array, Array]]]:
        """The cost, as from `loss`, and its gradient with respect to every weight and bias.

        Parameters
        ----------
        X, y, sample_weight, step
            As for `loss`.

        Returns
        -------
        loss : float
        gradients : list of (dW, db)
            Views of `gradients`: valid until the network computes others; copy what you want to keep.

        Raises
        ------
        ValueError
            A layer whose activation has no gradient ("step"), beside what `loss` refuses.

        Examples
        --------
        >>> loss, [(dW, db)] = MLP([2, 1], init="zeros", dtype="float64").loss_and_gradients([[1, 2]], [2.0])
        >>> dW.ravel(), db
        (array([-2., -4.]), array([-2.]))
        """
        loss = float(self._engine.loss_and_gradients(*self._at_step(X, y, sample_weight, step)))
        return loss, self.spec.layer_views(self.gradients)

    # --- Training -----------------------------------------------------------------------------------------------------

    def train_step(
        self, X: npt.ArrayLike, y: npt.ArrayLike, optimizer: Optimizer, sample_weight: npt.ArrayLike | None = None
    ) -> float:
        """One update of all parameters from one batch.

        Parameters
        ----------
        X : array_like, shape (n, n_in)
        y : array_like
            As for `fit`. The fastest are arrays of the network's dtype, in C order, and integer labels: where all
            arguments are such, only type, shape, layout and the range of labels are checked. Arrays of other real
            dtypes and layouts are converted and checked in native code; lists and other array_likes by NumPy.
        optimizer : Optimizer
            Remembers its running means and step number for this network.
        sample_weight : array_like, shape (n,), optional

        Returns
        -------
        float
            The cost before the update. Where the loss of the batch is not finite, nothing was updated.

        Raises
        ------
        TypeError, ValueError
            What `fit` refuses of them; a layer whose activation has no gradient ("step").
        RuntimeError
            Another thread trains or evaluates this network.

        Examples
        --------
        >>> net, sgd = MLP([2, 1], init="zeros", dtype="float64"), SGD(0.1)
        >>> net.train_step([[1.0, 2.0]], [2.0], sgd)
        2.0
        >>> net.weights[0].ravel(), net.biases[0]
        (array([0.2, 0.4]), array([0.2]))
        """
        bound = self._bound
        state = bound[1] if bound is not None and bound[0] is optimizer else self._bind(optimizer)
        if optimizer.schedule is not None:
            state.hyper[0] = optimizer.learning_rates(state.t, 1)[0]
        cost = self._engine.try_train_step(X, y, sample_weight, state)
        return self._engine.train_step(*self._batch(X, y, sample_weight), state) if cost is None else cost

    def fit(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        *,
        optimizer: Optimizer | None = None,
        epochs: int = 10,
        batch_size: int | None = 128,
        shuffle: bool = True,
        validation_data: tuple[Any, ...] | None = None,
        early_stopping: EarlyStopping | bool | None = None,
        sample_weight: npt.ArrayLike | None = None,
        callbacks: Iterable[Callback] = (),
        progress: bool = False,
    ) -> History:
        """Train, going on from the parameters as they are.

        Parameters
        ----------
        X : array_like, shape (n, n_in)
        y : array_like
            Softmax cross-entropy: integer labels (n,), or rows (n, n_out) that sum to 1. Sigmoid cross-entropy: values
            in [0, 1], squared error: any, of shape (n, n_out), or (n,) where there is one output.
        optimizer : Optimizer, default a new ``Adam(1e-3)``
            Every optimiser takes a learning rate or a schedule, and ``clip_norm``, which bounds the Euclidean norm of
            the gradient. Using one again goes on where it stopped: with running means, step number and shuffles.
        epochs : int
        batch_size : int or None, default 128
            Rows per step: 1 is stochastic, None all of them. The last batch of an epoch may be smaller.
        shuffle : bool
            A new order of rows every epoch; it follows from the network's seed and the epoch number.
        validation_data : (X, y) or (X, y, sample_weight), optional
            Its loss, and accuracy for classes, go into the history after every epoch.
        early_stopping : EarlyStopping or bool, optional
            True stands for ``EarlyStopping()``.
        sample_weight : array_like, shape (n,), optional
            Finite, >= 0. Each batch's loss is a weighted mean; rows of weight 0 are left out.
        callbacks : iterable of Callback
        progress : bool
            Show a bar with the loss and samples per second (needs tqdm).

        Returns
        -------
        History
            Also kept as ``net.history``, whatever way the fit ends; not where it was refused.

        Raises
        ------
        ValueError, TypeError
            Something that cannot be trained on, found before anything is changed; NaN and infinity are, too.
        NonFiniteLossError
            The loss or a parameter became NaN or infinite. Parameters and optimiser are as at the end of the last
            finite epoch.
        KeyboardInterrupt
            Passed on; the network is usable, with all steps made so far.

        Examples
        --------
        >>> X = np.linspace(-1, 1, 200)[:, None]
        >>> net = MLP([1, 32, 1], activation="tanh", seed=0)
        >>> history = net.fit(X, X[:, 0] ** 2, optimizer=Adam(0.01), epochs=100, batch_size=32)
        >>> history.loss[-1] < 1e-3
        True
        """
        return run_fit(
            self,
            X,
            y,
            optimizer=optimizer,
            epochs=epochs,
            batch_size=batch_size,
            shuffle=shuffle,
            validation_data=validation_data,
            early_stopping=early_stopping,
            sample_weight=sample_weight,
            callbacks=callbacks,
            progress=progress,
        )
