# Fast checks of array arguments through NumPy's C API (some 10 ns each). What they cannot pass at once goes to the
# checks of fastnn.reference, which either accept it (a subclass, a memory map) or raise: so both backends speak with
# the same words.

cimport numpy as cnp
from numpy cimport (
    NPY_FLOAT32, NPY_FLOAT64, NPY_INTP, PyArray_CheckExact, PyArray_DATA, PyArray_DIM, PyArray_DIMS, PyArray_EMPTY,
    PyArray_ISCARRAY, PyArray_ISCARRAY_RO, PyArray_NBYTES, PyArray_NDIM, PyArray_SIZE, PyArray_TYPE, npy_intp)

from fastnn.fnn cimport FNN_F32, FNN_F64

# A length that may be anything.
cdef enum:
    ANY = -1


cdef inline int table_index(cnp.ndarray a) noexcept nogil:
    """FNN_F32 or FNN_F64."""
    return FNN_F32 if PyArray_TYPE(a) == NPY_FLOAT32 else FNN_F64


cdef inline bint is_real(object a) noexcept:
    """A plain C-contiguous, aligned, native array of float32 or float64."""
    return (PyArray_CheckExact(a) and PyArray_ISCARRAY_RO(<cnp.ndarray> a)
            and PyArray_TYPE(<cnp.ndarray> a) in (NPY_FLOAT32, NPY_FLOAT64))


cdef inline cnp.ndarray checked(str name, object a, object dtype, object shape):
    """The slow way: raises, or returns the plain array behind a subclass, which may say of itself what is not so."""
    import numpy as np

    from fastnn.reference import _check
    return _check.array(name, np.asarray(_check.array(name, a, dtype, shape)), dtype, shape)


cdef inline cnp.ndarray real_array(str name, object a):
    """The first array of a call: its dtype is the call's."""
    return <cnp.ndarray> a if is_real(a) else checked(name, a, None, None)


cdef inline cnp.ndarray real_matrix(str name, object a, str rows, str columns):
    """As real_array, with two dimensions; rows and columns are the letters that an error names."""
    if is_real(a) and PyArray_NDIM(<cnp.ndarray> a) == 2:
        return <cnp.ndarray> a
    return checked(name, a, None, (rows, columns))


cdef inline cnp.ndarray matrix(str name, object a, cnp.ndarray like, Py_ssize_t rows, Py_ssize_t columns):
    """A matrix of `like`'s dtype; ANY for a length that is not given."""
    cdef cnp.ndarray m
    if is_real(a):
        m = <cnp.ndarray> a
        if (PyArray_TYPE(m) == PyArray_TYPE(like) and PyArray_NDIM(m) == 2 and rows in (ANY, PyArray_DIM(m, 0))
                and columns in (ANY, PyArray_DIM(m, 1))):
            return m
    return checked(name, a, like.dtype, ("n" if rows == ANY else rows, "n" if columns == ANY else columns))


cdef inline cnp.ndarray vector(str name, object a, cnp.ndarray like, Py_ssize_t n):
    """A vector of `like`'s dtype."""
    cdef cnp.ndarray v
    if is_real(a):
        v = <cnp.ndarray> a
        if PyArray_TYPE(v) == PyArray_TYPE(like) and PyArray_NDIM(v) == 1 and PyArray_DIM(v, 0) == n:
            return v
    return checked(name, a, like.dtype, (n,))


cdef inline bint same_shape(cnp.ndarray a, cnp.ndarray b) noexcept:
    cdef int i
    if PyArray_NDIM(a) != PyArray_NDIM(b):
        return False
    for i in range(PyArray_NDIM(a)):
        if PyArray_DIM(a, i) != PyArray_DIM(b, i):
            return False
    return True


cdef inline cnp.ndarray alike(str name, object a, cnp.ndarray like):
    """An array of `like`'s dtype and shape."""
    if (is_real(a) and PyArray_TYPE(<cnp.ndarray> a) == PyArray_TYPE(like) and same_shape(<cnp.ndarray> a, like)):
        return <cnp.ndarray> a
    return checked(name, a, like.dtype, (<object> like).shape)


cdef inline int writable(str name, cnp.ndarray a) except -1:
    if not PyArray_ISCARRAY(a):
        from fastnn.reference import _check
        _check.writable(name, a, a.dtype, (<object> a).shape)
    return 0


cdef inline int apart(str name, cnp.ndarray a, str other_name, cnp.ndarray other, bint same=False) except -1:
    """Refuse an output that shares memory with another argument; `same` allows exactly the same memory."""
    if other is None:
        return 0
    cdef char *start = <char *> PyArray_DATA(a)
    cdef char *other_start = <char *> PyArray_DATA(other)
    if start >= other_start + PyArray_NBYTES(other) or other_start >= start + PyArray_NBYTES(a):
        return 0
    if not (same and start == other_start and PyArray_NBYTES(a) == PyArray_NBYTES(other)):
        from fastnn.reference import _check
        _check.apart(name, a, other_name, other, same)
    return 0


cdef inline bint are_labels(cnp.ndarray a, Py_ssize_t rows, Py_ssize_t classes) noexcept:
    """Labels (rows,) below `classes` that kernels can read as they are."""
    cdef const Py_ssize_t *label
    cdef Py_ssize_t i = 0
    if (PyArray_TYPE(a) != NPY_INTP or not PyArray_ISCARRAY_RO(a) or PyArray_NDIM(a) != 1
            or PyArray_DIM(a, 0) != rows):
        return False
    label = <const Py_ssize_t *> PyArray_DATA(a)
    while i < rows and 0 <= label[i] < classes:
        i += 1
    return i == rows


cdef inline cnp.ndarray label_array(str name, object target, Py_ssize_t rows, Py_ssize_t classes):
    """Integer labels (rows,) below `classes` as intp; None where the target holds reals."""
    if PyArray_CheckExact(target) and are_labels(<cnp.ndarray> target, rows, classes):
        return <cnp.ndarray> target
    import numpy as np

    from fastnn.reference import _check
    if isinstance(target, np.ndarray):
        _check.plain(name, target)
        target = np.asarray(target)  # as in `checked`
    return _check.labels(name, target, rows, classes)


cdef inline cnp.ndarray new_like(cnp.ndarray like):
    return PyArray_EMPTY(PyArray_NDIM(like), PyArray_DIMS(like), PyArray_TYPE(like), 0)


cdef inline cnp.ndarray new_matrix(cnp.ndarray like, Py_ssize_t rows, Py_ssize_t columns):
    cdef npy_intp[2] shape
    shape[0] = rows
    shape[1] = columns
    return PyArray_EMPTY(2, shape, PyArray_TYPE(like), 0)


cdef inline cnp.ndarray new_vector(cnp.ndarray like, Py_ssize_t n):
    cdef npy_intp shape = n
    return PyArray_EMPTY(1, &shape, PyArray_TYPE(like), 0)


cdef inline void *data(cnp.ndarray a) noexcept nogil:
    """Address of the first element; NULL for None."""
    return NULL if a is None else PyArray_DATA(a)
