"""Every op of `fastnn.reference`, compiled: same names, signatures, errors and results (to rounding).

1. Docstrings are the reference's: each op is described once.
2. A shim checks its arguments, then calls the kernel of the instruction set in force, without the GIL where the work is
   long enough for another thread to gain by it.
3. Arrays are used as they come: float32 or float64, C-contiguous, never cast or copied.
4. Arithmetic is IEEE's, with denormals, whatever `fastnn.denormals` says: unless the calling thread was set otherwise.
"""

import numpy as np

cimport numpy as cnp
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from numpy cimport PyArray_DATA, PyArray_DIM, PyArray_NDIM, PyArray_SIZE

from fastnn._blas cimport gemm
from fastnn._buffers cimport (
    ANY, alike, apart, checked, data, label_array, matrix, new_like, new_matrix, new_vector, real_array, real_matrix,
    table_index, vector, writable)
from fastnn._core cimport active, settings
from fastnn._fpenv cimport fnn_fpenv, fnn_fpenv_now, fnn_fpenv_set
from fastnn.fnn cimport *
from fastnn.gemm cimport (
    fnn_forward, fnn_input_gradient_product, fnn_input_gradient_room, fnn_maker, fnn_weight_gradient,
    fnn_weight_gradient_room)

from fastnn import reference
from fastnn._scalars import integer, number, positive
from fastnn.reference import ACTIVATIONS, UPDATES, _check
from fastnn.reference.random import LONGEST_PERMUTATION

__all__ = [name for name in reference.__all__ if name.islower()]  # the ops, not the tables

cnp.import_array()

# Elements from which a call releases the GIL: some 10 µs of work.
cdef Py_ssize_t LONG = 20000
_INDEX = {fnn_activations[i].name.decode(): i for i in range(FNN_N_ACTIVATIONS)}


# --- Activations ------------------------------------------------------------------------------------------------------

cdef int _rows_of(cnp.ndarray a, Py_ssize_t *rows, Py_ssize_t *columns) except -1:
    """Rows and the last axis, for an op that works on rows; 1-D is one row."""
    cdef int ndim = PyArray_NDIM(a)
    columns[0] = PyArray_DIM(a, ndim - 1) if ndim else 1
    rows[0] = PyArray_SIZE(a) // columns[0] if columns[0] else 0
    return 0


cdef cnp.ndarray _output_like(object out, cnp.ndarray a, str name):
    """A new array, or `out`, which may be `a` itself."""
    cdef cnp.ndarray y
    if out is None:
        return new_like(a)
    y = alike("out", out, a)
    writable("out", y)
    apart("out", y, name, a, True)
    return y


cdef object _forward(int activation, object z, double alpha, object out):
    cdef cnp.ndarray a = real_array("z", z)
    cdef Py_ssize_t B, O
    if activation == FNN_softmax and PyArray_NDIM(a) == 0:
        checked("z", z, None, _check.ROW)
    cdef cnp.ndarray y = _output_like(out, a, "z")
    _rows_of(a, &B, &O)
    cdef fnn_activation_fn kernel = active[table_index(a)].activation_forward[activation]
    cdef void *to = PyArray_DATA(y)
    cdef void *source = PyArray_DATA(a)
    cdef fnn_fpenv before = fnn_fpenv_now()
    if B * O < LONG:
        kernel(to, source, alpha, B, O)
    else:
        with nogil:
            kernel(to, source, alpha, B, O)
    fnn_fpenv_set(before)
    return y if out is None else out


