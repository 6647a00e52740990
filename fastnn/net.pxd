# Declarations of src_c/net.h, for engine.pyx.

from libc.stdint cimport int64_t, uint64_t

from fastnn._fpenv cimport fnn_fpenv
from fastnn.fnn cimport fnn_hyper, fnn_kernels, fnn_parallel_fn
from fastnn.gemm cimport fnn_cpu, fnn_maker


cdef extern from "net.h" nogil:
    ctypedef struct fnn_layer:
        Py_ssize_t n_in
        Py_ssize_t n_out
        Py_ssize_t w
        Py_ssize_t b
        int activation
        double alpha
        double keep

    ctypedef struct fnn_net:
        int dtype
        int n_layers
        int loss
        int logits
        int l2_by_rows
        int l2_by_weight
        double loss_scale
        double bound
        double l2
        double rho
        double beta
        uint64_t seed
        fnn_layer *layers
        Py_ssize_t n_parameters
        Py_ssize_t widest
        Py_ssize_t chunk
        Py_ssize_t block

    ctypedef struct fnn_machine:
        fnn_maker maker
        fnn_parallel_fn parallel
        int n_threads
        fnn_fpenv outside
        fnn_fpenv inside
        int (*stop)(const fnn_machine *) noexcept nogil

    ctypedef struct fnn_watch:
        double work
        double looked

    ctypedef struct fnn_batch:
        const void *x
        const Py_ssize_t *rows
        const void *target
        const Py_ssize_t *labels
        const void *weight
        Py_ssize_t n
        Py_ssize_t following

    ctypedef struct fnn_optimizer:
        int update
        fnn_hyper hyper
        double clip
        void *slots

    enum:
        FNN_NO_DROPOUT

    void fnn_net_plan(fnn_net *net, const fnn_cpu *cpu, int real_size, int n_threads, Py_ssize_t n)
    Py_ssize_t fnn_net_bytes(const fnn_net *net, int real_size)
    int fnn_time_to_look(fnn_watch *watch, double work)
    int fnn_take(int *user, int process)
    void fnn_give_back(int *user)
    Py_ssize_t fnn_predict_scratch(const fnn_net *net, const fnn_machine *machine, Py_ssize_t n)
    int fnn_predict(const fnn_net *net, const fnn_machine *machine, const void *parameters, const void *x,
                    Py_ssize_t n, void *out, void **outputs, void *scratch)
    double fnn_step(const fnn_net *net, const fnn_machine *machine, void *parameters, void *gradients,
                    const fnn_optimizer *optimizer, const fnn_batch *batch, int64_t dropout_step, void *workspace)
    int fnn_input_gradient(const fnn_net *net, const fnn_machine *machine, const void *parameters, const void *x,
                           const void *dy, Py_ssize_t n, void *dx, void *wt0, void *workspace)
