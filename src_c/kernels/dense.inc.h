/* Products of row-major matrices for layers, from one register tile: MR x NV vectors of the result stay in registers while
   one element of the left operand after the other is broadcast and multiplied with a row of the right one. Nothing is packed
   or blocked, so operands should fit the second-level cache (fnn_use_blas sends larger ones to BLAS).

   Every element of a result is one chain of multiply-adds over k = 0, 1, 2 …, starting at the bias, whichever tile it falls
   into: a row's result does not depend on the other rows, and an element's sum not on how the work was divided.

   Measured on Zen 4, one core, limit 115 GFLOP/s in float32: see bench/. Generates gemm_nn, gemm_tn, gather,
   fill_rows, column_sums, add_outer. */

#if FNN_VBYTES == 64 /* 32 registers: 24 sums, 3 of b, broadcasts from memory */
#define FNN_TILE_ROWS 8
#define FNN_TILE_VECTORS 3
#elif FNN_VBYTES == 32 /* 16 registers: 12 sums, 2 of b, 1 broadcast */
#define FNN_TILE_ROWS 6
#define FNN_TILE_VECTORS 2
#else
#define FNN_TILE_ROWS 4
#define FNN_TILE_VECTORS 2
#endif

/* A single row's tile is as wide as it takes to hide the latency of a multiply-add. */
#define FNN_ROW_VECTORS 8

/* What a tile multiplies; the same for all tiles of a product but for the pointers. */
typedef struct KERNEL(product) {
    const real *a, *b, *bias; /* bias (N,), one a column, or NULL */
    const real *row_bias;     /* (M,), one a row, or NULL */
    real *c;
    const ptrdiff_t *rows; /* which rows of a, NULL for 0, 1, 2 … */
    ptrdiff_t lda, ldb, ldc, K;
    int accumulate;
} KERNEL(product);

/* How the last of a tile's vectors is filled. */
enum { KERNEL(whole), KERNEL(partial), KERNEL(halved) };

/* c[i + m, j + lanes] for m < MR and NV vectors, the last one with only `tail` lanes unless it is whole.
   transposed: element (m, k) of the left operand is a[k, i + m] instead of a[i + m, k]. */
FNN_INLINE void KERNEL(tile)(const KERNEL(product) * p, ptrdiff_t i, ptrdiff_t j, ptrdiff_t tail, const int MR,
                             const int NV, const int last, const int transposed) {
    vec sum[FNN_TILE_ROWS][FNN_ROW_VECTORS];
    half_vec half_sum[FNN_TILE_ROWS];
    const int whole = NV - (last != KERNEL(whole)), at_tail = whole * (int)VL;
    const real *b = p->b + j;
    const ptrdiff_t lda = p->lda, ldb = p->ldb, ldc = p->ldc, K = p->K, *rows = p->rows;
    real *c = p->c + i * ldc + j;

    /* Where the sums start: at c, at a bias, at zero. */
#pragma GCC unroll 8
    for (int m = 0; m < MR; m++) {
        const real *start = p->accumulate ? c + m * ldc : p->bias ? p->bias + j : NULL;
        const vec same = KERNEL(set1)(!p->accumulate && p->row_bias ? p->row_bias[i + m] : C(0.0));
#pragma GCC unroll 8
        for (int v = 0; v < whole; v++)
            sum[m][v] = start ? KERNEL(load)(start + v * VL) : same;
        if (last == KERNEL(partial))
            sum[m][whole] = start ? KERNEL(load_tail)(start + at_tail, tail) : same;
        if (last == KERNEL(halved))
            half_sum[m] = start ? KERNEL(load_half)(start + at_tail, tail) : (half_vec){0} + same[0];
    }

    const real *left[FNN_TILE_ROWS];
#pragma GCC unroll 8
    for (int m = 0; m < MR; m++)
        left[m] = transposed ? p->a + i + m : p->a + (rows ? rows[i + m] : i + m) * lda;

    for (ptrdiff_t k = 0; k < K; k++) {
        vec right[FNN_ROW_VECTORS];
        half_vec half_right;
#pragma GCC unroll 8
        for (int v = 0; v < whole; v++)
            right[v] = KERNEL(load)(b + v * VL);
        if (last == KERNEL(partial))
            right[whole] = KERNEL(load_tail)(b + at_tail, tail);
        if (last == KERNEL(halved))
            half_right = KERNEL(load_half)(b + at_tail, tail);
        const ptrdiff_t offset = transposed ? (rows ? rows[k] : k) * lda : k;
#pragma GCC unroll 8
        for (int m = 0; m < MR; m++) {
            const real element = transposed ? left[0][offset + m] : left[m][offset];
#pragma GCC unroll 8
            for (int v = 0; v < whole + (last == KERNEL(partial)); v++)
                sum[m][v] += element * right[v];
            if (last == KERNEL(halved))
                half_sum[m] += element * half_right;
        }
        b += ldb;
    }

#pragma GCC unroll 8
    for (int m = 0; m < MR; m++) {
        real *cm = c + m * ldc;
#pragma GCC unroll 8
        for (int v = 0; v < whole; v++)
            KERNEL(store)(cm + v * VL, sum[m][v]);
        if (last == KERNEL(partial))
            KERNEL(store_tail)(cm + at_tail, sum[m][whole], tail);
        if (last == KERNEL(halved))
            KERNEL(store_half)(cm + at_tail, half_sum[m], tail);
    }
}

