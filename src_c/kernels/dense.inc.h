/* Products of row-major matrices for layers: panels of columns, each divided into tiles (tile.inc.h), read where they are or
   copied first (packed.inc.h), as the caller says.

   Generates product_rows, product_turned, rows_in_place, rows_copied, rows_turned, gather, gemm_nn, gemm_nt, gemm_tn,
   fill_rows, column_sums, add_outer. */

/* Rows i0 to i1 of the result. The columns are divided into panels of as equal a number of vectors as possible, since a
   panel of one vector has too few independent sums to hide the latency of a multiply-add. */
FNN_INLINE void KERNEL(product_rows)(const KERNEL(product) * p, ptrdiff_t i0, ptrdiff_t i1, ptrdiff_t N,
                                     const int transposed, const int packing) {
    real panel[KERNEL(panel_size)] __attribute__((aligned(64)));
    real line[FNN_TILE_VECTORS * KERNEL(lanes)];
    ptrdiff_t vectors = (N + VL - 1) / VL;
    const int wide =
        i1 - i0 <= FNN_WIDE_ROWS || (p->K <= (transposed ? FNN_WIDE_SUM : FNN_SHORT_SUM) && vectors > FNN_TILE_VECTORS);
    const int widest = !wide ? FNN_TILE_VECTORS : i1 - i0 == 1 ? FNN_ROW_VECTORS : FNN_PAIR_VECTORS;
    ptrdiff_t panels = (vectors + widest - 1) / widest;
    for (ptrdiff_t j = 0; j < N; panels--) {
        const ptrdiff_t width = (vectors + panels - 1) / panels, columns = width * VL;
        const ptrdiff_t tail = j + columns > N ? N % VL : 0;
        const ptrdiff_t longest =
            packing == KERNEL(in_place) ? p->k > 0 ? p->k : KERNEL(k_block) : KERNEL(panel_rows)(p, columns);
        /* K of 0 still writes the biases. */
        for (ptrdiff_t k0 = 0; k0 == 0 || k0 < p->K; k0 += longest) {
            const ptrdiff_t K = p->K - k0 < longest ? p->K - k0 : longest;
            KERNEL(product) part = KERNEL(product_part)(p, k0, K, transposed);
            if (packing == KERNEL(in_place)) {
                part.b += k0 * p->ldb + j;
            } else {
                part.b = panel;
                part.ahead = 0;
                part.ldb = tail ? N - j : columns;
                KERNEL(pack)(panel, part.ldb, p, packing, k0, K, j, part.ldb);
            }
            ptrdiff_t i = i0;
            if (!transposed && p->rows && j == 0) {
                for (const int MR = width == 1 ? FNN_TALL_ROWS : FNN_TILE_ROWS; !wide && i + MR <= i1; i += MR)
                    KERNEL(bringing_tiles)[width - 1](&part, i, j, tail);
                KERNEL(bring)((real *)part.a + i * p->lda, p->rows, i, i1, k0, K, p->lda);
            }
            if (packing == KERNEL(in_place) && !transposed && p->far && !wide && i1 - i >= 2 * FNN_TILE_ROWS) {
                part.copy = line; /* for what it calls for; its copy is not used */
                part.ld_copy = 0;
                KERNEL(copying_tiles)[0][width - 1](&part, i, j, tail);
                i += FNN_TILE_ROWS;
            }
            if (wide) {
                for (; i + 2 <= i1; i += 2)
                    KERNEL(wide_tiles)[transposed][1][width - 1](&part, i, j, tail);
                if (i < i1)
                    KERNEL(wide_tiles)[transposed][0][width - 1](&part, i++, j, tail);
            }
            for (; width == 1 && i + FNN_TALL_ROWS <= i1; i += FNN_TALL_ROWS)
                KERNEL(tall_tiles)[transposed](&part, i, j, tail);
            for (int h = 0; h < 4; h++)
                /* Eight rows are two tiles of four rather than one of six and one of two. */
                for (const int MR = KERNEL(tile_heights)[h]; i + MR <= i1 && !(MR == 6 && i + 8 == i1); i += MR)
                    KERNEL(tiles)[transposed][h][width - 1](&part, i, j, tail);
        }
        vectors -= width;
        j += columns;
    }
}

/* Columns that leave a quarter of a vector empty or more, and rows that pay for turning them over. */
#define FNN_FEW_COLUMNS (3 * VL / 4)
#define FNN_MANY_ROWS 8

/* A result of few columns fills only part of its vectors; its transpose has them as rows. c (M, N), N less than two vectors, is
   the transpose of the product p: as many of p's columns at a time as a tile is wide, turned over into c. */
FNN_INLINE void KERNEL(product_turned)(real *c, ptrdiff_t ldc, const KERNEL(product) * p, ptrdiff_t M, ptrdiff_t N) {
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
        KERNEL(product_rows)(&part, 0, N, columns, 1, KERNEL(in_place));
        KERNEL(turn)(c + j * ldc, ldc, turned, columns, NULL, N, columns);
    }
}

