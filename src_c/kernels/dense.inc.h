/* Products of row-major matrices for layers: panels of columns, each divided into tiles (tile.inc.h). Nothing is blocked for
   the caches further than that, so operands should fit them (fnn_use_blas sends larger ones to BLAS).

   Measured on Zen 4, one core, limit 115 GFLOP/s in float32: see bench/. Generates gemm_nn, gemm_nt, gemm_tn, gather,
   fill_rows, column_sums, add_outer. */

/* How tiles read the right operand: where it is; or from a panel that fits the first-level cache, with its rows copied
   because they are scattered, or turned over because it is given as (N, K). */
enum { KERNEL(in_place), KERNEL(copied), KERNEL(turned) };
enum { KERNEL(panel_size) = (32 << 10) / sizeof(real) };

/* Rows k0 … k0 + K - 1 of b, and `columns` columns from j on. */
FNN_INLINE void KERNEL(pack)(real *panel, ptrdiff_t ld, const KERNEL(product) * p, const int packing, ptrdiff_t k0,
                             ptrdiff_t K, ptrdiff_t j, ptrdiff_t columns) {
    if (packing == KERNEL(turned))
        KERNEL(turn)(panel, ld, p->b + j * p->ldb + k0, p->ldb, NULL, columns, K);
    else
        for (ptrdiff_t k = k0; k < k0 + K; k++, panel += ld)
            memcpy(panel, p->b + (p->b_rows ? p->b_rows[k] : k) * p->ldb + j, (size_t)columns * sizeof(real));
}

/* The part of a product that sums over k0 … k0 + K - 1. */
FNN_INLINE KERNEL(product) KERNEL(product_part)(const KERNEL(product) * p, ptrdiff_t k0, ptrdiff_t K, int transposed) {
    KERNEL(product) part = *p;
    part.K = K;
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
                                     const int transposed, const int packing) {
    real panel[KERNEL(panel_size)] __attribute__((aligned(64)));
    ptrdiff_t vectors = (N + VL - 1) / VL;
    const int wide = i1 - i0 <= FNN_WIDE_ROWS || (transposed && p->K <= FNN_WIDE_SUM && vectors > FNN_TILE_VECTORS);
    const int widest = !wide ? FNN_TILE_VECTORS : i1 - i0 == 1 ? FNN_ROW_VECTORS : FNN_PAIR_VECTORS;
    ptrdiff_t panels = (vectors + widest - 1) / widest;
    for (ptrdiff_t j = 0; j < N; panels--) {
        const ptrdiff_t width = (vectors + panels - 1) / panels, columns = width * VL;
        const ptrdiff_t tail = j + columns > N ? N % VL : 0;
        const ptrdiff_t longest = packing == KERNEL(in_place) ? KERNEL(k_block) : KERNEL(panel_size) / columns;
        /* K of 0 still writes the biases. */
        for (ptrdiff_t k0 = 0; k0 == 0 || k0 < p->K; k0 += longest) {
            const ptrdiff_t K = p->K - k0 < longest ? p->K - k0 : longest;
            KERNEL(product) part = KERNEL(product_part)(p, k0, K, transposed);
            if (packing == KERNEL(in_place)) {
                part.b += k0 * p->ldb + j;
            } else {
                part.b = panel;
                part.ldb = tail ? N - j : columns;
                KERNEL(pack)(panel, part.ldb, p, packing, k0, K, j, part.ldb);
            }
            ptrdiff_t i = i0;
            if (wide) {
                for (; i + 2 <= i1; i += 2)
                    KERNEL(wide_tiles)[transposed][1][width - 1](&part, i, j, tail);
                if (i < i1)
                    KERNEL(wide_tiles)[transposed][0][width - 1](&part, i++, j, tail);
            }
            for (int h = 0; h < 4; h++)
                /* Eight rows are two tiles of four rather than one of six and one of two. */
                for (const int MR = KERNEL(tile_heights)[h]; i + MR <= i1 && !(MR == 6 && i + 8 == i1); i += MR)
                    KERNEL(tiles)[transposed][h][width - 1](&part, i, j, tail);
        }
        vectors -= width;
        j += columns;
    }
}

/* Columns that fill no more than half a vector, and rows that pay for turning them over. */
#define FNN_FEW_COLUMNS (VL / 4 * 3)
#define FNN_MANY_ROWS 8

/* A result of few columns fills only part of a vector; its transpose has them as rows. c (M, N), N less than a vector, is
   the transpose of the product p: as many of p's columns at a time as a tile is wide, turned over into c. */
