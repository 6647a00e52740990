/* The last columns of a product, fewer than a vector. A tile of their own would multiply mostly empty lanes; here a vector holds
   `part` columns with G = VL / part consecutive k of each:

       lane c * G + g of the packed right operand:  b[k + g, j + c]
       the same lanes of the left one:              a[i, k + g], G elements repeated

   so one multiply-add does G steps of every column. An element is the bias, or c, plus G chains over k = g, g + G, …, which
   are added up as (0 + 1) + (2 + 3) for every k_block of K. That order depends on the number of columns and on K, never on the
   rows: tiles of few rows, which read the columns where they are (tile.inc.h), give the same bits.

   On Intel, where half a vector costs as much as a whole one, a forward product of 128 x 784 x 100 went from 143 to 212
   GFLOP/s by this (limit 232).

   Generates pair_sums, pack_tail, tail_tile, tail_part, tails, dots. */

#define FNN_TAIL_ROWS 8

/* Sums of neighbouring lanes, of a and behind them of b. */
FNN_INLINE vec KERNEL(pair_sums)(vec a, vec b) { return FNN_EVEN(a, b) + FNN_ODD(a, b); }

/* Rows k0 … k0 + K - 1 of b, columns j … j + columns - 1, zeros beyond them. turned: b is (N, K). */
FNN_INLINE void KERNEL(pack_tail)(real *packed, const KERNEL(product) * p, ptrdiff_t k0, ptrdiff_t K, ptrdiff_t j,
                                  ptrdiff_t columns, const int G, const int turned) {
    for (ptrdiff_t k = 0; k < K; k += G, packed += VL) {
        if (turned) {
            KERNEL(store)(packed, KERNEL(set1)(C(0.0)));
            for (ptrdiff_t c = 0; c < columns; c++)
                for (int g = 0; g < G && k + g < K; g++)
                    packed[c * G + g] = p->b[(j + c) * p->ldb + k0 + k + g];
            continue;
        }
        vec row[4];
        const real *b = p->b + (k0 + k) * p->ldb + j;
#pragma GCC unroll 4
        for (int g = 0; g < G; g++)
            row[g] = k + g < K ? KERNEL(load_tail)(b + g * p->ldb, columns) : KERNEL(set1)(C(0.0));
        if (G == 4) {
            row[0] = FNN_MIX_LOW(row[0], row[2]);
            row[1] = FNN_MIX_LOW(row[1], row[3]);
        }
        KERNEL(store)(packed, FNN_MIX_LOW(row[0], row[1]));
    }
}

/* c[i + m, j …] for m < MR, of K packed elements from k0 on. */
FNN_INLINE void KERNEL(tail_tile)(const KERNEL(product) * p, const real *packed, ptrdiff_t i, ptrdiff_t k0, ptrdiff_t K,
                                  ptrdiff_t j, ptrdiff_t columns, const int MR, const int G) {
    vec sum[FNN_TAIL_ROWS];
    const real *left[FNN_TAIL_ROWS];
    const ptrdiff_t whole = K - K % G;
#pragma GCC unroll 8
    for (int m = 0; m < MR; m++) {
        sum[m] = KERNEL(set1)(C(0.0));
        left[m] = p->a + (i + m) * p->lda + k0;
    }
    for (ptrdiff_t k = 0; k < whole; k += G, packed += VL) {
        const vec w = KERNEL(load)(packed);
#pragma GCC unroll 8
        for (int m = 0; m < MR; m++)
            sum[m] += KERNEL(repeat)(left[m] + k, G, G) * w;
    }
    if (whole < K) {
        const vec w = KERNEL(load)(packed);
#pragma GCC unroll 8
        for (int m = 0; m < MR; m++)
            sum[m] += KERNEL(repeat)(left[m] + whole, G, K - whole) * w;
    }
    /* The chains of G rows become one vector, row behind row; room behind it for a masked load. */
#pragma GCC unroll 8
    for (int m = 0; m < MR; m += G) {
        real sums[2 * KERNEL(lanes)];
        const int next = MR > 1, third = MR > 2 ? 2 : 0, fourth = MR > 2 ? 3 : 0;
        vec v = KERNEL(pair_sums)(sum[m], sum[m + next]);
        if (G == 4)
            v = KERNEL(pair_sums)(v, KERNEL(pair_sums)(sum[m + third], sum[m + fourth]));
        KERNEL(store)(sums, v);
        for (int r = 0; r < G && m + r < MR; r++)
            KERNEL(finish_tail)(p, i + m + r, j, columns, sums + r * (VL / G));
    }
}

