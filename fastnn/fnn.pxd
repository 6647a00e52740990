# Declarations of src_c/fnn.h. `cimport fastnn.fnn` gives Cython code the kernel tables' types; _core has the tables.

from libc.stdint cimport int64_t, uint32_t, uint64_t


cdef extern from "fnn.h" nogil:
    enum:
        FNN_F32, FNN_F64
        FNN_ISA_BASE, FNN_N_ISAS
        FNN_N_ACTIVATIONS, FNN_N_LOSSES, FNN_N_UPDATES
        FNN_GEMM_AUTO, FNN_GEMM_OWN, FNN_GEMM_BLAS
        FNN_MAX_THREADS, FNN_SHUFFLE
        # Activations, losses and updates: one name for each row of fnn_ops.def.
        FNN_identity, FNN_sigmoid, FNN_tanh, FNN_relu, FNN_leaky_relu, FNN_elu, FNN_softplus, FNN_gelu, FNN_silu
        FNN_softmax, FNN_step
        FNN_softmax_cross_entropy, FNN_sigmoid_cross_entropy, FNN_squared_error
        FNN_sgd_update, FNN_momentum_update, FNN_nesterov_update, FNN_averaged_momentum_update
        FNN_rmsprop_update, FNN_adagrad_update, FNN_adam_update, FNN_adamw_update

    ctypedef struct fnn_stream:
        uint64_t seed
        uint32_t layer
        uint32_t step

    ctypedef struct fnn_hyper:
        double lr
        double beta1
        double beta2
        double epsilon
        double weight_decay
        double l2
        double scale
        int epsilon_hat

    ctypedef struct fnn_targets:
        const void *target
        const Py_ssize_t *labels
        const void *weight
        const Py_ssize_t *rows
        double scale
        double bound

    ctypedef void (*fnn_activation_fn)(void *, const void *, double, Py_ssize_t, Py_ssize_t) noexcept nogil
    ctypedef void (*fnn_slope_fn)(
        void *, const void *, const void *, const void *, double, Py_ssize_t, Py_ssize_t) noexcept nogil
    ctypedef double (*fnn_loss_fn)(void *, const void *, const fnn_targets *, Py_ssize_t, Py_ssize_t) noexcept nogil
    ctypedef void (*fnn_update_fn)(
        void *, const void *, void *, void *, const fnn_hyper *, Py_ssize_t) noexcept nogil
    ctypedef int (*fnn_gemm_fn)(
        int, int, int, Py_ssize_t, Py_ssize_t, Py_ssize_t, const void *, Py_ssize_t, const void *, Py_ssize_t,
        double, void *, Py_ssize_t) noexcept nogil
    ctypedef void (*fnn_task_fn)(void *, Py_ssize_t, int) noexcept nogil
    ctypedef void (*fnn_parallel_fn)(fnn_task_fn, void *, Py_ssize_t, int) noexcept nogil

    ctypedef struct fnn_kernels:
        fnn_activation_fn *activation_forward
        fnn_slope_fn *activation_backward
        fnn_loss_fn *loss
        fnn_update_fn *update
        void transpose(void *, const void *, Py_ssize_t, Py_ssize_t) noexcept nogil
        void fill_rows(void *, const void *, Py_ssize_t, Py_ssize_t) noexcept nogil
        void column_sums(void *, const void *, const void *, const Py_ssize_t *, int,
                         Py_ssize_t, Py_ssize_t) noexcept nogil
        void add_outer(void *, const void *, const void *, const Py_ssize_t *, double,
                       Py_ssize_t, Py_ssize_t) noexcept nogil
        void random_words(uint32_t *, Py_ssize_t, Py_ssize_t, Py_ssize_t, const fnn_stream *) noexcept nogil
        void dropout(void *, const void *, double, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                     const fnn_stream *) noexcept nogil
        void all_finite(int *, const void *, Py_ssize_t) noexcept nogil
        int size

    ctypedef struct fnn_activation_info:
        const char *name
        double alpha
        int needs_z
        int differentiable

    const fnn_activation_info *fnn_activations
    const char **fnn_losses
    const char **fnn_updates
    int *fnn_update_slots

    const char *fnn_isa_name(int isa)
    int fnn_isa_available(int isa)
    int fnn_isa_best()
    const fnn_kernels *fnn_kernels_for(int isa, int dtype)
    void fnn_gate_open()
    void fnn_gate_close()
    void fnn_gate_enter()
    void fnn_gate_leave()
    void fnn_parallel(fnn_task_fn task, void *context, Py_ssize_t n_tasks, int n_threads)
    void fnn_hyper_fold(fnn_hyper *h, int64_t t)
    double fnn_kl_row(int dtype, void *row, Py_ssize_t n, double scale, double rho, double beta)
    void fnn_permutation(const fnn_kernels *kernels, const fnn_stream *stream, Py_ssize_t n, Py_ssize_t *out,
                         uint64_t *scratch)
