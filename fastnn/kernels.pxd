# For Cython code: the kernels without Python between. Compile with `fastnn.get_include()` among the include folders.
#
#     from fastnn.fnn cimport FNN_F32, FNN_relu, fnn_kernels
#     from fastnn.kernels cimport affine, table
#
#     affine(FNN_F32, y, x, w, b, B, I, O)                            # y (B, O) = x (B, I) w (I, O) + b (O,)
#     table(FNN_F32).activation_forward[FNN_relu](y, y, 0.0, B, O)    # in place
#
# Pointers are to contiguous row-major reals of the dtype; nothing is checked. Both are safe without the GIL and from
# any thread. What each entry of the table takes is said in fnn.h and fnn_ops.def.

from fastnn.fnn cimport fnn_kernels

# The kernels of the instruction set in force for FNN_F32 or FNN_F64. Ask again after fastnn.isa(…).
cdef const fnn_kernels *table(int dtype) noexcept nogil

# By own kernel or BLAS, whichever is in force for this shape; b may be NULL.
cdef void affine(
    int dtype, void *y, const void *x, const void *w, const void *b, Py_ssize_t B, Py_ssize_t I, Py_ssize_t O
) noexcept nogil