cdef object _backward(int activation, object dy, object y, object z, double alpha, object out):
    cdef cnp.ndarray d = real_array("dy", dy)
    cdef Py_ssize_t B, O
    if activation == FNN_softmax and PyArray_NDIM(d) == 0:
        checked("dy", dy, None, _check.ROW)
    cdef cnp.ndarray a = alike("y", y, d)
    cdef cnp.ndarray pre = None
    if fnn_activations[activation].needs_z:
        pre = alike("z", z, d)
    cdef cnp.ndarray dz
    if out is None:
        dz = new_like(d)
    else:
        dz = alike("out", out, d)
        writable("out", dz)
        apart("out", dz, "dy", d, True)
        apart("out", dz, "y", a, True)
        apart("out", dz, "z", pre, True)
    _rows_of(d, &B, &O)
    cdef fnn_slope_fn kernel = active[table_index(d)].activation_backward[activation]
    cdef void *to = PyArray_DATA(dz)
    cdef void *source = PyArray_DATA(d)
    cdef void *output = PyArray_DATA(a)
    cdef void *pre_activation = data(pre)
    cdef fnn_fpenv before = fnn_fpenv_now()
    if B * O < LONG:
        kernel(to, source, output, pre_activation, alpha, B, O)
    else:
        with nogil:
            kernel(to, source, output, pre_activation, alpha, B, O)
    fnn_fpenv_set(before)
    return dz if out is None else out


def identity_forward(z, *, out=None):
    return _forward(FNN_identity, z, 0.0, out)


def identity_backward(dy, y, *, out=None):
    return _backward(FNN_identity, dy, y, None, 0.0, out)


def sigmoid_forward(z, *, out=None):
    return _forward(FNN_sigmoid, z, 0.0, out)


def sigmoid_backward(dy, y, *, out=None):
    return _backward(FNN_sigmoid, dy, y, None, 0.0, out)


def tanh_forward(z, *, out=None):
    return _forward(FNN_tanh, z, 0.0, out)


def tanh_backward(dy, y, *, out=None):
    return _backward(FNN_tanh, dy, y, None, 0.0, out)


def relu_forward(z, *, out=None):
    return _forward(FNN_relu, z, 0.0, out)


def relu_backward(dy, y, *, out=None):
    return _backward(FNN_relu, dy, y, None, 0.0, out)


def leaky_relu_forward(z, alpha=0.01, *, out=None):
    return _forward(FNN_leaky_relu, z, _check.alpha(ACTIVATIONS, "leaky_relu", alpha), out)


def leaky_relu_backward(dy, y, alpha=0.01, *, out=None):
    return _backward(FNN_leaky_relu, dy, y, None, _check.alpha(ACTIVATIONS, "leaky_relu", alpha), out)


def elu_forward(z, alpha=1.0, *, out=None):
    return _forward(FNN_elu, z, _check.alpha(ACTIVATIONS, "elu", alpha), out)


def elu_backward(dy, y, alpha=1.0, *, out=None):
    return _backward(FNN_elu, dy, y, None, _check.alpha(ACTIVATIONS, "elu", alpha), out)


def softplus_forward(z, *, out=None):
    return _forward(FNN_softplus, z, 0.0, out)


def softplus_backward(dy, y, *, out=None):
    return _backward(FNN_softplus, dy, y, None, 0.0, out)


def gelu_forward(z, *, out=None):
    return _forward(FNN_gelu, z, 0.0, out)


def gelu_backward(dy, y, *, z, out=None):
    return _backward(FNN_gelu, dy, y, z, 0.0, out)


def silu_forward(z, *, out=None):
    return _forward(FNN_silu, z, 0.0, out)


def silu_backward(dy, y, *, z, out=None):
    return _backward(FNN_silu, dy, y, z, 0.0, out)


def softmax_forward(z, *, out=None):
    return _forward(FNN_softmax, z, 0.0, out)


def softmax_backward(dy, y, *, out=None):
    return _backward(FNN_softmax, dy, y, None, 0.0, out)


def step_forward(z, *, out=None):
    return _forward(FNN_step, z, 0.0, out)


# --- Fused layer ------------------------------------------------------------------------------------------------------