#if FNN_VBYTES / (FNN_BITS / 8) >= 4
FNN_INLINE void KERNEL(tail_part)(const KERNEL(product) * p, ptrdiff_t M, ptrdiff_t j, ptrdiff_t columns, const int G,
                                  const int turned) {
    real packed[KERNEL(k_block) / 2 * KERNEL(lanes)] __attribute__((aligned(64)));
    KERNEL(product) part = *p;
    for (ptrdiff_t k0 = 0; k0 < p->K; k0 += KERNEL(k_block), part.accumulate = 1) {
        const ptrdiff_t K = p->K - k0 < KERNEL(k_block) ? p->K - k0 : KERNEL(k_block);
        ptrdiff_t i = 0;
        KERNEL(pack_tail)(packed, p, k0, K, j, columns, G, turned);
        for (; i + FNN_TAIL_ROWS <= M; i += FNN_TAIL_ROWS)
            KERNEL(tail_tile)(&part, packed, i, k0, K, j, columns, FNN_TAIL_ROWS, G);
        for (; i + 4 <= M; i += 4)
            KERNEL(tail_tile)(&part, packed, i, k0, K, j, columns, 4, G);
        for (; i < M; i++)
            KERNEL(tail_tile)(&part, packed, i, k0, K, j, columns, 1, G);
    }
}
#endif

/* The last `columns` of M rows, from j on: what tail_columns said. */
FNN_INLINE void KERNEL(tails)(const KERNEL(product) * p, ptrdiff_t M, ptrdiff_t j, ptrdiff_t columns,
                              const int turned) {
#if FNN_VBYTES / (FNN_BITS / 8) >= 4
    if (columns > VL / 4)
        KERNEL(tail_part)(p, M, j, columns, 2, turned);
    else if (columns > 0)
        KERNEL(tail_part)(p, M, j, columns, 4, turned);
#else
    (void)p, (void)M, (void)j, (void)columns, (void)turned;
#endif
}

/* A single column whose elements lie side by side: the lanes are k. */
FNN_INLINE void KERNEL(dots_of)(const KERNEL(product) * p, ptrdiff_t i, const int MR) {
    vec sum[FNN_TAIL_ROWS];
    const real *left[FNN_TAIL_ROWS];
#pragma GCC unroll 8
    for (int m = 0; m < MR; m++) {
        sum[m] = KERNEL(set1)(C(0.0));
        left[m] = p->a + (i + m) * p->lda;
    }
    const ptrdiff_t whole = p->K - p->K % VL;
    for (ptrdiff_t k = 0; k < whole; k += VL) {
        const vec w = KERNEL(load)(p->b + k);
#pragma GCC unroll 8
        for (int m = 0; m < MR; m++)
            sum[m] += KERNEL(load)(left[m] + k) * w;
    }
    if (whole < p->K) {
        const vec w = KERNEL(load_tail)(p->b + whole, p->K - whole);
#pragma GCC unroll 8
        for (int m = 0; m < MR; m++)
            sum[m] += KERNEL(load_tail)(left[m] + whole, p->K - whole) * w;
    }
#pragma GCC unroll 8
    for (int m = 0; m < MR; m++) {
        const real start = p->accumulate ? p->c[i + m] : p->bias ? *p->bias : C(0.0);
        p->c[i + m] = start + KERNEL(sum_lanes)(sum[m]);
    }
}

static void KERNEL(dots)(const KERNEL(product) * p, ptrdiff_t M) {
    ptrdiff_t i = 0;
    for (; i + FNN_TAIL_ROWS <= M; i += FNN_TAIL_ROWS)
        KERNEL(dots_of)(p, i, FNN_TAIL_ROWS);
    for (; i + 4 <= M; i += 4)
        KERNEL(dots_of)(p, i, 4);
    for (; i < M; i++)
        KERNEL(dots_of)(p, i, 1);
}
