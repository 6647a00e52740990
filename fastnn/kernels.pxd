# For Cython code: products by own kernels or BLAS, whichever is in force. Needs the dtype's table from fastnn._core.

from fastnn.fnn cimport fnn_kernels

cdef void affine(
    int dtype, void *y, const void *x, const void *w, const void *b, Py_ssize_t B, Py_ssize_t I, Py_ssize_t O
) noexcept nogil