typedef void (*KERNEL(tile_fn))(const KERNEL(product) *, ptrdiff_t, ptrdiff_t, ptrdiff_t);

/* Every tile that the edges of a product can need: all heights and widths, and ways to end. */
#define FNN_TILE(MR, NV, transposed) \
    static void KERNEL(tile_##transposed##_##MR##x##NV)(const KERNEL(product) * p, ptrdiff_t i, ptrdiff_t j, \
                                                        ptrdiff_t tail) { \
        if (!tail) \
            KERNEL(tile)(p, i, j, 0, MR, NV, KERNEL(whole), transposed); \
        else if (FNN_HAS_HALVES && tail <= VL / 2) \
            KERNEL(tile)(p, i, j, tail, MR, NV, KERNEL(halved), transposed); \
        else \
            KERNEL(tile)(p, i, j, tail, MR, NV, KERNEL(partial), transposed); \
    }
#if FNN_TILE_VECTORS == 3
#define FNN_TILES_OF(MR) \
    FNN_TILE(MR, 1, 0) FNN_TILE(MR, 2, 0) FNN_TILE(MR, 3, 0) FNN_TILE(MR, 1, 1) FNN_TILE(MR, 2, 1) FNN_TILE(MR, 3, 1)
#define FNN_TILE_NAMES(MR, transposed) \
    {KERNEL(tile_##transposed##_##MR##x1), KERNEL(tile_##transposed##_##MR##x2), KERNEL(tile_##transposed##_##MR##x3)}
#else
#define FNN_TILES_OF(MR) FNN_TILE(MR, 1, 0) FNN_TILE(MR, 2, 0) FNN_TILE(MR, 1, 1) FNN_TILE(MR, 2, 1)
#define FNN_TILE_NAMES(MR, transposed) {KERNEL(tile_##transposed##_##MR##x1), KERNEL(tile_##transposed##_##MR##x2)}
#endif

FNN_TILES_OF(1)
FNN_TILES_OF(2)
FNN_TILES_OF(4)
#if FNN_TILE_ROWS == 6
FNN_TILES_OF(6)
#elif FNN_TILE_ROWS == 8
FNN_TILES_OF(8)
#endif

#define FNN_ROW_TILES FNN_TILE(1, 4, 0) FNN_TILE(1, 5, 0) FNN_TILE(1, 6, 0) FNN_TILE(1, 7, 0) FNN_TILE(1, 8, 0)
FNN_ROW_TILES
#undef FNN_ROW_TILES
#if FNN_TILE_VECTORS == 2
FNN_TILE(1, 3, 0)
#endif

static const KERNEL(tile_fn) KERNEL(row_tiles)[FNN_ROW_VECTORS] = {
    KERNEL(tile_0_1x1), KERNEL(tile_0_1x2), KERNEL(tile_0_1x3), KERNEL(tile_0_1x4),
    KERNEL(tile_0_1x5), KERNEL(tile_0_1x6), KERNEL(tile_0_1x7), KERNEL(tile_0_1x8),
};
static const int KERNEL(tile_heights)[] = {FNN_TILE_ROWS, 4, 2, 1};
static const KERNEL(tile_fn) KERNEL(tiles)[2][4][FNN_TILE_VECTORS] = {
#if FNN_TILE_ROWS == 8
    {FNN_TILE_NAMES(8, 0), FNN_TILE_NAMES(4, 0), FNN_TILE_NAMES(2, 0), FNN_TILE_NAMES(1, 0)},
    {FNN_TILE_NAMES(8, 1), FNN_TILE_NAMES(4, 1), FNN_TILE_NAMES(2, 1), FNN_TILE_NAMES(1, 1)},
#elif FNN_TILE_ROWS == 6
    {FNN_TILE_NAMES(6, 0), FNN_TILE_NAMES(4, 0), FNN_TILE_NAMES(2, 0), FNN_TILE_NAMES(1, 0)},
    {FNN_TILE_NAMES(6, 1), FNN_TILE_NAMES(4, 1), FNN_TILE_NAMES(2, 1), FNN_TILE_NAMES(1, 1)},
#else
    {FNN_TILE_NAMES(4, 0), FNN_TILE_NAMES(4, 0), FNN_TILE_NAMES(2, 0), FNN_TILE_NAMES(1, 0)},
    {FNN_TILE_NAMES(4, 1), FNN_TILE_NAMES(4, 1), FNN_TILE_NAMES(2, 1), FNN_TILE_NAMES(1, 1)},
#endif
};

/* Rows of the right operand that one pass over the tiles of a panel multiplies with, so that they are still near for the next
   tile: 5 % on AVX2 at K = 784, nothing lost on AVX-512. Half as many cost more in sums stored and loaded again. */
enum { KERNEL(k_block) = 512 };

/* The part of a product that sums over k0 … k0 + KC - 1. */
FNN_INLINE KERNEL(product) KERNEL(product_part)(const KERNEL(product) * p, ptrdiff_t k0, int transposed) {
    KERNEL(product) part = *p;
    part.K = p->K - k0 < KERNEL(k_block) ? p->K - k0 : KERNEL(k_block);
    part.b += k0 * p->ldb;
    part.accumulate |= k0 > 0;
    if (!transposed)
        part.a += k0;
    else if (p->rows)
        part.rows += k0;
    else
        part.a += k0 * p->lda;
    return part;
}

/* Rows i0 to i1 of the result. The columns are divided into panels of as equal a number of vectors as possible, since a
   panel of one vector has too few independent sums to hide the latency of a multiply-add. */
FNN_INLINE void KERNEL(product_rows)(const KERNEL(product) * p, ptrdiff_t i0, ptrdiff_t i1, ptrdiff_t N,
                                     int transposed) {
    const int single = !transposed && i1 - i0 == 1, widest = single ? FNN_ROW_VECTORS : FNN_TILE_VECTORS;
    ptrdiff_t vectors = (N + VL - 1) / VL, panels = (vectors + widest - 1) / widest;
    for (ptrdiff_t j = 0; j < N; panels--) {
        const ptrdiff_t width = (vectors + panels - 1) / panels;
        const ptrdiff_t tail = j + width * VL > N ? N % VL : 0;
        /* K of 0 still writes the biases. */
        for (ptrdiff_t k0 = 0; k0 == 0 || k0 < p->K; k0 += KERNEL(k_block)) {
            const KERNEL(product) part = KERNEL(product_part)(p, k0, transposed);
            ptrdiff_t i = i0;
            if (single)
                KERNEL(row_tiles)[width - 1](&part, i++, j, tail);
            for (int h = 0; h < 4; h++)
                /* Eight rows are two tiles of four rather than one of six and one of two. */
                for (const int MR = KERNEL(tile_heights)[h]; i + MR <= i1 && !(MR == 6 && i + 8 == i1); i += MR)
                    KERNEL(tiles)[transposed][h][width - 1](&part, i, j, tail);
        }
        vectors -= width;
        j += width * VL;
    }
}

static void KERNEL(gemm_nn)(void *c, const void *a, const ptrdiff_t *rows, const void *b, const void *bias,
                            int accumulate, ptrdiff_t M, ptrdiff_t K, ptrdiff_t N) {
    const KERNEL(product) p = {.a = a,
                               .b = b,
                               .bias = bias,
                               .c = c,
                               .rows = rows,
                               .lda = K,
                               .ldb = N,
                               .ldc = N,
                               .K = K,
                               .accumulate = accumulate};
    KERNEL(product_rows)(&p, 0, M, N, 0);
}

static void KERNEL(gemm_tn)(void *c, const void *a, const ptrdiff_t *rows, const void *b, int accumulate, ptrdiff_t K,
                            ptrdiff_t M, ptrdiff_t N, ptrdiff_t i0, ptrdiff_t i1) {
    const KERNEL(product) p = {.a = (const real *)a + i0,
                               .b = b,
                               .c = c,
                               .rows = rows,
                               .lda = M,
                               .ldb = N,
                               .ldc = N,
                               .K = K,
                               .accumulate = accumulate};
    KERNEL(product_rows)(&p, 0, i1 - i0, N, 1);
}

static void KERNEL(gather)(void *dst, const void *x, const ptrdiff_t *rows, ptrdiff_t B, ptrdiff_t N) {
    for (ptrdiff_t i = 0; i < B; i++)
        memcpy((real *)dst + i * N, (const real *)x + rows[i] * N, (size_t)N * sizeof(real));
}

static void KERNEL(fill_rows)(void *dst, const void *row, ptrdiff_t B, ptrdiff_t N) {
    if (!row)
        memset(dst, 0, (size_t)(B * N) * sizeof(real));
    else
        for (ptrdiff_t i = 0; i < B; i++)
            memcpy((real *)dst + i * N, row, (size_t)N * sizeof(real));
}

static void KERNEL(column_sums)(void *sums_, const void *x_, const void *weight_, const ptrdiff_t *rows, int accumulate,
                                ptrdiff_t B, ptrdiff_t N) {
    real *sums = sums_;
    const real *x = x_, *weight = weight_;
    for (ptrdiff_t j = 0; j < N; j += VL) {
        vec sum = accumulate ? KERNEL(load_part)(sums + j, N - j) : KERNEL(set1)(C(0.0));
        for (ptrdiff_t i = 0; i < B; i++) {
            const vec v = KERNEL(load_part)(x + i * N + j, N - j);
            sum += weight ? v * weight[rows ? rows[i] : i] : v;
        }
        KERNEL(store_part)(sums + j, sum, N - j);
    }
}

static void KERNEL(add_outer)(void *dst_, const void *row_, const void *weight_, const ptrdiff_t *rows, double scale,
                              ptrdiff_t B, ptrdiff_t N) {
    const real *row = row_, *weight = weight_;
    for (ptrdiff_t i = 0; i < B; i++) {
        real *dst = (real *)dst_ + i * N;
        const real factor = (real)scale * (weight ? weight[rows ? rows[i] : i] : C(1.0));
        for (ptrdiff_t j = 0; j < N; j += VL)
            KERNEL(store_part)(dst + j, KERNEL(load_part)(dst + j, N - j) + KERNEL(load_part)(row + j, N - j) * factor,
                               N - j);
    }
}
