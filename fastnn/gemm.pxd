# Declarations of src_c/cpu/facts.h and src_c/gemm/gemm.h, for our own extensions.

from fastnn.fnn cimport fnn_gemm_fn, fnn_kernels


cdef extern from "gemm/gemm.h" nogil:
    enum:
        FNN_N_VENDORS
        FNN_FORWARD, FNN_INPUT_GRADIENT, FNN_WEIGHT_GRADIENT

    ctypedef struct fnn_cpu:
        int vendor
        int family
        int model
        Py_ssize_t l1
        Py_ssize_t l2
        Py_ssize_t l3

    ctypedef struct fnn_maker:
        const fnn_kernels *kernels
        fnn_gemm_fn blas
        const fnn_cpu *cpu
        int dtype
        int isa
        int mode
        int alone

    ctypedef struct fnn_blocking:
        int packed

    ctypedef struct fnn_choice:
        int blas
        int flipped
        fnn_blocking blocking

    const char **fnn_vendors
    fnn_choice fnn_choose(const fnn_maker *maker, int product, Py_ssize_t M, Py_ssize_t K, Py_ssize_t N)
    void fnn_cpu_read(fnn_cpu *cpu)
    void fnn_find_limits(fnn_cpu *cpu)
    const char *fnn_family_name(const fnn_cpu *cpu)
    Py_ssize_t fnn_weight_gradient_room(Py_ssize_t I, Py_ssize_t B)
    void fnn_forward(
        const fnn_maker *maker, void *z, const void *x, const void *rows, const void *w, const void *b,
        Py_ssize_t B, Py_ssize_t I, Py_ssize_t O)
    Py_ssize_t fnn_input_gradient_room(const fnn_maker *maker, Py_ssize_t B, Py_ssize_t I, Py_ssize_t O)
    void fnn_input_gradient_product(
        const fnn_maker *maker, void *dx, const void *dz, const void *w, const void *wt,
        Py_ssize_t B, Py_ssize_t I, Py_ssize_t O, void *room)
    void fnn_weight_gradient(
        const fnn_maker *maker, void *dw, const void *x, const void *dz, int accumulate,
        Py_ssize_t B, Py_ssize_t I, Py_ssize_t O, void *room)
