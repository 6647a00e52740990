/* Panels: contiguous copies of parts of an operand, small enough for the second-level cache and in few pages, which tile after
   tile reads line by line. Rows a multiple of 4 KB apart would fall into the same few cache sets. On Zen 4 with AVX-512 reading
   them where they are is as fast; on Intel a product of 512 x 1024 x 1024 went from 78 to 178 GFLOP/s by copying (limit 232),
   its weight gradient, with both operands copied, from 68 to 173.

   Generates panel_rows, pack, product_part, copy_left, packed, packed_rows. */

/* How tiles read the right operand: where it is; or from a panel, with its rows copied because they are crowded or far away, or
   turned over because it is given as (N, K). */
enum { KERNEL(in_place), KERNEL(copied), KERNEL(turned) };
enum { KERNEL(panel_size) = (64 << 10) / sizeof(real) };

/* Rows k0 … k0 + K - 1 of b, and `columns` columns from j on. */
FNN_INLINE void KERNEL(pack)(real *panel, ptrdiff_t ld, const KERNEL(product) * p, const int packing, ptrdiff_t k0,
                             ptrdiff_t K, ptrdiff_t j, ptrdiff_t columns) {
    if (packing == KERNEL(turned))
        KERNEL(turn)(panel, ld, p->b + j * p->ldb + k0, p->ldb, NULL, columns, K);
    else
        for (ptrdiff_t k = k0; k < k0 + K; k++, panel += ld) {
            const real *row = p->b + k * p->ldb + j;
            ptrdiff_t l = 0;
            for (; l + VL <= columns; l += VL)
                KERNEL(store)(panel + l, KERNEL(load)(row + l));
            if (l < columns)
                KERNEL(store_tail)(panel + l, KERNEL(load_tail)(row + l, columns - l), columns - l);
        }
}

/* The part of a product that sums over k0 … k0 + K - 1. */
FNN_INLINE KERNEL(product) KERNEL(product_part)(const KERNEL(product) * p, ptrdiff_t k0, ptrdiff_t K, int transposed) {
    KERNEL(product) part = *p;
    part.K = K;
    part.k0 = k0;
    part.accumulate |= k0 > 0;
    part.a += transposed ? k0 * p->lda : k0;
    return part;
}

/* Rows of a panel of so many columns. */
FNN_INLINE ptrdiff_t KERNEL(panel_rows)(const KERNEL(product) * p, ptrdiff_t columns) {
    const ptrdiff_t most = KERNEL(panel_size) / columns;
    return p->k > 0 && p->k < most ? p->k : most;
}

/* Columns of a (K, M), rows k0 … k0 + K - 1, by groups as high as a tile: (groups, K, FNN_TILE_ROWS). */
FNN_INLINE void KERNEL(copy_left)(real *to, const KERNEL(product) * p, ptrdiff_t k0, ptrdiff_t K, ptrdiff_t M) {
    const ptrdiff_t whole = M - M % FNN_TILE_ROWS;
    for (ptrdiff_t k = 0; k < K; k++) {
        const real *row = p->a + (k0 + k) * p->lda;
        real *at = to + k * FNN_TILE_ROWS;
        for (ptrdiff_t i = 0; i < whole; i += FNN_TILE_ROWS, at += K * FNN_TILE_ROWS)
            memcpy(at, row + i, FNN_TILE_ROWS * sizeof(real));
        for (ptrdiff_t i = whole; i < M; i++)
            at[i - whole] = row[i];
    }
}

/* c (M, N) with the right operand copied, and with room for it the left one, which then is (K, M). A part of K at a time: for it
   the left operand stays in the second-level cache while panel after panel is copied and multiplied. room: for p->k rows of a,
   M rounded up to whole tiles. */
FNN_INLINE void KERNEL(packed)(const KERNEL(product) * p, real *room, ptrdiff_t M, ptrdiff_t N, const int transposed,
                               const int packing) {
    real panel[KERNEL(panel_size)] __attribute__((aligned(64)));
    const ptrdiff_t rows = KERNEL(panel_rows)(p, FNN_TILE_VECTORS * VL);
    const ptrdiff_t most = transposed && rows > FNN_GRADIENT_K ? FNN_GRADIENT_K : rows;
    for (ptrdiff_t k0 = 0; k0 == 0 || k0 < p->K; k0 += most) {
        const ptrdiff_t K = p->K - k0 < most ? p->K - k0 : most;
        KERNEL(product) part = KERNEL(product_part)(p, k0, K, 0);
        part.b = panel;
        part.ahead = 0;
        if (transposed) {
            KERNEL(copy_left)(room, p, k0, K, M);
            part.lda = FNN_TILE_ROWS;
        }
        ptrdiff_t vectors = (N + VL - 1) / VL, panels = (vectors + FNN_TILE_VECTORS - 1) / FNN_TILE_VECTORS;
        for (ptrdiff_t j = 0; j < N; panels--) {
            const ptrdiff_t width = (vectors + panels - 1) / panels, columns = width * VL;
            const ptrdiff_t tail = j + columns > N ? N % VL : 0;
            part.ldb = tail ? N - j : columns;
            ptrdiff_t i = 0;
            if (packing == KERNEL(copied) && M >= 2 * FNN_TILE_ROWS) { /* sums of the first tile hide the copying */
                KERNEL(product) first = part;
                first.a = transposed ? room : part.a;
                first.b = p->b + k0 * p->ldb + j;
                first.c = p->c;
                first.ldb = p->ldb;
                first.copy = panel;
                first.ld_copy = part.ldb;
                first.ahead = transposed ? 0 : p->ahead;
                KERNEL(copying_tiles)[transposed][width - 1](&first, 0, j, tail);
                i = FNN_TILE_ROWS;
            } else {
                KERNEL(pack)(panel, part.ldb, p, packing, k0, K, j, part.ldb);
            }
            for (int h = 0; h < 4; h++)
                for (const int MR = KERNEL(tile_heights)[h]; i + MR <= M; i += MR) {
                    /* 8 rows are 4 and 4 rather than 6 and 2, unless they were copied in groups of 6. */
                    if (MR == 6 && i + 8 == M && !transposed)
                        break;
                    const ptrdiff_t within = i % FNN_TILE_ROWS;
                    if (transposed) {
                        part.a = room + (i - within) * K + within;
                        part.c = p->c + i * p->ldc;
                    }
                    KERNEL(tiles)[transposed][h][width - 1](&part, transposed ? 0 : i, j, tail);
                }
            vectors -= width;
            j += columns;
        }
    }
}

/* The same, for equal parts of the M rows one after the other. */
FNN_INLINE void KERNEL(packed_rows)(const KERNEL(product) * p, ptrdiff_t M, ptrdiff_t N, const int packing) {
    const ptrdiff_t parts = p->m > 0 ? (M + p->m - 1) / p->m : 1;
    for (ptrdiff_t q = 0, i = 0; q < parts; q++) {
        const ptrdiff_t end = q + 1 < parts ? (q + 1) * M / parts / FNN_TILE_ROWS * FNN_TILE_ROWS : M;
        KERNEL(product) part = *p;
        part.a += i * p->lda;
        part.c += i * p->ldc;
        KERNEL(packed)(&part, NULL, end - i, N, 0, packing);
        i = end;
    }
}