FNN_INLINE void KERNEL(product_turned)(real *c, ptrdiff_t ldc, const KERNEL(product) * p, ptrdiff_t M, ptrdiff_t N,
                                       const int packing) {
    real turned[KERNEL(lanes) * FNN_ROW_VECTORS * KERNEL(lanes)] __attribute__((aligned(64)));
    const ptrdiff_t longest = (N == 1               ? FNN_ROW_VECTORS
                               : N <= FNN_WIDE_ROWS ? FNN_PAIR_VECTORS
                                                    : FNN_TILE_VECTORS) *
                              VL;
    for (ptrdiff_t j = 0; j < M; j += longest) {
        const ptrdiff_t columns = M - j < longest ? M - j : longest;
        KERNEL(product) part = *p;
        part.b += j;
        part.c = turned;
        part.ldc = columns;
        if (p->accumulate)
            KERNEL(turn)(turned, columns, c + j * ldc, ldc, NULL, columns, N);
        KERNEL(product_rows)(&part, 0, N, columns, 1, packing);
        KERNEL(turn)(c + j * ldc, ldc, turned, columns, NULL, N, columns);
    }
}

/* c (M, N) with a as it stands: whole vectors of columns by tiles, the last ones several k a vector. */
FNN_INLINE void KERNEL(rows_product)(const KERNEL(product) * p, ptrdiff_t M, ptrdiff_t N, const int packing) {
    if (N == 1 && p->ldc == 1) {
        KERNEL(dots)(p, M);
        return;
    }
    const ptrdiff_t tail = KERNEL(tail_columns)(p->K, N);
    if (M <= FNN_WIDE_ROWS && packing == KERNEL(in_place)) {
        KERNEL(product) all = *p;
        all.chained = tail > 0;
        KERNEL(product_rows)(&all, 0, M, N, 0, packing);
        return;
    }
    if (N > tail)
        KERNEL(product_rows)(p, 0, M, N - tail, 0, packing);
    KERNEL(tails)(p, M, N - tail, tail, packing == KERNEL(turned));
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
    KERNEL(rows_product)(&p, M, N, KERNEL(in_place));
}

static void KERNEL(gemm_nt)(void *c, const void *a, const void *b, ptrdiff_t M, ptrdiff_t K, ptrdiff_t N) {
    const KERNEL(product) p = {.a = a, .b = b, .c = c, .lda = K, .ldb = K, .ldc = N, .K = K};
    KERNEL(rows_product)(&p, M, N, KERNEL(turned));
}

static void KERNEL(gemm_tn)(void *c, const void *a, const ptrdiff_t *rows, const void *b, int accumulate, ptrdiff_t K,
                            ptrdiff_t M, ptrdiff_t N, ptrdiff_t i0, ptrdiff_t i1) {
    const ptrdiff_t rest = N % VL, M1 = i1 - i0;
    const ptrdiff_t tail = rest <= FNN_FEW_COLUMNS && M1 >= FNN_MANY_ROWS ? rest : 0;
    const KERNEL(product) p = {.a = (const real *)a + i0,
                               .b = b,
                               .c = c,
                               .rows = rows,
                               .lda = M,
                               .ldb = N,
                               .ldc = N,
                               .K = K,
                               .accumulate = accumulate};
    if (N > tail)
        KERNEL(product_rows)(&p, 0, M1, N - tail, 1, KERNEL(in_place));
    if (!tail)
        return;
    /* The last columns with the lanes along the rows of c. */
    const KERNEL(product) t = {
        .a = p.b + N - tail, .b = p.a, .b_rows = rows, .lda = N, .ldb = M, .K = K, .accumulate = accumulate};
    if (rows)
        KERNEL(product_turned)((real *)c + N - tail, N, &t, M1, tail, KERNEL(copied));
    else
        KERNEL(product_turned)((real *)c + N - tail, N, &t, M1, tail, KERNEL(in_place));
}

static void KERNEL(gather)(void *dst, const void *x, const ptrdiff_t *rows, ptrdiff_t B, ptrdiff_t N) {
    for (ptrdiff_t i = 0; i < B; i++)
        memcpy((real *)dst + i * N, (const real *)x + rows[i] * N, (size_t)N * sizeof(real));
}

static void KERNEL(fill_rows)(void *dst, const void *row, ptrdiff_t B, ptrdiff_t N) {
    if (!row)
        memset(dst, 0, (size_t)(B * N) * sizeof(real));
    else
        for (ptrdiff_t i = 0; N > 0 && i < B; i++) /* rows without columns may be very many */
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
    for (ptrdiff_t i = 0; N > 0 && i < B; i++) {
        real *dst = (real *)dst_ + i * N;
        const real factor = (real)scale * (weight ? weight[rows ? rows[i] : i] : C(1.0));
        for (ptrdiff_t j = 0; j < N; j += VL)
            KERNEL(store_part)(dst + j, KERNEL(load_part)(dst + j, N - j) + KERNEL(load_part)(row + j, N - j) * factor,
                               N - j);
    }
}
