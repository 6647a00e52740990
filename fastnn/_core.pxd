from fastnn.fnn cimport fnn_kernels, fnn_parallel_fn

ctypedef struct Settings:
    int isa
    int gemm
    int n_threads

# The choices in force, and the kernels of the chosen instruction set by dtype. Read at every call, changed by set_isa
# and its like.
cdef Settings settings
cdef const fnn_kernels *active[2]
cdef fnn_parallel_fn parallel