cdef int _activation(object name, object alpha, double *parameter) except -1:
    """Index of an activation, and its checked parameter."""
    try:
        index = _INDEX[name]
    except (KeyError, TypeError):
        if not isinstance(name, str):
            raise TypeError(f"activation: wanted a name, got {type(name).__name__}") from None
        raise ValueError(f"activation: wanted one of {', '.join(ACTIVATIONS)}, got {name!r}") from None
    parameter[0] = _check.alpha(ACTIVATIONS, name, alpha)
    return index


cdef inline fnn_maker _maker(int dtype) noexcept nogil:
    """What makes the products of this call."""
    return fnn_maker(active[dtype], gemm, settings.cpu, dtype, settings.isa, settings.gemm, True)


cdef const fnn_kernels *table(int dtype) noexcept nogil:
    return active[dtype]


cdef void affine(
    int dtype, void *y, const void *x, const void *w, const void *b, Py_ssize_t B, Py_ssize_t I, Py_ssize_t O
) noexcept nogil:
    """y (B, O) = x (B, I) w (I, O) + b (O,), NULL for none."""
    cdef fnn_maker maker = _maker(dtype)
    fnn_forward(&maker, y, x, NULL, w, b, B, I, O)


def affine_forward(x, w, b, activation="identity", *, alpha=None, z=None, out=None):
    cdef double parameter
    cdef int g = _activation(activation, alpha, &parameter)  # first: alpha's __float__ may do anything to the arrays
    cdef cnp.ndarray X = real_matrix("x", x, "B", "I")
    cdef cnp.ndarray W = matrix("w", w, X, PyArray_DIM(X, 1), ANY)
    cdef Py_ssize_t B = PyArray_DIM(X, 0), I = PyArray_DIM(X, 1), O = PyArray_DIM(W, 1)
    cdef cnp.ndarray bias = None if b is None else vector("b", b, X, O)
    cdef int dtype = table_index(X)
    cdef cnp.ndarray pre = None if z is None else _apart_matrix("z", z, X, B, O, X, W, bias, None)
    cdef cnp.ndarray y = new_matrix(X, B, O) if out is None else _apart_matrix("out", out, X, B, O, X, W, bias, pre)
    cdef void *output = PyArray_DATA(y)
    cdef void *pre_activation = output if pre is None else PyArray_DATA(pre)
    cdef void *inputs = PyArray_DATA(X)
    cdef void *weights = PyArray_DATA(W)
    cdef void *biases = data(bias)
    cdef fnn_fpenv before = fnn_fpenv_now()
    with nogil:
        affine(dtype, pre_activation, inputs, weights, biases, B, I, O)
        if g != FNN_identity or output != pre_activation:
            active[dtype].activation_forward[g](output, pre_activation, parameter, B, O)
    fnn_fpenv_set(before)
    return y if out is None else out


cdef cnp.ndarray _apart_matrix(
    str name, object a, cnp.ndarray like, Py_ssize_t rows, Py_ssize_t columns, cnp.ndarray x, cnp.ndarray w,
    cnp.ndarray b, cnp.ndarray z
):
    """An output of affine_forward."""
    cdef cnp.ndarray m = matrix(name, a, like, rows, columns)
    writable(name, m)
    apart(name, m, "x", x)
    apart(name, m, "w", w)
    apart(name, m, "b", b)
    apart(name, m, "z", z)
    return m


cdef cnp.ndarray _wanted(str name, object a, cnp.ndarray like, tuple shape, dict inputs):
    """The array for a gradient, None where the caller passed False."""
    cdef cnp.ndarray result
    if a is False:
        return None
    if a is None:
        return new_matrix(like, shape[0], shape[1]) if len(shape) == 2 else new_vector(like, shape[0])
    result = matrix(name, a, like, shape[0], shape[1]) if len(shape) == 2 else vector(name, a, like, shape[0])
    writable(name, result)
    for other_name, other in inputs.items():
        apart(name, result, other_name, other)
    return result


