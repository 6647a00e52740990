/* Arrays as callers bring them: elements of any type, anywhere in memory. Seen by engine.pyx; knows neither Python nor NumPy. */
#ifndef FNN_ARGUMENTS_H
#define FNN_ARGUMENTS_H

#include "elements.h"
#include "fnn.h"

typedef struct fnn_array {
    const char *data;
    ptrdiff_t rows, columns, row_stride, column_stride; /* strides in bytes, of any sign */
    int type, size;                                     /* FNN_ELEMENT_<name>; bytes of an element */
    int aligned, swapped;                               /* swapped: of the other byte order */
} fnn_array;

/* What is asked of numbers: nothing; all finite; all of 0 to 1, where -0 does not count; rows of these that sum to 1; weights,
   which are finite, not negative and not all zero. */
enum { FNN_ANY_NUMBERS, FNN_FINITE, FNN_PROBABILITIES, FNN_SHARES, FNN_WEIGHTS };

/* Whether a's columns are nearer together in memory than its rows. */
int fnn_is_turned(const fnn_array *a);
/* reals (rows, columns) = the elements of a, as the kernels' real. Returns whether they are `wanted`, one of the above; may stop
   where it finds that they are not. tolerance: of the sums of shares. room: as large as reals, where a is turned. */
int fnn_take_reals(const fnn_kernels *kernels, void *reals, const fnn_array *a, int wanted, double tolerance,
                   void *room);
/* The same question of reals (B, N). */
int fnn_are(const fnn_kernels *kernels, const void *reals, ptrdiff_t B, ptrdiff_t N, int wanted, double tolerance);
/* labels (rows * columns,) = the elements of a, which is of an integer type. Returns whether all are 0 to n_classes - 1. */
int fnn_take_labels(ptrdiff_t *labels, const fnn_array *a, ptrdiff_t n_classes);

#endif
