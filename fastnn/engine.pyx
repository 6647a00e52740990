"""A whole network, compiled: parameters, gradients and workspace in flat buffers; one native call a step and one a fit.

`fastnn._reference_engine.ReferenceEngine` defines what each method does. This class checks arrays, finds memory and
releases the GIL; the work is in src_c (rows.c, step.c). It is done in `machine.inside`, a floating-point environment of
its own (cpu/fpenv.h); whatever runs Python code does so in `machine.outside`, the caller's.
"""

import os

import numpy as np

cimport cython
cimport numpy as cnp
from cpython.exc cimport PyErr_Occurred
from libc.math cimport isfinite
from libc.stdint cimport int64_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy
from numpy cimport NPY_BOOL, PyArray_DATA, PyArray_DIM, PyArray_ISCARRAY, PyArray_NDIM, PyArray_TYPE

from fastnn._arguments cimport (
    FNN_ANY_NUMBERS, FNN_FINITE, FNN_PROBABILITIES, FNN_SHARES, FNN_WEIGHTS, has_rows, labels, native, plain, reals,
    share_memory)
from fastnn._blas cimport fits, gemm
from fastnn._buffers cimport (
    ANY, apart, are_labels, data, is_real, label_array, matrix, new_matrix, new_vector, vector, writable)
from fastnn._core cimport active, parallel, settings
from fastnn._fpenv cimport fnn_fpenv_go, fnn_fpenv_now, fnn_fpenv_within
from fastnn.fnn cimport (
    FNN_F32, FNN_F64, FNN_GEMM_OWN, FNN_N_ACTIVATIONS, FNN_N_LOSSES, FNN_N_UPDATES, FNN_SHUFFLE, fnn_activations,
    fnn_hyper_fold, fnn_losses, fnn_permutation, fnn_stream, fnn_updates)
from fastnn.gemm cimport fnn_cpu, fnn_maker
from fastnn.net cimport *

from fastnn._arrays import lines_of_zeros
from fastnn._table import LOSSES, ROW_SUM_TOLERANCE

cnp.import_array()

cdef dict ACTIVATION_INDEX = {fnn_activations[i].name.decode(): i for i in range(FNN_N_ACTIVATIONS)}
cdef dict LOSS_INDEX = {fnn_losses[i].decode(): i for i in range(FNN_N_LOSSES)}
cdef dict UPDATE_INDEX = {fnn_updates[i].decode(): i for i in range(FNN_N_UPDATES)}

# Multiply-adds: from the first on a call releases the GIL. A step counts as at least the second, for its fixed cost.
cdef double RELEASE_WORK = 20e3, STEP_WORK = 100e3
cdef double row_sum_tolerance = ROW_SUM_TOLERANCE
# A prediction of a few rows finds its room on the stack.
cdef enum:
    STACK_BYTES = 16384
    STACK_REALS = 2048  # as many doubles

# Counts forks: a call that is under way in the parent will never end in the child, where its thread is missing.
cdef int process = 1


def _after_fork():
    global process
    process += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


cdef extern from "Python.h":
    int check_signals "PyErr_CheckSignals" () noexcept
    bint has_interpreter "Py_IsInitialized" () noexcept nogil


cdef int stop(const fnn_machine *machine) noexcept nogil:
    """Whether a signal's handler raised an exception, which then waits to be seen by `stopped`.

    The handler is Python code, and computes as the caller does.
    """
    cdef int answer
    if not has_interpreter():  # a daemon thread while the process ends: some Pythons would crash now
        return 0
    fnn_fpenv_go(machine.outside, machine.inside)
    with gil:
        answer = check_signals() != 0
    fnn_fpenv_go(machine.inside, machine.outside)
    return answer


cdef int stopped() except -1:
    """Raise what `stop` left behind."""
    return -1 if PyErr_Occurred() else 0


