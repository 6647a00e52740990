"""Row-major matrix products over SciPy's BLAS: the one place that names BLAS.

A product passes the gate of gate.c, which is closed when the interpreter exits.
"""

import atexit
from scipy.linalg.cython_blas cimport dgemm, sgemm

from fastnn._blas_int cimport blas_int
from fastnn.fnn cimport FNN_F32, fnn_gate_close, fnn_gate_enter, fnn_gate_leave, fnn_gate_open


def _close_gate():
    with nogil:
        fnn_gate_close()


fnn_gate_open()
atexit.register(_close_gate)


cdef bint fits(Py_ssize_t n) noexcept nogil:
    """Whether n is a size for this BLAS: the one conversion from Py_ssize_t to its integers."""
    return 0 <= n and <Py_ssize_t> <blas_int> n == n


cdef int gemm(
    int dtype, int trans_a, int trans_b, Py_ssize_t M, Py_ssize_t N, Py_ssize_t K, const void *a, Py_ssize_t lda,
    const void *b, Py_ssize_t ldb, double beta, void *c, Py_ssize_t ldc
) noexcept nogil:
    """c = op(a) op(b) + beta c; -1, with nothing written, where a size does not fit (fnn_gemm_fn in fnn.h).

    BLAS counts columns first: row-major c is its transpose, op(b)' op(a)'.
    """
    if not (fits(M) and fits(N) and fits(K) and fits(lda) and fits(ldb) and fits(ldc)):
        return -1
    if M == 0 or N == 0:
        return 0
    cdef blas_int m = <blas_int> N, n = <blas_int> M, k = <blas_int> K
    # A leading dimension of 0 is refused by BLAS even where there is nothing to read.
    cdef blas_int ld_a = <blas_int> max(lda, 1), ld_b = <blas_int> max(ldb, 1), ld_c = <blas_int> max(ldc, 1)
    cdef char *op_a = b"T" if trans_a else b"N"
    cdef char *op_b = b"T" if trans_b else b"N"
    cdef float one_s = 1, beta_s = <float> beta
    cdef double one_d = 1
    fnn_gate_enter()
    if dtype == FNN_F32:
        sgemm(op_b, op_a, &m, &n, &k, &one_s, <float *> b, &ld_b, <float *> a, &ld_a, &beta_s, <float *> c, &ld_c)
    else:
        dgemm(op_b, op_a, &m, &n, &k, &one_d, <double *> b, &ld_b, <double *> a, &ld_a, &beta, <double *> c, &ld_c)
    fnn_gate_leave()
    return 0
