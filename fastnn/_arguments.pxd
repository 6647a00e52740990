# What users bring to a network, in any real dtype, byte order and layout, as the arrays that its engine takes.
#
# Nothing here raises or makes an error text. None says that an argument is not taken: then fastnn._network finds out
# why, and says so, or converts what is no array. What is taken here would be taken there, with the same numbers.

cimport numpy as cnp
from numpy cimport (
    NPY_BOOL, NPY_BYTE, NPY_FLOAT16, NPY_FLOAT32, NPY_FLOAT64, NPY_INTP, NPY_LONGDOUBLE, NPY_ULONGLONG, PyArray_Check,
    PyArray_CheckExact, PyArray_DATA, PyArray_DIM, PyArray_DIMS, PyArray_EMPTY, PyArray_ISALIGNED, PyArray_ISCARRAY_RO,
    PyArray_ISNOTSWAPPED, PyArray_ITEMSIZE, PyArray_NBYTES, PyArray_NDIM, PyArray_SIZE, PyArray_STRIDE, PyArray_TYPE)

from fastnn._buffers cimport same_shape
from fastnn._fpenv cimport fnn_fpenv, fnn_fpenv_now, fnn_fpenv_set
from fastnn.fnn cimport fnn_kernels


cdef extern from "arguments.h" nogil:
    ctypedef struct fnn_array:
        const char *data
        Py_ssize_t rows
        Py_ssize_t columns
        Py_ssize_t row_stride
        Py_ssize_t column_stride
        int type
        int size
        int aligned
        int swapped

    enum:
        FNN_ELEMENT_truth, FNN_ELEMENT_i8, FNN_ELEMENT_u64
        FNN_ELEMENT_f16, FNN_ELEMENT_f32, FNN_ELEMENT_f64, FNN_ELEMENT_long_double
        FNN_ANY_NUMBERS, FNN_FINITE, FNN_PROBABILITIES, FNN_SHARES, FNN_WEIGHTS

    int fnn_is_turned(const fnn_array *a)
    int fnn_take_reals(const fnn_kernels *kernels, void *reals, const fnn_array *a, int wanted, double tolerance,
                       void *room)
    int fnn_are(const fnn_kernels *kernels, const void *reals, Py_ssize_t B, Py_ssize_t N, int wanted, double tolerance)
    int fnn_take_labels(Py_ssize_t *labels, const fnn_array *a, Py_ssize_t n_classes)

# Elements: from this many on a conversion releases the GIL.
cdef enum:
    MANY = 20000


cdef inline cnp.ndarray plain(object a):
    """The array, or the one behind a subclass; None for what is none, and where arithmetic is another."""
    if PyArray_CheckExact(a):
        return <cnp.ndarray> a
    if not PyArray_Check(a):
        return None
    import numpy as np
    return None if isinstance(a, (np.matrix, np.ma.MaskedArray)) else np.asarray(a)


cdef inline bint native(cnp.ndarray a, int dtype) noexcept:
    """C-contiguous, aligned, of that dtype: the passes can read it."""
    return PyArray_TYPE(a) == dtype and PyArray_ISCARRAY_RO(a)


cdef inline bint has_rows(cnp.ndarray a, Py_ssize_t n, Py_ssize_t columns) noexcept:
    """Whether the shape is (n, columns), or (n,) where there is one column."""
    cdef int dimensions = PyArray_NDIM(a)
    if dimensions == 2:
        return PyArray_DIM(a, 0) == n and PyArray_DIM(a, 1) == columns
    return dimensions == 1 and columns == 1 and PyArray_DIM(a, 0) == n


cdef inline int element(cnp.ndarray a) noexcept:
    """FNN_ELEMENT_<name>, or -1 for what holds no real numbers."""
    cdef int dtype = PyArray_TYPE(a), size = <int> PyArray_ITEMSIZE(a)
    if NPY_BYTE <= dtype <= NPY_ULONGLONG:
        # In both signed and unsigned ones by turns, in NumPy with sizes that depend on the platform.
        return FNN_ELEMENT_i8 + 2 * ((size > 1) + (size > 2) + (size > 4)) + (dtype - NPY_BYTE) % 2
    if dtype == NPY_BOOL:
        return FNN_ELEMENT_truth
    if dtype == NPY_FLOAT32:
        return FNN_ELEMENT_f32
    if dtype == NPY_FLOAT64:
        return FNN_ELEMENT_f64
    if dtype == NPY_FLOAT16:
        return FNN_ELEMENT_f16
    if dtype != NPY_LONGDOUBLE:
        return -1
    # On Windows NumPy's is a double, whatever the compiler's is.
    return FNN_ELEMENT_f64 if size == 8 else FNN_ELEMENT_long_double if size == sizeof(long double) else -1


