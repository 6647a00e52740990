# Declarations of src_c/cpu/fpenv.h. Not in fnn.pxd, which others cimport: only fnn.h is installed.

from libc.stdint cimport uint64_t


cdef extern from "cpu/fpenv.h" nogil:
    ctypedef uint64_t fnn_fpenv

    fnn_fpenv fnn_fpenv_now()
    void fnn_fpenv_set(fnn_fpenv to)
    void fnn_fpenv_go(fnn_fpenv to, fnn_fpenv from_)
    fnn_fpenv fnn_fpenv_within(fnn_fpenv outside, int denormals)
