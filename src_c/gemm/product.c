/* The three products of a layer (gemm.h). A product that BLAS cannot make, because a size does not fit its integers, is made by
   own kernels. */

#include "gemm.h"

static inline void forward(const fnn_maker *maker, const fnn_blocking *blocking, void *z, const void *x,
                           const fnn_rows *rows, const void *w, const void *b, ptrdiff_t B, ptrdiff_t I, ptrdiff_t O,
                           ptrdiff_t o0, ptrdiff_t o1) {
    const ptrdiff_t at = o0 * maker->kernels->size;
    const fnn_product p = {.c = (char *)z + at,
                           .a = x,
                           .b = (const char *)w + at,
                           .bias = b ? (const char *)b + at : NULL,
                           .rows = rows,
                           .M = B,
                           .K = I,
                           .N = o1 - o0,
                           .lda = I,
                           .ldb = O,
                           .ldc = O,
                           .blocking = *blocking};
    maker->kernels->gemm_nn(&p);
}

void fnn_forward_columns(const fnn_maker *maker, void *z, const void *x, const void *w, const void *b, ptrdiff_t B,
                         ptrdiff_t I, ptrdiff_t O, ptrdiff_t o0, ptrdiff_t o1) {
    const fnn_choice choice = fnn_choose(maker, FNN_FORWARD, B, I, O);
    forward(maker, &choice.blocking, z, x, NULL, w, b, B, I, O, o0, o1);
}

void fnn_forward(const fnn_maker *maker, void *z, const void *x, const fnn_rows *rows, const void *w, const void *b,
                 ptrdiff_t B, ptrdiff_t I, ptrdiff_t O) {
    const fnn_choice choice = fnn_choose(maker, FNN_FORWARD, B, I, O);
    if (choice.blas) {
        if (rows)
            maker->kernels->gather((void *)x, rows, I);
        maker->kernels->fill_rows(z, b, B, O);
        if (maker->blas(maker->dtype, 0, 0, B, O, I, x, I, w, O, 1.0, z, O) == 0)
            return;
    }
    forward(maker, &choice.blocking, z, x, rows, w, b, B, I, O, 0, O);
}

void fnn_input_gradient_columns(const fnn_maker *maker, void *dx, const void *dz, const void *w, const void *wt,
                                ptrdiff_t B, ptrdiff_t I, ptrdiff_t O, ptrdiff_t i0, ptrdiff_t i1, void *room) {
    const ptrdiff_t size = maker->kernels->size;
    fnn_product p = {.c = (char *)dx + i0 * size,
                     .a = dz,
                     .M = B,
                     .K = O,
                     .N = i1 - i0,
                     .lda = O,
                     .ldc = I,
                     .room = room,
                     .blocking = fnn_choose(maker, FNN_INPUT_GRADIENT, B, O, I).blocking};
    if (room)
        p.blocking.m = fnn_flipped_rows(maker, O);
    if (wt) {
        p.b = (const char *)wt + i0 * size;
        p.ldb = I;
        maker->kernels->gemm_nn(&p);
    } else {
        p.b = (const char *)w + i0 * O * size;
        p.ldb = O;
        maker->kernels->gemm_nt(&p);
    }
}

void fnn_input_gradient_product(const fnn_maker *maker, void *dx, const void *dz, const void *w, const void *wt,
                                ptrdiff_t B, ptrdiff_t I, ptrdiff_t O, void *room) {
    const fnn_choice choice = fnn_choose(maker, FNN_INPUT_GRADIENT, B, O, I);
    if (choice.blas && maker->blas(maker->dtype, 0, 1, B, I, O, dz, O, w, O, 0.0, dx, I) == 0)
        return;
    if (!choice.dots) {
        if (room)
            maker->kernels->panels(room, dz, B, O);
        fnn_input_gradient_columns(maker, dx, dz, w, wt, B, I, O, 0, I, room);
        return;
    }
    const ptrdiff_t size = maker->kernels->size;
    for (ptrdiff_t i = 0; i < B; i++) { /* W times a row of dz */
        const fnn_product p = {.c = (char *)dx + i * I * size,
                               .a = w,
                               .b = (const char *)dz + i * O * size,
                               .M = I,
                               .K = O,
                               .N = 1,
                               .lda = O,
                               .ldb = 1,
                               .ldc = 1};
        maker->kernels->gemm_nn(&p);
    }
}

int fnn_wants_transposed(const fnn_maker *maker, ptrdiff_t B, ptrdiff_t I, ptrdiff_t O) {
    const fnn_choice choice = fnn_choose(maker, FNN_INPUT_GRADIENT, B, O, I);
    return !choice.blas && !choice.blocking.packed && !choice.flipped;
}

ptrdiff_t fnn_input_gradient_room(const fnn_maker *maker, ptrdiff_t B, ptrdiff_t I, ptrdiff_t O) {
    return fnn_choose(maker, FNN_INPUT_GRADIENT, B, O, I).flipped ? B * O : 0;
}

void fnn_weight_gradient_part(const fnn_maker *maker, void *dw, ptrdiff_t ldw, const void *x, const void *dz,
                              int accumulate, ptrdiff_t B, ptrdiff_t I, ptrdiff_t O, ptrdiff_t i0, ptrdiff_t i1,
                              ptrdiff_t o0, ptrdiff_t o1, void *room) {
    const ptrdiff_t size = maker->kernels->size;
    fnn_product p = {.c = dw,
                     .a = (const char *)x + i0 * size,
                     .b = (const char *)dz + o0 * size,
                     .accumulate = accumulate,
                     .K = B,
                     .N = o1 - o0,
                     .lda = I,
                     .ldb = O,
                     .ldc = ldw,
                     .room = room,
                     .blocking = fnn_choose(maker, FNN_WEIGHT_GRADIENT, I, B, O).blocking};
    for (; i0 < i1; i0 += p.M) { /* as many rows at a time as there is room for */
        p.M = i1 - i0 < FNN_GRADIENT_ROWS ? i1 - i0 : FNN_GRADIENT_ROWS;
        maker->kernels->gemm_tn(&p);
        p.a = (const char *)p.a + p.M * size;
        p.c = (char *)p.c + p.M * ldw * size;
    }
}

void fnn_weight_gradient(const fnn_maker *maker, void *dw, const void *x, const void *dz, int accumulate, ptrdiff_t B,
                         ptrdiff_t I, ptrdiff_t O, void *room) {
    if (fnn_choose(maker, FNN_WEIGHT_GRADIENT, I, B, O).blas &&
        maker->blas(maker->dtype, 1, 0, I, O, B, x, I, dz, O, accumulate ? 1.0 : 0.0, dw, O) == 0)
        return;
    fnn_weight_gradient_part(maker, dw, O, x, dz, accumulate, B, I, O, 0, I, 0, O, room);
}
