from fastnn.fnn cimport fnn_kernels, fnn_parallel_fn
from fastnn.gemm cimport fnn_cpu

ctypedef struct Settings:
    int isa
    int gemm
    int n_threads
    int denormals
    const fnn_cpu *cpu  # never changed: other facts are another struct

# The choices in force, and the kernels of the chosen instruction set by dtype. Read at every call, changed by set_isa
# and its like.
cdef Settings settings
cdef const fnn_kernels *active[2]
cdef fnn_parallel_fn parallel
