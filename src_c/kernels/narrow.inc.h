/* Products for narrow layers, whose rows are shorter than a vector: here the lanes are rows of the batch. A block of R rows is
   kept with one feature a line, (n, R), R a whole number of vectors. Every element of an output is one chain of
   multiply-adds over k in order; dense.inc.h may sum the last columns otherwise. Generates narrow_forward, narrow_input_gradient,
   narrow_parameter_gradient, narrow_pack, narrow_unpack. */

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

/* The tile of sums that narrow_parameter_gradient keeps in registers; where it has biases its width is 4. */
#define FNN_NARROW_ROWS (FNN_VBYTES == 64 ? 4 : 2)
#define FNN_NARROW_COLUMNS (FNN_VBYTES == 64 ? 6 : 4)

/* dw[i, o] for MI lines of x from i0 on and MO lines of dz from o0 on: the sums stay in registers over all blocks. With
   biases, which are sums of what is loaded anyway, db[o] too. */
FNN_INLINE void KERNEL(narrow_tile)(real *dw, real *db, const real *x, const real *dz, const fnn_blocks *blocks,
                                    ptrdiff_t I, ptrdiff_t O, ptrdiff_t i0, ptrdiff_t o0, const int MI, const int MO,
                                    const int biases) {
    vec sum[FNN_NARROW_ROWS + 1][FNN_NARROW_COLUMNS]; /* the last row: of dz itself */
#pragma GCC unroll 8
    for (int i = 0; i < MI + biases; i++)
#pragma GCC unroll 6
        for (int o = 0; o < MO; o++)
            sum[i][o] = KERNEL(set1)(C(0.0));
    for (ptrdiff_t block = 0; block < blocks->n; block++) {
        const ptrdiff_t R = block < blocks->n - 1 ? blocks->rows : blocks->last, start = block * blocks->rows;
        const real *xb = x + start * I + i0 * R, *d_lines = dz + start * O + o0 * R;
        for (ptrdiff_t r = 0; r < R; r += VL) {
            vec d[FNN_NARROW_COLUMNS];
#pragma GCC unroll 6
            for (int o = 0; o < MO; o++)
                d[o] = KERNEL(load)(d_lines + o * R + r);
#pragma GCC unroll 4
            for (int i = 0; i < MI; i++) {
                const vec v = KERNEL(load)(xb + i * R + r);
#pragma GCC unroll 6
                for (int o = 0; o < MO; o++)
                    sum[i][o] += v * d[o];
            }
#pragma GCC unroll 6
            for (int o = 0; o < MO * biases; o++)
                sum[MI][o] += d[o];
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < MI + biases; i++) {
        real *to = (i < MI ? dw + i * O : db) + o0;
        enum { S = KERNEL(square) };
        int o = 0;
#pragma GCC unroll 4
        for (; o + S <= MO; o += S) {
            KERNEL(quad) parts[S];
#pragma GCC unroll 4
            for (int m = 0; m < S; m++)
                parts[m] = KERNEL(fold)(sum[i][o + m]);
            const KERNEL(quad) sums = KERNEL(join_lanes)(parts, KERNEL(quad_sum));
            memcpy(to + o, &sums, sizeof sums);
        }
#pragma GCC unroll 4
        for (; o < MO; o++)
            to[o] = KERNEL(sum_lanes)(sum[i][o]);
    }
}

FNN_INLINE void KERNEL(narrow_lines)(real *dw, real *db, const real *x, const real *dz, const fnn_blocks *blocks,
                                     ptrdiff_t I, ptrdiff_t O, ptrdiff_t i, const int MI, const int biases) {
    ptrdiff_t o = 0;
    for (; !biases && o + FNN_NARROW_COLUMNS <= O; o += FNN_NARROW_COLUMNS)
        KERNEL(narrow_tile)(dw, db, x, dz, blocks, I, O, i, o, MI, FNN_NARROW_COLUMNS, biases);
    for (; o + 4 <= O; o += 4)
        KERNEL(narrow_tile)(dw, db, x, dz, blocks, I, O, i, o, MI, 4, biases);
    for (; o + 2 <= O; o += 2)
        KERNEL(narrow_tile)(dw, db, x, dz, blocks, I, O, i, o, MI, 2, biases);
    if (o < O)
        KERNEL(narrow_tile)(dw, db, x, dz, blocks, I, O, i, o, MI, 1, biases);
}

/* dw (I, O) = x (I, R) times dz (O, R) transposed, db (O,) = sums of the lines of dz, over all blocks */
static void KERNEL(narrow_parameter_gradient)(void *dw_, void *db, const void *x, const void *dz,
                                              const fnn_blocks *blocks, ptrdiff_t I, ptrdiff_t O) {
    real *dw = dw_;
    ptrdiff_t i = I % FNN_NARROW_ROWS;
    /* The biases go with the first lines, single ones if there are any. */
    for (ptrdiff_t single = 0; single < i; single++)
        if (single == 0)
            KERNEL(narrow_lines)(dw, db, x, dz, blocks, I, O, 0, 1, 1);
        else
            KERNEL(narrow_lines)(dw + single * O, NULL, x, dz, blocks, I, O, single, 1, 0);
    if (i == 0) {
        KERNEL(narrow_lines)(dw, db, x, dz, blocks, I, O, 0, FNN_NARROW_ROWS, 1);
        i = FNN_NARROW_ROWS;
    }
    for (; i < I; i += FNN_NARROW_ROWS)
        KERNEL(narrow_lines)(dw + i * O, NULL, x, dz, blocks, I, O, i, FNN_NARROW_ROWS, 0);
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