cdef inline fnn_array described(cnp.ndarray a) noexcept:
    """Of one dimension or two."""
    cdef fnn_array d
    cdef bint flat = PyArray_NDIM(a) == 1
    d.data = <const char *> PyArray_DATA(a)
    d.rows = PyArray_DIM(a, 0)
    d.row_stride = PyArray_STRIDE(a, 0)
    d.columns = 1 if flat else PyArray_DIM(a, 1)
    d.size = <int> PyArray_ITEMSIZE(a)
    d.column_stride = d.size if flat else PyArray_STRIDE(a, 1)
    d.type = element(a)
    d.aligned = PyArray_ISALIGNED(a)
    d.swapped = not PyArray_ISNOTSWAPPED(a)
    return d


cdef inline cnp.ndarray room_like(cnp.ndarray a, int dtype, cnp.ndarray spare):
    """`spare` where it has a's shape and that dtype, else a new array."""
    if spare is not None and PyArray_TYPE(spare) == dtype and same_shape(spare, a):
        return spare
    return PyArray_EMPTY(PyArray_NDIM(a), PyArray_DIMS(a), dtype, 0)


cdef inline cnp.ndarray reals(
    cnp.ndarray a, int dtype, const fnn_kernels *kernels, int wanted, double tolerance, cnp.ndarray spare
):
    """The array (n,) or (n, m) itself where it is native, else converted; None where its numbers are not `wanted`.

    The result may lie in `spare`.
    """
    cdef cnp.ndarray made = a, between = None
    cdef fnn_array source
    cdef bint own = native(a, dtype), good
    cdef void *room = NULL
    cdef fnn_fpenv before
    if own and wanted == FNN_ANY_NUMBERS:
        return a
    source = described(a)
    if source.type < 0:
        return None
    if not own:
        made = room_like(a, dtype, spare)
        if fnn_is_turned(&source):
            between = room_like(a, dtype, None)
            room = PyArray_DATA(between)
    cdef void *to = PyArray_DATA(made)
    before = fnn_fpenv_now()
    if source.rows * source.columns < MANY:
        good = _reals(own, kernels, to, &source, wanted, tolerance, room)
    else:
        with nogil:
            good = _reals(own, kernels, to, &source, wanted, tolerance, room)
    fnn_fpenv_set(before)  # without the exceptions that were noted
    return made if good else None


cdef inline bint _reals(
    bint own, const fnn_kernels *kernels, void *to, const fnn_array *source, int wanted, double tolerance, void *room
) noexcept nogil:
    if own:
        return fnn_are(kernels, to, source.rows, source.columns, wanted, tolerance)
    return fnn_take_reals(kernels, to, source, wanted, tolerance, room)


cdef inline cnp.ndarray labels(cnp.ndarray a, Py_ssize_t n_classes, cnp.ndarray spare):
    """Integers or booleans (n,) as intp, in `spare` or a new array; None where they are others, or out of range."""
    cdef fnn_array source = described(a)
    cdef cnp.ndarray made
    if not 0 <= source.type <= FNN_ELEMENT_u64:
        return None
    made = room_like(a, NPY_INTP, spare)
    return made if fnn_take_labels(<Py_ssize_t *> PyArray_DATA(made), &source, n_classes) else None


cdef inline char *end_of(cnp.ndarray a, char **start) noexcept:
    """Behind the last byte that the array, not empty, reaches; its first one goes to start."""
    cdef char *end
    cdef Py_ssize_t reach
    cdef int k
    start[0] = <char *> PyArray_DATA(a)
    if PyArray_ISCARRAY_RO(a):
        return start[0] + PyArray_NBYTES(a)
    end = start[0] + PyArray_ITEMSIZE(a)
    for k in range(PyArray_NDIM(a)):
        reach = PyArray_STRIDE(a, k) * (PyArray_DIM(a, k) - 1)
        if reach < 0:
            start[0] += reach
        else:
            end += reach
    return end


cdef inline bint share_memory(cnp.ndarray a, cnp.ndarray b) noexcept:
    """Whether the bounds of two arrays overlap; neither is None."""
    cdef char *start
    cdef char *other_start
    cdef char *end = end_of(a, &start)
    cdef char *other_end = end_of(b, &other_start)
    return start < other_end and other_start < end and PyArray_SIZE(a) > 0 and PyArray_SIZE(b) > 0
