/* The products of a layer, for the engine and fastnn.kernels alike: one function chooses the way a product goes (choice.c), one
   each carries out the three products (product.c). Knows no dtype and no instruction set beyond their numbers. */
#ifndef FNN_GEMM_H
#define FNN_GEMM_H

#include "../cpu/facts.h"
#include "../fnn.h"

/* Whose products: the kernels and BLAS that make them, and what decides between the two. */
typedef struct fnn_maker {
    const fnn_kernels *kernels;
    fnn_gemm_fn blas;
    const fnn_cpu *cpu;
    int dtype, isa, mode; /* FNN_GEMM_AUTO … */
    int alone;            /* products of kernel calls, not of a network */
} fnn_maker;

/* Y = X W, dX = dZ W', dW = X' dZ; M, K, N as BLAS counts them (K is summed over). */
enum { FNN_FORWARD, FNN_INPUT_GRADIENT, FNN_WEIGHT_GRADIENT };

typedef struct fnn_choice {
    int blas;
    int dots;              /* an own input gradient goes row by row, as dot products with those of W */
    int flipped;           /* it leaves W as it stands and turns dz over instead, where there is room for that */
    fnn_blocking blocking; /* of an own product */
} fnn_choice;

fnn_choice fnn_choose(const fnn_maker *maker, int product, ptrdiff_t M, ptrdiff_t K, ptrdiff_t N);

/* Whether BLAS makes any product at all, of whatever shape. */
int fnn_ever_blas(const fnn_maker *maker);

/* Fills in which row of limits serves a CPU, and its name, for people. */
void fnn_find_limits(fnn_cpu *cpu);
const char *fnn_family_name(const fnn_cpu *cpu);

/* A weight gradient is made for at most FNN_GRADIENT_ROWS rows of dw (columns of x) at a time. Returns the reals of room that
   copies of their part of x need, for n_in columns and a batch of B. */
enum { FNN_GRADIENT_ROWS = 192 };
static inline ptrdiff_t fnn_weight_gradient_room(ptrdiff_t n_in, ptrdiff_t B) {
    enum { TILE = 8 }; /* rows of the highest tile, to whole ones of which n_in is rounded up */
    return ((n_in < FNN_GRADIENT_ROWS ? n_in : FNN_GRADIENT_ROWS) + TILE) * (B < FNN_GRADIENT_K ? B : FNN_GRADIENT_K);
}

/* z (B, n_out) = x (B, n_in) w (n_in, n_out) + b (n_out,), NULL for none. rows: where those of x are brought from; NULL where
   they are there. */
void fnn_forward(const fnn_maker *maker, void *z, const void *x, const fnn_rows *rows, const void *w, const void *b,
                 ptrdiff_t B, ptrdiff_t n_in, ptrdiff_t n_out);
/* Columns o0 to o1 of it, always by own kernels. */
void fnn_forward_columns(const fnn_maker *maker, void *z, const void *x, const void *w, const void *b, ptrdiff_t B,
                         ptrdiff_t n_in, ptrdiff_t n_out, ptrdiff_t o0, ptrdiff_t o1);

/* dx (B, n_in) = dz (B, n_out) times w (n_in, n_out) transposed. wt: w transposed (n_out, n_in), or NULL; it is wanted where
   fnn_wants_transposed says so, and then spares turning w over for every block of rows. room: for fnn_input_gradient_room, or
   NULL. */
void fnn_input_gradient_product(const fnn_maker *maker, void *dx, const void *dz, const void *w, const void *wt,
                                ptrdiff_t B, ptrdiff_t n_in, ptrdiff_t n_out, void *room);
void fnn_input_gradient_columns(const fnn_maker *maker, void *dx, const void *dz, const void *w, const void *wt,
                                ptrdiff_t B, ptrdiff_t n_in, ptrdiff_t n_out, ptrdiff_t i0, ptrdiff_t i1, void *room);
/* Reals of room for dz turned over, 0 where W is. For columns the room holds the panels of dz (fnn_ops.def) already. */
ptrdiff_t fnn_input_gradient_room(const fnn_maker *maker, ptrdiff_t B, ptrdiff_t n_in, ptrdiff_t n_out);
/* How many rows of w it then reads again and again while they are near. */
ptrdiff_t fnn_flipped_rows(const fnn_maker *maker, ptrdiff_t n_out);
int fnn_wants_transposed(const fnn_maker *maker, ptrdiff_t B, ptrdiff_t n_in, ptrdiff_t n_out);

/* dw (n_in, n_out) = x (B, n_in) transposed times dz (B, n_out), + dw itself when accumulate; room for
   fnn_weight_gradient_room, or NULL. */
void fnn_weight_gradient(const fnn_maker *maker, void *dw, const void *x, const void *dz, int accumulate, ptrdiff_t B,
                         ptrdiff_t n_in, ptrdiff_t n_out, void *room);
/* Rows i0 to i1 and columns o0 to o1 of it, always by own kernels, into dw (i1 - i0, o1 - o0) of
   leading dimension ldw. */
void fnn_weight_gradient_part(const fnn_maker *maker, void *dw, ptrdiff_t ldw, const void *x, const void *dz,
                              int accumulate, ptrdiff_t B, ptrdiff_t n_in, ptrdiff_t n_out, ptrdiff_t i0, ptrdiff_t i1,
                              ptrdiff_t o0, ptrdiff_t o1, void *room);

#endif
