/* A product with b (N, K) transposed whose operands change sides: rows of b are read as they stand, as those of a left operand,
   and nothing of it is turned over. Turned over are a, once, and the result, tile by tile. That pays where a has so few rows
   that turning b would be a good part of the work. An element's sum runs over k in the same order either way.

   Generates panel_start, panel_count, panels, flipped. */

/* Rows of b whose part of the result is turned over together: whole tiles, whole squares of turn.inc.h. */
enum { KERNEL(together) = FNN_TILE_ROWS == 6 ? 24 : 16 };

/* The first of M rows of a in its panel q, of n. */
FNN_INLINE ptrdiff_t KERNEL(panel_start)(ptrdiff_t M, ptrdiff_t q, ptrdiff_t n) {
    return q * ((M + VL - 1) / VL) / n * VL;
}

FNN_INLINE ptrdiff_t KERNEL(panel_count)(ptrdiff_t M) {
    return ((M + VL - 1) / VL + FNN_TILE_VECTORS - 1) / FNN_TILE_VECTORS;
}

static void KERNEL(panels)(void *room, const void *a, ptrdiff_t M, ptrdiff_t K) {
    const ptrdiff_t n = KERNEL(panel_count)(M);
    for (ptrdiff_t q = 0; q < n; q++) {
        const ptrdiff_t j = KERNEL(panel_start)(M, q, n), end = q + 1 < n ? KERNEL(panel_start)(M, q + 1, n) : M;
        KERNEL(turn)((real *)room + j * K, end - j, (const real *)a + j * K, K, NULL, end - j, K);
    }
}

/* c (M, N) = a (M, K) times b (N, K) transposed, with the panels of a. */
static __attribute__((noinline)) void KERNEL(flipped)(const KERNEL(product) * p, const real *panels, ptrdiff_t M,
                                                      ptrdiff_t N) {
    real turned[KERNEL(together) * FNN_TILE_VECTORS * KERNEL(lanes)] __attribute__((aligned(64)));
    const ptrdiff_t n = KERNEL(panel_count)(M);
    KERNEL(product) part = *p;
    part.c = turned;
    part.lda = p->ldb;
    part.ahead = 0;
    for (ptrdiff_t i0 = 0; i0 < N; i0 += p->m)
        for (ptrdiff_t q = 0; q < n; q++) {
            const ptrdiff_t j = KERNEL(panel_start)(M, q, n), next = KERNEL(panel_start)(M, q + 1, n);
            const ptrdiff_t width = (next - j) / VL, columns = next <= M ? next - j : M - j;
            const ptrdiff_t tail = next <= M ? 0 : M % VL, end = N - i0 < p->m ? N : i0 + p->m;
            part.b = panels + j * p->K;
            part.ldb = part.ldc = columns;
            for (ptrdiff_t i = i0; i < end; i += KERNEL(together)) {
                const ptrdiff_t rows = end - i < KERNEL(together) ? end - i : KERNEL(together);
                ptrdiff_t done = 0;
                part.a = p->b + i * p->ldb;
                for (; width == 1 && done + FNN_TALL_ROWS <= rows; done += FNN_TALL_ROWS)
                    KERNEL(tall_tiles)[0](&part, done, 0, tail);
                for (int h = 0; h < 4; h++)
                    for (const int MR = KERNEL(tile_heights)[h]; done + MR <= rows; done += MR)
                        KERNEL(tiles)[0][h][width - 1](&part, done, 0, tail);
                KERNEL(turn)(p->c + j * p->ldc + i, p->ldc, turned, columns, NULL, rows, columns);
            }
        }
}