def affine_backward(dy, x, w, y, activation="identity", *, alpha=None, z=None, dx=None, dw=None, db=None):
    cdef double parameter
    cdef int g = _activation(activation, alpha, &parameter)
    cdef cnp.ndarray d = real_matrix("dy", dy, "B", "O")
    cdef Py_ssize_t B = PyArray_DIM(d, 0), O = PyArray_DIM(d, 1)
    cdef cnp.ndarray X = matrix("x", x, d, B, ANY)
    cdef Py_ssize_t I = PyArray_DIM(X, 1)
    cdef cnp.ndarray W = matrix("w", w, d, I, O)
    cdef cnp.ndarray Y = matrix("y", y, d, B, O)
    cdef int dtype = table_index(d)
    if not fnn_activations[g].differentiable:
        raise ValueError(f"activation: wanted one that has a gradient, got {activation!r}")
    cdef dict inputs = {"dy": d, "x": X, "w": W, "y": Y}
    cdef cnp.ndarray pre = None
    if fnn_activations[g].needs_z:
        if z is None:
            raise ValueError(f"z: wanted the pre-activations, which {activation!r} needs, got None")
        inputs["z"] = pre = matrix("z", z, d, B, O)
    cdef cnp.ndarray inputs_gradient = _wanted("dx", dx, d, (B, I), inputs)
    inputs["dx"] = inputs_gradient
    cdef cnp.ndarray weights_gradient = _wanted("dw", dw, d, (I, O), inputs)
    inputs["dw"] = weights_gradient
    cdef cnp.ndarray bias_gradient = _wanted("db", db, d, (O,), inputs)
    cdef cnp.ndarray gradient = d if g == FNN_identity else new_matrix(d, B, O)
    cdef const fnn_kernels *k = active[dtype]
    cdef void *dz = PyArray_DATA(gradient)
    cdef void *to_dx = data(inputs_gradient)
    cdef void *to_dw = data(weights_gradient)
    cdef void *to_db = data(bias_gradient)
    cdef fnn_maker maker = _maker(dtype)
    # Without room operands are read where they are, or W is turned over.
    cdef Py_ssize_t for_dx = fnn_input_gradient_room(&maker, B, I, O) if to_dx != NULL else 0
    cdef Py_ssize_t for_dw = fnn_weight_gradient_room(I, B) if to_dw != NULL and I * O > LONG else 0
    cdef void *room = malloc(max(for_dx, for_dw) * k.size) if for_dx > 0 or for_dw > 0 else NULL
    cdef fnn_fpenv before = fnn_fpenv_now()
    with nogil:
        if g != FNN_identity:
            k.activation_backward[g](dz, PyArray_DATA(d), PyArray_DATA(Y), data(pre), parameter, B, O)
        if to_dx != NULL:
            fnn_input_gradient_product(&maker, to_dx, dz, PyArray_DATA(W), NULL, B, I, O, room if for_dx > 0 else NULL)
        if to_dw != NULL:
            fnn_weight_gradient(&maker, to_dw, PyArray_DATA(X), dz, 0, B, I, O, room if for_dw > 0 else NULL)
        if to_db != NULL:
            k.column_sums(to_db, dz, NULL, NULL, 0, B, O)
    fnn_fpenv_set(before)
    free(room)
    return (
        None if dx is False else inputs_gradient if dx is None else dx,
        None if dw is False else weights_gradient if dw is None else dw,
        None if db is False else bias_gradient if db is None else db,
    )


# --- Losses -----------------------------------------------------------------------------------------------------------

cdef cnp.ndarray _weights(object sample_weight, cnp.ndarray like):
    """Sample weights for the rows of `like`, None where there are none."""
    if sample_weight is None:
        return None
    cdef cnp.ndarray weights = vector("sample_weight", sample_weight, like, PyArray_DIM(like, 0))
    _check.weights("sample_weight", weights, like.dtype, PyArray_DIM(like, 0))
    return weights


cdef double _mean_scale(cnp.ndarray weight, Py_ssize_t rows) except? -1:
    """1 / sum of the weights."""
    return 1.0 / (rows if weight is None else float(weight.sum(dtype=np.float64)))


