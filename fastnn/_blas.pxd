cdef int gemm(
    int dtype, int trans_a, int trans_b, Py_ssize_t M, Py_ssize_t N, Py_ssize_t K, const void *a, Py_ssize_t lda,
    const void *b, Py_ssize_t ldb, double beta, void *c, Py_ssize_t ldc) noexcept nogil
cdef bint fits(Py_ssize_t n) noexcept nogil