@cython.final
cdef class Engine:
    """Parameters, gradients and passes of one network.

    Parameters
    ----------
    spec : NetworkSpec

    Attributes
    ----------
    parameters, gradients : ndarray, shape (n_parameters,)
        Zeros at first; never replaced, so views of them stay valid. A step that fuses gradient and update leaves
        `gradients` undefined.
    deterministic : bool
        Own kernels for every product, whatever `fastnn.gemm` says.
    """

    cdef readonly object spec
    cdef readonly cnp.ndarray parameters, gradients
    cdef public bint deterministic
    cdef fnn_net net
    cdef const fnn_cpu *cpu  # as it was when the network was made: the plan follows from it
    cdef int real_size
    cdef Py_ssize_t n_in, n_out
    cdef bint takes_labels, differentiable
    cdef int dtype, wanted  # NumPy's number of the dtype; what is asked of rows of targets
    cdef int user, spare_user  # the process in which a call uses the workspace, or `spare`; 0 where none does
    cdef cnp.ndarray spare  # the newest target that a step converted: room for the next one
    # The workspace, and what it was planned for.
    cdef void *memory
    cdef void *workspace
    cdef Py_ssize_t planned_rows
    cdef int planned_threads
    # The rows of the last shuffled epoch, kept for a fit that comes up within it, and room to shuffle.
    cdef Py_ssize_t *order
    cdef uint64_t *order_scratch
    cdef Py_ssize_t order_rows
    cdef int64_t order_epoch
    # The optimiser state of the last step, and its addresses.
    cdef object state
    cdef cnp.ndarray state_hyper, state_slots, state_counter, state_snapshot, state_snapshot_counter
    cdef fnn_optimizer optimizer

    def __cinit__(self, spec):
        cdef int i
        cdef fnn_layer *layer
        self.spec = spec
        dtype = np.dtype(spec.dtype)
        self.net.dtype = FNN_F32 if dtype == np.float32 else FNN_F64
        self.cpu = settings.cpu
        self.real_size = dtype.itemsize
        self.net.n_layers = len(spec.sizes) - 1
        self.net.layers = <fnn_layer *> calloc(self.net.n_layers, sizeof(fnn_layer))
        if self.net.layers == NULL:
            raise MemoryError(f"no room for {self.net.n_layers} layers")
        self.net.loss = LOSS_INDEX[spec.loss]
        self.takes_labels = LOSSES[spec.loss].labels
        # The cross-entropies contain the output's activation.
        self.net.logits = LOSSES[spec.loss].link != "identity"
        self.wanted = FNN_FINITE if not self.net.logits else FNN_SHARES if self.takes_labels else FNN_PROBABILITIES
        self.net.l2 = spec.l2
        self.net.l2_by_rows = spec.l2_form == "mean"
        self.net.l2_by_weight = 0
        self.net.loss_scale = 1.0
        self.net.bound = 0.0
        self.net.rho, self.net.beta = spec.sparsity or (0.5, 0.0)
        self.net.seed = spec.seed
        self.differentiable = True
        cdef Py_ssize_t offset = 0
        for i in range(self.net.n_layers):
            layer = &self.net.layers[i]
            layer.n_in, layer.n_out = spec.sizes[i], spec.sizes[i + 1]
            if not (fits(layer.n_in) and fits(layer.n_out)):
                raise ValueError(f"sizes: wanted layers whose size fits BLAS's integers, got {spec.sizes}")
            name, alpha = spec.activations[i]
            layer.activation = ACTIVATION_INDEX[name]
            layer.alpha = alpha or 0.0
            layer.keep = spec.keep[i] if i < len(spec.keep) else 1.0
            layer.w = offset
            layer.b = offset + layer.n_in * layer.n_out
            offset = layer.b + layer.n_out
            if not (fnn_activations[layer.activation].differentiable
                    or (self.net.logits and i == self.net.n_layers - 1)):
                self.differentiable = False
        self.n_in, self.n_out = spec.sizes[0], spec.sizes[self.net.n_layers]
        self.parameters = lines_of_zeros(offset, dtype)
        self.gradients = lines_of_zeros(offset, dtype)
        self.dtype = PyArray_TYPE(self.parameters)
        fnn_net_plan(&self.net, self.cpu, self.real_size, 1, 1)

    def __dealloc__(self):
        free(self.net.layers)
        free(self.memory)
        free(self.order)
        free(self.order_scratch)

    @property
    def loss_scale(self):
        """Factor of the loss, not of the penalties, in the costs that are reported; gradients do not know it."""
        return self.net.loss_scale

    @loss_scale.setter
    def loss_scale(self, double value):
        self.net.loss_scale = value

    @property
    def bound(self):
        """A cross-entropy, not its gradient, takes probabilities within bound and 1 - bound; 0: as they are.

        For targets that are labels, or 0 and 1.
        """
        return self.net.bound

    @bound.setter
    def bound(self, double value):
        self.net.bound = value if self.net.logits else 0.0

    @property
    def l2_by_weight(self):
        """Whether l2_form "mean" divides by the sum of the batch's weights instead of its number of rows."""
        return bool(self.net.l2_by_weight)

    @l2_by_weight.setter
    def l2_by_weight(self, bint value):
        self.net.l2_by_weight = value

    # --- Arguments ----------------------------------------------------------------------------------------------------

    cdef fnn_machine _machine(self) noexcept:
        cdef fnn_machine machine
        machine.maker = fnn_maker(
            active[self.net.dtype], gemm, self.cpu, self.net.dtype, settings.isa,
            FNN_GEMM_OWN if self.deterministic else settings.gemm, False)
        machine.parallel = parallel
        machine.n_threads = settings.n_threads
        machine.outside = fnn_fpenv_now()
        machine.inside = fnn_fpenv_within(machine.outside, settings.denormals)
        machine.stop = stop
        return machine

    cdef int _prepare(self, const fnn_machine *machine, Py_ssize_t rows) except -1:
        """A workspace for batches of `rows` and the threads of `machine`: another thread may change the settings."""
        if rows > self.planned_rows or machine.n_threads > self.planned_threads:
            self._plan(max(rows, self.planned_rows), max(machine.n_threads, self.planned_threads))
        return 0

    cdef int _plan(self, Py_ssize_t rows, int n_threads) except -1:
        cdef Py_ssize_t size
        free(self.memory)
        self.memory = NULL
        self.planned_rows = 0
        fnn_net_plan(&self.net, self.cpu, self.real_size, n_threads, rows)
        size = fnn_net_bytes(&self.net, self.real_size)
        self.memory = malloc(size + 64)
        if self.memory == NULL:
            raise MemoryError(f"no room for a workspace of {size} bytes")
        self.workspace = <void *> ((<uintptr_t> self.memory + 63) & ~<uintptr_t> 63)
        self.planned_rows = rows
        self.planned_threads = n_threads
        return 0

    cdef cnp.ndarray _inputs(self, object X):
        return matrix("X", X, self.parameters, ANY, self.n_in)

    cdef tuple _batch(self, cnp.ndarray x, object target, object weight):
        """Checked arrays: (X, labels, rows, weights)."""
        cdef Py_ssize_t n = PyArray_DIM(x, 0)
        cdef cnp.ndarray given = None, rows = None, weights = None
        if n == 0:
            raise ValueError(f"X: wanted at least one row, got shape {(<object> x).shape}")
        if self.takes_labels:
            given = label_array("target", target, n, self.n_out)
        if given is None:
            rows = matrix("target", target, self.parameters, n, self.n_out)
        if weight is not None:
            weights = vector("weight", weight, self.parameters, n)
        self._apart("X", x)
        self._apart("target", rows if given is None else given)
        self._apart("weight", weights)
        return x, given, rows, weights

    cdef fnn_batch _pointers(self, tuple arrays) noexcept:
        """Into (X, labels, rows, weights), which the caller holds."""
        cdef fnn_batch batch
        cdef cnp.ndarray x = <cnp.ndarray> arrays[0]
        batch.x = PyArray_DATA(x)
        batch.rows = NULL
        batch.labels = <Py_ssize_t *> data(<cnp.ndarray> arrays[1])
        batch.target = data(<cnp.ndarray> arrays[2])
        batch.weight = data(<cnp.ndarray> arrays[3])
        batch.n = PyArray_DIM(x, 0)
        batch.following = 0
        return batch

    cdef tuple _take(self, object X, object target, object weight, bint all_checked, bint reuse):
        """As `_batch`, from arrays of whatever real dtype and layout; None where one of them cannot be trained on.

        Arrays that can be read as they are, and integer labels, are not asked what numbers they hold, but for the range
        of labels, unless another array has to be converted or all are to be checked. Then labels are copied, too.
        With `reuse`, which takes `spare_user`, a target that is converted stays in `spare` for the next call.
        """
        cdef const fnn_kernels *kernels = active[self.net.dtype]
        cdef cnp.ndarray x = plain(X), y = plain(target), w = None, given = y, spare = self.spare if reuse else None
        cdef Py_ssize_t n
        cdef bint labelled
        if x is None or y is None or PyArray_NDIM(x) != 2 or PyArray_DIM(x, 1) != self.n_in:
            return None
        n = PyArray_DIM(x, 0)
        labelled = self.takes_labels and PyArray_NDIM(y) == 1
        if n == 0 or not has_rows(y, n, 1 if labelled else self.n_out):
            return None
        if weight is not None:
            w = plain(weight)
            if w is None or PyArray_NDIM(w) != 1 or PyArray_DIM(w, 0) != n:
                return None
            all_checked = all_checked or not native(w, self.dtype)
        all_checked = all_checked or not native(x, self.dtype) or (
            PyArray_TYPE(y) == NPY_BOOL if labelled else PyArray_NDIM(y) == 1 or not native(y, self.dtype))
        if labelled:
            if all_checked or not are_labels(y, n, self.n_out):
                y = labels(y, self.n_out, spare)
        elif all_checked:
            y = reals(y, self.dtype, kernels, self.wanted, 0.999 * row_sum_tolerance, spare)
        if y is None:
            return None
        if reuse and y is not given:
            self.spare = y
        if all_checked:
            if w is not None:
                w = reals(w, self.dtype, kernels, FNN_WEIGHTS, 0.0, None)
                if w is None:
                    return None
            x = reals(x, self.dtype, kernels, FNN_FINITE, 0.0, None)
            if x is None:
                return None
        if self._is_own(x) or self._is_own(y) or w is not None and self._is_own(w):
            return None
        return x, y if labelled else None, None if labelled else y, w

    cdef bint _is_own(self, cnp.ndarray a) noexcept:
        """Whether a step would write into the array while it reads."""
        return share_memory(a, self.parameters) or share_memory(a, self.gradients)

    def try_batch(self, X, target, weight, /):
        """The arguments of `run` and the losses from arrays of any real dtype and layout; None where there are others.

        Their numbers are checked; labels are in memory that nobody else writes.
        """
        cdef tuple arrays = self._take(X, target, weight, True, False)
        if arrays is None:
            return None
        x, y, rows, weights = arrays
        return x, y if rows is None else rows.reshape(-1, self.n_out), weights

    cdef int _apart(self, str name, cnp.ndarray a) except -1:
        """Refuse what a step would write into while it reads."""
        if a is not None:
            apart(name, a, "parameters", self.parameters)
            apart(name, a, "gradients", self.gradients)
        return 0

    cdef int _enter(self) except -1:
        """One call at a time may use the workspace."""
        if not fnn_take(&self.user, process):
            raise RuntimeError("this network is being trained or evaluated by another thread; use one network a thread")
        return 0

    cdef int _require_gradient(self) except -1:
        if not self.differentiable:
            raise ValueError("activation: wanted ones that have a gradient, got 'step'")
        return 0

    cdef int _load(self, object state) except -1:
        """Take over an optimiser's hyperparameters; its arrays are looked up when it is another than last time."""
        cdef double *h
        if state is not self.state:
            self.state = None
            state.require(self.parameters.size, self.spec.dtype)
            self.state_hyper = state.hyper
            self.state_slots = state.slots
            self.state_counter = state.counter
            self.state_snapshot = state.snapshot
            self.state_snapshot_counter = state.snapshot_counter
            self.optimizer.update = UPDATE_INDEX[state.kind]
            self.optimizer.slots = PyArray_DATA(self.state_slots)
            self.state = state
        h = <double *> PyArray_DATA(self.state_hyper)
        self.optimizer.hyper.lr = h[0]
        self.optimizer.hyper.beta1 = h[1]
        self.optimizer.hyper.beta2 = h[2]
        self.optimizer.hyper.epsilon = h[3]
        self.optimizer.hyper.weight_decay = h[4]
        self.optimizer.clip = h[5]
        self.optimizer.hyper.epsilon_hat = h[6] != 0
        return 0

    # --- Prediction ---------------------------------------------------------------------------------------------------

    def predict(self, X, out=None):
        """The outputs (B, O) for X (B, I), or (O,) for (I,); written into ``out`` where given."""
        cdef cnp.ndarray x = self._rows(X)
        return self._predict(x, self._room(x, out), out)

    def try_predict(self, X, out, /):
        """As `predict`, with X of whatever real dtype and layout; None where one of the arguments is not taken."""
        cdef cnp.ndarray x = plain(X), y = None
        if x is None:
            return None
        cdef int last = PyArray_NDIM(x) - 1
        if not 0 <= last <= 1 or PyArray_DIM(x, last) != self.n_in:
            return None
        if out is not None:
            y = plain(out)
            if y is None or not self._is_room(x, y):
                return None
        x = reals(x, self.dtype, active[self.net.dtype], FNN_ANY_NUMBERS, 0.0, None)
        if x is None:
            return None
        return self._predict(x, self._room(x, None) if y is None else y, out)

    cdef bint _is_room(self, cnp.ndarray x, cnp.ndarray y) noexcept:
        """Whether y is memory of its own for the outputs for x."""
        cdef int last = PyArray_NDIM(x) - 1
        return (PyArray_TYPE(y) == self.dtype and PyArray_ISCARRAY(y) and PyArray_NDIM(y) == last + 1
                and PyArray_DIM(y, last) == self.n_out and (last == 0 or PyArray_DIM(y, 0) == PyArray_DIM(x, 0))
                and not share_memory(y, x) and not share_memory(y, self.parameters))

    cdef cnp.ndarray _rows(self, object X):
        if is_real(X) and PyArray_NDIM(<cnp.ndarray> X) == 1:
            return vector("X", X, self.parameters, self.n_in)
        return self._inputs(X)

    cdef cnp.ndarray _room(self, cnp.ndarray x, object out):
        """Where the outputs for x go."""
        cdef bint single = PyArray_NDIM(x) == 1
        if out is None:
            return new_vector(self.parameters, self.n_out) if single else new_matrix(
                self.parameters, PyArray_DIM(x, 0), self.n_out)
        cdef cnp.ndarray y = vector("out", out, self.parameters, self.n_out) if single else matrix(
            "out", out, self.parameters, PyArray_DIM(x, 0), self.n_out)
        writable("out", y)
        apart("out", y, "X", x)
        apart("out", y, "parameters", self.parameters)
        return y

    cdef object _predict(self, cnp.ndarray x, cnp.ndarray y, object out):
        cdef Py_ssize_t n = 1 if PyArray_NDIM(x) == 1 else PyArray_DIM(x, 0)
        cdef fnn_machine machine = self._machine()
        cdef Py_ssize_t size = fnn_predict_scratch(&self.net, &machine, n) * self.real_size
        cdef double[STACK_REALS] small
        cdef void *scratch = small if size <= STACK_BYTES else malloc(size)
        if scratch == NULL:
            raise MemoryError(f"no room for {size} bytes of intermediate outputs")
        cdef void *parameters = PyArray_DATA(self.parameters)
        cdef void *source = PyArray_DATA(x)
        cdef void *to = PyArray_DATA(y)
        if out is not None:
            machine.stop = NULL  # what the caller has is not left half written
        fnn_fpenv_go(machine.inside, machine.outside)
        if <double> n * self.net.n_parameters < RELEASE_WORK:
            fnn_predict(&self.net, &machine, parameters, source, n, to, NULL, scratch)
        else:
            with nogil:
                fnn_predict(&self.net, &machine, parameters, source, n, to, NULL, scratch)
        fnn_fpenv_go(machine.outside, machine.inside)
        if scratch != <void *> small:
            free(scratch)
        stopped()
        return y if out is None else out

    def activations(self, X):
        """Every layer's output (B, n), without dropout."""
        cdef cnp.ndarray x = self._inputs(X)
        cdef Py_ssize_t n = PyArray_DIM(x, 0)
        cdef fnn_machine machine = self._machine()
        cdef list arrays = [
            new_matrix(self.parameters, n, self.net.layers[layer].n_out) for layer in range(self.net.n_layers)]
        cdef void **outputs = <void **> malloc(self.net.n_layers * sizeof(void *))
        if outputs == NULL:
            raise MemoryError("no room for the layers' outputs")
        for i in range(self.net.n_layers):
            outputs[i] = PyArray_DATA(<cnp.ndarray> arrays[i])
        # Without the workspace, whose gather buffer is not needed: the rows come in order.
        with nogil:
            fnn_fpenv_go(machine.inside, machine.outside)
            fnn_predict(&self.net, &machine, PyArray_DATA(self.parameters), PyArray_DATA(x), n, NULL, outputs, NULL)
        fnn_fpenv_go(machine.outside, machine.inside)
        free(outputs)
        stopped()
        return arrays

    def input_gradient(self, X, dY, out=None):
        """dX (B, I), the vector–Jacobian product of the outputs with dY (B, O), without dropout."""
        cdef cnp.ndarray x = self._inputs(X)
        cdef Py_ssize_t n = PyArray_DIM(x, 0)
        cdef cnp.ndarray dy = matrix("dY", dY, self.parameters, n, self.n_out)
        cdef cnp.ndarray dx = new_matrix(x, n, self.n_in) if out is None else matrix("out", out, x, n, self.n_in)
        for i in range(self.net.n_layers):
            if not fnn_activations[self.net.layers[i].activation].differentiable:
                raise ValueError("activation: wanted ones that have a gradient, got 'step'")
        if out is not None:
            writable("out", dx)
            apart("out", dx, "X", x)
            apart("out", dx, "dY", dy)
            apart("out", dx, "parameters", self.parameters)
        cdef fnn_machine machine = self._machine()
        cdef cnp.ndarray transposed = new_matrix(x, self.net.layers[0].n_out, self.n_in)
        if out is not None:
            machine.stop = NULL  # as in predict
        self._enter()
        try:
            self._prepare(&machine, n)
            with nogil:
                fnn_fpenv_go(machine.inside, machine.outside)
                fnn_input_gradient(&self.net, &machine, PyArray_DATA(self.parameters), PyArray_DATA(x),
                                   PyArray_DATA(dy), n, PyArray_DATA(dx), PyArray_DATA(transposed), self.workspace)
        finally:
            fnn_fpenv_go(machine.outside, machine.inside)
            fnn_give_back(&self.user)
        stopped()
        return dx if out is None else out

    # --- Cost and gradient --------------------------------------------------------------------------------------------

    cdef double _cost(self, object X, object target, object weight, object step, void *gradients) except? -1:
        cdef int64_t masks = FNN_NO_DROPOUT if step is None else <int64_t> (step & 0xFFFFFFFF)
        cdef tuple arrays = self._batch(self._inputs(X), target, weight)
        cdef fnn_batch batch = self._pointers(arrays)
        cdef fnn_machine machine = self._machine()
        cdef double cost
        self._enter()
        try:
            self._prepare(&machine, batch.n)
            with nogil:
                fnn_fpenv_go(machine.inside, machine.outside)
                cost = fnn_step(&self.net, &machine, PyArray_DATA(self.parameters), gradients, NULL, &batch, masks,
                                self.workspace)
        finally:
            fnn_fpenv_go(machine.outside, machine.inside)
            fnn_give_back(&self.user)
        stopped()
        return cost

    def loss(self, X, target, weight, step=None):
        """The cost; with the dropout masks of ``step`` where it is given."""
        return self._cost(X, target, weight, step, NULL)

    def loss_and_gradients(self, X, target, weight, step=None):
        """The cost, and its gradient in ``gradients``."""
        self._require_gradient()
        return self._cost(X, target, weight, step, PyArray_DATA(self.gradients))

    # --- Training -----------------------------------------------------------------------------------------------------

    cdef double _step(self, const fnn_machine *machine, const fnn_batch *batch) noexcept nogil:
        """One update; the counter goes on where the cost is finite."""
        cdef int64_t *t = <int64_t *> PyArray_DATA(self.state_counter)
        fnn_hyper_fold(&self.optimizer.hyper, t[0] + 1)
        cdef double cost = fnn_step(
            &self.net, machine, PyArray_DATA(self.parameters), PyArray_DATA(self.gradients), &self.optimizer, batch,
            t[0], self.workspace)
        if isfinite(cost):
            t[0] += 1
        return cost

    def train_step(self, X, target, weight, state):
        """One update; returns the cost before it. Where that is not finite nothing is updated."""
        cdef tuple arrays = self._batch(self._inputs(X), target, weight)
        cdef fnn_batch batch = self._pointers(arrays)
        return self._train(&batch, state)

    def try_train_step(self, X, target, weight, state, /):
        """As `train_step`, with arrays of whatever real dtype and layout; None where one of them is not taken."""
        cdef bint reuse = fnn_take(&self.spare_user, process)
        cdef tuple arrays
        cdef fnn_batch batch
        try:
            arrays = self._take(X, target, weight, False, reuse)
            if arrays is None:
                return None
            batch = self._pointers(arrays)
            return self._train(&batch, state)
        finally:
            if reuse:
                fnn_give_back(&self.spare_user)

    cdef double _train(self, const fnn_batch *batch, object state) except? -1:
        cdef fnn_machine machine = self._machine()
        cdef double cost
        self._require_gradient()
        self._enter()
        try:
            self._load(state)
            self._prepare(&machine, batch.n)
            with nogil:
                fnn_fpenv_go(machine.inside, machine.outside)
                cost = self._step(&machine, batch)
        finally:
            fnn_fpenv_go(machine.outside, machine.inside)
            fnn_give_back(&self.user)
        stopped()
        return cost

    def run(self, X, target, weight, state, Py_ssize_t batch_size, bint shuffle, int64_t epoch, Py_ssize_t batch,
            double[::1] lr, double[::1] losses, bint snapshot, order=None):
        """Do ``len(losses)`` steps from batch number ``batch`` of epoch number ``epoch`` on, over into later epochs.

        Writes each step's loss. Returns the number of steps done: fewer where the next step's loss, or the parameters
        at the end of an epoch, are not finite; its loss is written too. With ``snapshot`` the state is saved behind
        each epoch. Signals are looked for about every 50 ms. ``order``, an intp array (n,), takes the place of the
        shuffle of every epoch of this call.
        """
        cdef tuple arrays = self._batch(self._inputs(X), target, weight)
        cdef fnn_batch all_rows = self._pointers(arrays)
        cdef fnn_machine machine = self._machine()
        cdef Py_ssize_t done
        cdef cnp.ndarray given = None
        cdef const Py_ssize_t *rows = NULL
        if batch_size < 1:
            raise ValueError(f"batch_size: wanted at least 1, got {batch_size}")
        if not 0 <= batch <= (all_rows.n - 1) // batch_size:
            raise ValueError(f"batch: wanted 0 to {(all_rows.n - 1) // batch_size}, got {batch}")
        if lr.shape[0] != losses.shape[0]:
            raise ValueError(f"lr: wanted one rate for each of {losses.shape[0]} steps, got {lr.shape[0]}")
        if losses.shape[0] == 0:
            return 0
        self._require_gradient()
        self._enter()
        try:
            self._load(state)
            self._prepare(&machine, min(batch_size, all_rows.n))
            if order is not None:
                given = label_array("order", order, all_rows.n, all_rows.n)
                if given is None:
                    raise TypeError("order: wanted an intp array, one row number for each row")
                rows = <const Py_ssize_t *> PyArray_DATA(given)
                shuffle = False
            if shuffle:
                self._prepare_order(all_rows.n)
                rows = self.order
            with nogil:
                fnn_fpenv_go(machine.inside, machine.outside)
                done = self._run(&machine, &all_rows, rows, shuffle, batch_size, epoch, batch, &lr[0], &losses[0],
                                 losses.shape[0], snapshot)
        finally:
            fnn_fpenv_go(machine.outside, machine.inside)
            fnn_give_back(&self.user)
        return done

    cdef Py_ssize_t _run(
        self, const fnn_machine *machine, const fnn_batch *all_rows, const Py_ssize_t *rows, bint shuffle,
        Py_ssize_t batch_size, int64_t epoch, Py_ssize_t number, const double *lr, double *losses, Py_ssize_t n_steps,
        bint snapshot
    ) except -1 nogil:
        cdef Py_ssize_t n = all_rows.n, n_batches = (n + batch_size - 1) // batch_size, start, done = 0
        cdef double row_work = 3.0 * self.net.n_parameters
        cdef fnn_watch watch = fnn_watch(0, 0)
        cdef fnn_batch batch
        while done < n_steps:
            if shuffle and epoch != self.order_epoch:
                self._shuffle(epoch)
            start = number * batch_size
            batch = self._slice(all_rows, rows, start, min(batch_size, n - start))
            self.optimizer.hyper.lr = lr[done]
            losses[done] = self._step(machine, &batch)
            if not isfinite(losses[done]):
                with gil:
                    stopped()
                break
            number += 1
            if number == n_batches:
                if not self._end_epoch(machine, snapshot):
                    break
                number = 0
                epoch += 1
            done += 1
            if fnn_time_to_look(&watch, max(batch.n * row_work, STEP_WORK)) and stop(machine):
                with gil:
                    stopped()
        return done

    cdef int _prepare_order(self, Py_ssize_t n) except -1:
        """Room for the order of n rows; what is there stays where n is the same."""
        if n == self.order_rows:
            return 0
        free(self.order)
        free(self.order_scratch)
        self.order_rows = 0
        self.order = <Py_ssize_t *> malloc(n * sizeof(Py_ssize_t))
        self.order_scratch = <uint64_t *> malloc(2 * (n + 1) * sizeof(uint64_t))
        if self.order == NULL or self.order_scratch == NULL:
            raise MemoryError(f"no room to shuffle {n} rows")
        self.order_rows = n
        self.order_epoch = -1
        return 0

    cdef void _shuffle(self, int64_t epoch) noexcept nogil:
        cdef fnn_stream stream
        stream.seed = self.net.seed
        stream.layer = <uint32_t> FNN_SHUFFLE
        stream.step = <uint32_t> epoch
        self.order_epoch = -1  # a fork may come in between
        fnn_permutation(active[self.net.dtype], &stream, self.order_rows, self.order, self.order_scratch)
        self.order_epoch = epoch

    cdef fnn_batch _slice(
        self, const fnn_batch *all_rows, const Py_ssize_t *rows, Py_ssize_t start, Py_ssize_t n
    ) noexcept nogil:
        """The batch of n rows from `start` on: through the shuffled order, or by moving the pointers."""
        cdef fnn_batch batch = all_rows[0]
        batch.n = n
        if rows != NULL:
            batch.rows = rows + start
            batch.following = min(all_rows.n - start - n, n)
            return batch
        batch.x = <char *> batch.x + start * self.n_in * self.real_size
        if batch.target != NULL:
            batch.target = <char *> batch.target + start * self.n_out * self.real_size
        if batch.labels != NULL:
            batch.labels += start
        if batch.weight != NULL:
            batch.weight = <char *> batch.weight + start * self.real_size
        return batch

    cdef bint _end_epoch(self, const fnn_machine *machine, bint snapshot) noexcept nogil:
        """Whether the parameters are finite; if so they and the optimiser's state are kept where asked for."""
        cdef int finite
        cdef Py_ssize_t size = self.net.n_parameters * self.real_size
        cdef char *to = <char *> PyArray_DATA(self.state_snapshot)
        machine.maker.kernels.all_finite(&finite, PyArray_DATA(self.parameters), self.net.n_parameters)
        if finite and snapshot:
            memcpy(to, PyArray_DATA(self.parameters), size)
            memcpy(to + size, PyArray_DATA(self.state_slots), size * PyArray_DIM(self.state_slots, 0))
            (<int64_t *> PyArray_DATA(self.state_snapshot_counter))[0] = (
                <int64_t *> PyArray_DATA(self.state_counter))[0]
        return finite