cdef cnp.ndarray _gradient(str name, object a, cnp.ndarray like, dict inputs):
    """The array for a loss's gradient, None where the caller passed False."""
    return _wanted(name, a, like, (PyArray_DIM(like, 0), PyArray_DIM(like, 1)), inputs)


cdef object _loss(
    int loss, str name, object z, object target, object sample_weight, str gradient_name, object gradient
):
    """Mean loss and gradient. `name` is the argument that z came as."""
    cdef cnp.ndarray a = real_matrix(name, z, "B", "O")
    cdef Py_ssize_t B = PyArray_DIM(a, 0), O = PyArray_DIM(a, 1)
    _check.some_rows(name, a)
    cdef cnp.ndarray labels = None, rows = None
    if loss == FNN_softmax_cross_entropy:
        _check.some_classes(name, a)
        labels = label_array("target", target, B, O)
    if labels is None:
        rows = matrix("target", target, a, B, O)
    cdef cnp.ndarray weight = _weights(sample_weight, a)
    cdef dict inputs = {name: a, "target": rows if labels is None else labels, "sample_weight": weight}
    cdef cnp.ndarray d = _gradient(gradient_name, gradient, a, inputs)
    cdef fnn_targets t
    t.target = data(rows)
    t.labels = <Py_ssize_t *> data(labels)
    t.weight = data(weight)
    t.rows = NULL
    t.scale = _mean_scale(weight, B)
    t.bound = 0
    cdef double value
    cdef void *to = data(d)
    cdef fnn_fpenv before = fnn_fpenv_now()
    with nogil:
        value = active[table_index(a)].loss[loss](to, PyArray_DATA(a), &t, B, O)
    fnn_fpenv_set(before)
    return value, None if gradient is False else d if gradient is None else gradient


def softmax_cross_entropy(z, target, sample_weight=None, *, dz=None):
    return _loss(FNN_softmax_cross_entropy, "z", z, target, sample_weight, "dz", dz)


def sigmoid_cross_entropy(z, target, sample_weight=None, *, dz=None):
    return _loss(FNN_sigmoid_cross_entropy, "z", z, target, sample_weight, "dz", dz)


def squared_error(y, target, sample_weight=None, *, dy=None):
    return _loss(FNN_squared_error, "y", y, target, sample_weight, "dy", dy)


def kl_sparsity(a, rho, beta, sample_weight=None, *, da=None):
    cdef double target = number("rho", rho), factor = positive("beta", beta, zero=True)
    if not 0 < target < 1:
        raise ValueError(f"rho: wanted 0 < rho < 1, got {target}")
    cdef cnp.ndarray activations = real_matrix("a", a, "B", "H")
    cdef Py_ssize_t B = PyArray_DIM(activations, 0), H = PyArray_DIM(activations, 1)
    _check.some_rows("a", activations)
    cdef cnp.ndarray weight = _weights(sample_weight, activations)
    cdef cnp.ndarray gradient = _gradient("da", da, activations, {"a": activations, "sample_weight": weight})
    cdef double scale = _mean_scale(weight, B), cost
    cdef cnp.ndarray row = new_vector(activations, H)
    cdef int dtype = table_index(activations)
    cdef const fnn_kernels *k = active[dtype]
    cdef fnn_fpenv before = fnn_fpenv_now()
    k.column_sums(PyArray_DATA(row), PyArray_DATA(activations), data(weight), NULL, 0, B, H)
    cost = fnn_kl_row(dtype, PyArray_DATA(row), H, scale, target, factor)
    if gradient is not None:
        if da is None:
            k.fill_rows(PyArray_DATA(gradient), NULL, B, H)
        k.add_outer(PyArray_DATA(gradient), PyArray_DATA(row), data(weight), NULL, scale, B, H)
    fnn_fpenv_set(before)
    return cost, None if da is False else gradient if da is None else da


