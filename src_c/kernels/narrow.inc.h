/* Products for narrow layers, whose rows are shorter than a vector: here the lanes are rows of the batch. A block of R rows is
   kept with one feature a line, (n, R), R a whole number of vectors. Every element of an output is the same chain of
   multiply-adds, in the same order, as in dense.inc.h. Generates narrow_forward, narrow_input_gradient,
   narrow_weight_gradient, narrow_bias_gradient, narrow_pack. */

/* z (O, R) = W transposed x (I, R) + b */
static void KERNEL(narrow_forward)(void *z, const void *x, const void *w, const void *b, ptrdiff_t R, ptrdiff_t I,
                                   ptrdiff_t O) {
    const KERNEL(product) p = {.a = w, .b = x, .row_bias = b, .c = z, .lda = O, .ldb = R, .ldc = R, .K = I};
    KERNEL(product_rows)(&p, 0, O, R, 1, KERNEL(in_place));
}

/* dx (I, R) = W dz (O, R) */
static void KERNEL(narrow_input_gradient)(void *dx, const void *dz, const void *w, ptrdiff_t R, ptrdiff_t I,
                                          ptrdiff_t O) {
    const KERNEL(product) p = {.a = w, .b = dz, .c = dx, .lda = O, .ldb = R, .ldc = R, .K = O};
    KERNEL(product_rows)(&p, 0, I, R, 0, KERNEL(in_place));
}

/* Height of the tile of sums that narrow_weight_gradient keeps in registers; its width is 4. */
#define FNN_NARROW_ROWS (FNN_VBYTES == 64 ? 4 : 2)

/* dw[i, o] for MI lines of x from i0 on and MO lines of dz from o0 on: the sums stay in registers over all blocks. */
FNN_INLINE void KERNEL(narrow_tile)(real *dw, const real *x, const real *dz, const fnn_blocks *blocks, ptrdiff_t I,
                                    ptrdiff_t O, ptrdiff_t i0, ptrdiff_t o0, const int MI, const int MO) {
    vec sum[4][4];
#pragma GCC unroll 4
    for (int i = 0; i < MI; i++)
#pragma GCC unroll 4
        for (int o = 0; o < MO; o++)
            sum[i][o] = KERNEL(set1)(C(0.0));
    for (ptrdiff_t block = 0; block < blocks->n; block++) {
        const ptrdiff_t R = block < blocks->n - 1 ? blocks->rows : blocks->last, start = block * blocks->rows;
        const real *xb = x + start * I + i0 * R, *db = dz + start * O + o0 * R;
        for (ptrdiff_t r = 0; r < R; r += VL) {
            vec d[4];
#pragma GCC unroll 4
            for (int o = 0; o < MO; o++)
                d[o] = KERNEL(load)(db + o * R + r);
#pragma GCC unroll 4
            for (int i = 0; i < MI; i++) {
                const vec v = KERNEL(load)(xb + i * R + r);
#pragma GCC unroll 4
                for (int o = 0; o < MO; o++)
                    sum[i][o] += v * d[o];
            }
        }
    }
#pragma GCC unroll 4
    for (int i = 0; i < MI; i++)
#pragma GCC unroll 4
        for (int o = 0; o < MO; o++) {
            real *to = dw + i * O + o0 + o;
            *to = KERNEL(sum_lanes)(sum[i][o]);
        }
}

FNN_INLINE void KERNEL(narrow_lines)(real *dw, const real *x, const real *dz, const fnn_blocks *blocks, ptrdiff_t I,
                                     ptrdiff_t O, ptrdiff_t i, const int MI) {
    ptrdiff_t o = 0;
    for (; o + 4 <= O; o += 4)
        KERNEL(narrow_tile)(dw, x, dz, blocks, I, O, i, o, MI, 4);
    for (; o + 2 <= O; o += 2)
        KERNEL(narrow_tile)(dw, x, dz, blocks, I, O, i, o, MI, 2);
    if (o < O)
        KERNEL(narrow_tile)(dw, x, dz, blocks, I, O, i, o, MI, 1);
}

/* dw (I, O) = x (I, R) times dz (O, R) transposed, summed over the blocks */
static void KERNEL(narrow_weight_gradient)(void *dw_, const void *x, const void *dz, const fnn_blocks *blocks,
                                           ptrdiff_t I, ptrdiff_t O) {
    real *dw = dw_;
    ptrdiff_t i = 0;
    for (; i + FNN_NARROW_ROWS <= I; i += FNN_NARROW_ROWS)
        KERNEL(narrow_lines)(dw + i * O, x, dz, blocks, I, O, i, FNN_NARROW_ROWS);
    for (; i < I; i++)
        KERNEL(narrow_lines)(dw + i * O, x, dz, blocks, I, O, i, 1);
}

/* db (O,) = sums of the lines of dz (O, R) over the blocks */
static void KERNEL(narrow_bias_gradient)(void *db_, const void *dz, const fnn_blocks *blocks, ptrdiff_t O) {
    real *db = db_;
    for (ptrdiff_t o = 0; o < O; o++) {
        vec sum = KERNEL(set1)(C(0.0));
        for (ptrdiff_t block = 0; block < blocks->n; block++) {
            const ptrdiff_t R = block < blocks->n - 1 ? blocks->rows : blocks->last;
            const real *line = (const real *)dz + block * blocks->rows * O + o * R;
            for (ptrdiff_t r = 0; r < R; r += VL)
                sum += KERNEL(load)(line + r);
        }
        db[o] = KERNEL(sum_lanes)(sum);
    }
}

/* dst (n, R) = x[rows] (B, n) turned over; the lanes from B to R repeat the last row, or are zero. */
static void KERNEL(narrow_pack)(void *dst_, const void *x, const ptrdiff_t *rows, int repeat, ptrdiff_t B, ptrdiff_t R,
                                ptrdiff_t n) {
    real *dst = dst_;
    KERNEL(turn)(dst, R, x, n, rows, B, n);
    for (ptrdiff_t j = 0; j < n; j++)
        for (ptrdiff_t r = B; r < R; r++)
            dst[j * R + r] = repeat ? dst[j * R + B - 1] : C(0.0);
}

/* dst (B, n) = the first B lanes of x (n, R) turned over */
static void KERNEL(narrow_unpack)(void *dst, const void *x, ptrdiff_t B, ptrdiff_t R, ptrdiff_t n) {
    KERNEL(turn)(dst, n, x, R, NULL, n, B);
}