/* c (M, N) with a as it stands: whole vectors of columns by tiles, the last ones several k a vector. Apart from the way of a few
   rows, whose time a large frame on the stack would take. */
#define FNN_ROWS_PRODUCT(packing) \
    static __attribute__((noinline)) void KERNEL(rows_##packing)(const KERNEL(product) * p, ptrdiff_t M, \
                                                                 ptrdiff_t N) { \
        const ptrdiff_t tail = KERNEL(tail_columns)(p->K, N); \
        if (N > tail && KERNEL(packing) != KERNEL(in_place) && M > FNN_WIDE_ROWS && p->K > FNN_SHORT_SUM) \
            KERNEL(packed_rows)(p, M, N - tail, KERNEL(packing)); \
        else if (N > tail) \
            KERNEL(product_rows)(p, 0, M, N - tail, 0, KERNEL(packing)); \
        KERNEL(tails)(p, M, N - tail, tail, KERNEL(packing) == KERNEL(turned)); \
    }
FNN_ROWS_PRODUCT(in_place)
FNN_ROWS_PRODUCT(copied)
FNN_ROWS_PRODUCT(turned)

FNN_INLINE KERNEL(product) KERNEL(typed)(const fnn_product *q) {
    return (KERNEL(product)){.a = q->a,
                             .b = q->b,
                             .bias = q->bias,
                             .c = q->c,
                             .rows = q->rows,
                             .lda = q->lda,
                             .ldb = q->ldb,
                             .ldc = q->ldc,
                             .K = q->K,
                             .accumulate = q->accumulate,
                             .k = q->blocking.k,
                             .m = q->blocking.m,
                             .ahead = q->blocking.ahead,
                             .far = q->blocking.far};
}

static void KERNEL(gather)(void *dst, const fnn_rows *rows, ptrdiff_t N) {
    KERNEL(bring)(dst, rows, 0, rows->n, 0, N, N);
}

static void KERNEL(gemm_nn)(const fnn_product *q) {
    KERNEL(product) p = KERNEL(typed)(q);
    /* Tiles bring rows themselves where they go over b once, in order. */
    if (q->rows && (q->blocking.packed || q->N == 1 || KERNEL(tail_columns)(q->K, q->N) == q->N)) {
        KERNEL(gather)((void *)q->a, q->rows, q->K);
        p.rows = NULL;
    }
    if (q->N == 1 && q->ldc == 1) {
        KERNEL(dots)(&p, q->M);
    } else if (q->M <= FNN_WIDE_ROWS) {
        p.chained = KERNEL(tail_columns)(q->K, q->N) > 0;
        KERNEL(product_rows)(&p, 0, q->M, q->N, 0, KERNEL(in_place));
    } else if (q->blocking.packed) {
        KERNEL(rows_copied)(&p, q->M, q->N);
    } else {
        KERNEL(rows_in_place)(&p, q->M, q->N);
    }
}

static void KERNEL(gemm_nt)(const fnn_product *q) {
    const KERNEL(product) p = KERNEL(typed)(q);
    const ptrdiff_t tail = KERNEL(tail_columns)(q->K, q->N);
    if (q->N == 1 && q->ldc == 1) {
        KERNEL(dots)(&p, q->M);
    } else if (q->room) {
        KERNEL(flipped)(&p, q->room, q->M, q->N - tail);
        KERNEL(tails)(&p, q->M, q->N - tail, tail, 1);
    } else {
        KERNEL(rows_turned)(&p, q->M, q->N);
    }
}

static void KERNEL(gemm_tn)(const fnn_product *q) {
    const ptrdiff_t M = q->M, N = q->N, rest = N % VL;
    /* With few vectors as rows, a single one and a rest are slower than all columns turned. */
    const ptrdiff_t turned = FNN_VBYTES < 64 && N < 2 * VL ? N : rest;
    const ptrdiff_t tail = rest <= FNN_FEW_COLUMNS && M >= FNN_MANY_ROWS ? turned : 0;
    const KERNEL(product) p = KERNEL(typed)(q);
    if (N > tail && q->blocking.packed && q->room)
        KERNEL(packed)(&p, q->room, M, N - tail, 1, KERNEL(copied));
    else if (N > tail)
        KERNEL(product_rows)(&p, 0, M, N - tail, 1, KERNEL(in_place));
    if (!tail)
        return;
    /* Those columns with the lanes along the rows of c. */
    KERNEL(product) t = p;
    t.a = p.b + N - tail;
    t.b = p.a;
    t.lda = p.ldb;
    t.ldb = p.lda;
    t.ahead = 0;
    KERNEL(product_turned)(p.c + N - tail, p.ldc, &t, M, tail);
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