# --- Random numbers ---------------------------------------------------------------------------------------------------

cdef fnn_stream _stream(object seed, object step, object layer) except *:
    cdef fnn_stream stream
    stream.seed = integer("seed", seed, 0, 2**64 - 1)
    stream.step = integer("step", step) & 0xFFFFFFFF
    stream.layer = integer("layer", layer) & 0xFFFFFFFF
    return stream


def random_words(rows, cols, seed, *, step=0, layer=0, out=None):
    cdef fnn_stream stream = _stream(seed, step, layer)
    cdef Py_ssize_t B, n
    B, n = _check.lengths(4, rows=rows, cols=cols)
    cdef cnp.ndarray words = _check.output("out", out, np.dtype(np.uint32), (B, n))
    cdef fnn_fpenv before = fnn_fpenv_now()
    with nogil:
        active[FNN_F32].random_words(<uint32_t *> PyArray_DATA(words), 0, B, n, &stream)
    fnn_fpenv_set(before)
    return words


cdef object _dropout(str name, object x, object keep, object seed, object step, object layer, object out):
    cdef cnp.ndarray a = real_matrix(name, x, "B", "n")
    cdef double probability = number("keep", keep)
    if not 0 < probability <= 1:
        raise ValueError(f"keep: wanted 0 < keep <= 1, got {probability}")
    cdef fnn_stream stream = _stream(seed, step, layer)
    cdef cnp.ndarray y = _output_like(out, a, name)
    cdef fnn_fpenv before = fnn_fpenv_now()
    with nogil:
        active[table_index(a)].dropout(
            PyArray_DATA(y), PyArray_DATA(a), probability, 0, PyArray_DIM(a, 0), PyArray_DIM(a, 1), &stream)
    fnn_fpenv_set(before)
    return y if out is None else out


def dropout_forward(x, keep, seed, *, step=0, layer=0, out=None):
    return _dropout("x", x, keep, seed, step, layer, out)


def dropout_backward(dy, keep, seed, *, step=0, layer=0, out=None):
    return _dropout("dy", dy, keep, seed, step, layer, out)


def permutation(n, seed, *, step=0, out=None):
    cdef Py_ssize_t count = integer("n", n, 0, LONGEST_PERMUTATION)
    cdef fnn_stream stream = _stream(seed, step, FNN_SHUFFLE)
    cdef cnp.ndarray order = _check.output("out", out, np.dtype(np.intp), (count,))
    cdef uint64_t *scratch = <uint64_t *> malloc(2 * (count + 1) * sizeof(uint64_t))
    if scratch == NULL:
        raise MemoryError(f"no room to shuffle {count} rows")
    cdef fnn_fpenv before = fnn_fpenv_now()
    with nogil:
        fnn_permutation(active[FNN_F32], &stream, count, <Py_ssize_t *> PyArray_DATA(order), scratch)
    fnn_fpenv_set(before)
    free(scratch)
    return order


# --- Updates ----------------------------------------------------------------------------------------------------------

cdef object _update(int update, object p, object g, object s1, object s2, fnn_hyper *h):
    cdef cnp.ndarray parameters = real_array("p", p)
    cdef cnp.ndarray gradient = alike("g", g, parameters)
    writable("p", parameters)
    apart("p", parameters, "g", gradient)
    cdef cnp.ndarray first = None, second = None
    names = UPDATES[fnn_updates[update].decode()].slots
    if s1 is not None or names:
        first = alike(names[0], s1, parameters)
        writable(names[0], first)
        apart(names[0], first, "p", parameters)
        apart(names[0], first, "g", gradient)
    if len(names) == 2:
        second = alike(names[1], s2, parameters)
        writable(names[1], second)
        apart(names[1], second, "p", parameters)
        apart(names[1], second, "g", gradient)
        apart(names[1], second, names[0], first)
    cdef fnn_update_fn kernel = active[table_index(parameters)].update[update]
    cdef Py_ssize_t n = PyArray_SIZE(parameters)
    cdef void *to = PyArray_DATA(parameters)
    cdef fnn_fpenv before = fnn_fpenv_now()
    if n < LONG:
        kernel(to, PyArray_DATA(gradient), data(first), data(second), h, n)
    else:
        with nogil:
            kernel(to, PyArray_DATA(gradient), data(first), data(second), h, n)
    fnn_fpenv_set(before)


cdef fnn_hyper _hyper(object lr, object l2, object scale) except *:
    """The hyperparameters that every update has."""
    cdef fnn_hyper h
    h.lr = number("lr", lr)
    h.l2 = number("l2", l2)
    h.scale = number("scale", scale)
    h.beta1 = h.beta2 = h.epsilon = h.weight_decay = 0
    h.epsilon_hat = 0
    return h


def sgd_update(p, g, lr, *, l2=0.0, scale=1.0):
    cdef fnn_hyper h = _hyper(lr, l2, scale)
    _update(FNN_sgd_update, p, g, None, None, &h)


def momentum_update(p, g, v, lr, momentum=0.9, *, l2=0.0, scale=1.0):
    cdef fnn_hyper h = _hyper(lr, l2, scale)
    h.beta1 = number("momentum", momentum)
    _update(FNN_momentum_update, p, g, v, None, &h)


def nesterov_update(p, g, v, lr, momentum=0.9, *, l2=0.0, scale=1.0):
    cdef fnn_hyper h = _hyper(lr, l2, scale)
    h.beta1 = number("momentum", momentum)
    _update(FNN_nesterov_update, p, g, v, None, &h)


def averaged_momentum_update(p, g, v, lr, beta=0.9, *, l2=0.0, scale=1.0):
    cdef fnn_hyper h = _hyper(lr, l2, scale)
    h.beta1 = number("beta", beta)
    _update(FNN_averaged_momentum_update, p, g, v, None, &h)


def rmsprop_update(p, g, s, lr, beta=0.9, epsilon=1e-8, *, l2=0.0, scale=1.0):
    cdef fnn_hyper h = _hyper(lr, l2, scale)
    h.beta1 = number("beta", beta)
    h.epsilon = number("epsilon", epsilon)
    _update(FNN_rmsprop_update, p, g, s, None, &h)


def adagrad_update(p, g, s, lr, epsilon=1e-10, *, l2=0.0, scale=1.0):
    cdef fnn_hyper h = _hyper(lr, l2, scale)
    h.epsilon = number("epsilon", epsilon)
    _update(FNN_adagrad_update, p, g, s, None, &h)


cdef fnn_hyper _adam_hyper(
    object lr, object t, object beta1, object beta2, object epsilon, object l2, object scale
) except *:
    cdef fnn_hyper h = _hyper(lr, l2, scale)
    h.beta1 = _check.decay("beta1", beta1)
    h.beta2 = _check.decay("beta2", beta2)
    h.epsilon = number("epsilon", epsilon)
    fnn_hyper_fold(&h, integer("t", t, 1, 2**63 - 1))
    return h


def adam_update(p, g, m, v, lr, t, beta1=0.9, beta2=0.999, epsilon=1e-8, *, l2=0.0, scale=1.0):
    cdef fnn_hyper h = _adam_hyper(lr, t, beta1, beta2, epsilon, l2, scale)
    _update(FNN_adam_update, p, g, m, v, &h)


def adamw_update(p, g, m, v, lr, t, beta1=0.9, beta2=0.999, epsilon=1e-8, weight_decay=0.01, *, l2=0.0, scale=1.0):
    cdef fnn_hyper h = _adam_hyper(lr, t, beta1, beta2, epsilon, l2, scale)
    h.weight_decay = number("weight_decay", weight_decay)
    _update(FNN_adamw_update, p, g, m, v, &h)


for _name in __all__:
    globals()[_name].__doc__ = getattr(reference, _name).__doc__
