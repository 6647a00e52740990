/* The register tile that all products are made of: MR x NV vectors of the result stay in registers while one element of the
   left operand after the other is broadcast and multiplied with a row of the right one.

   An element in whole vectors is one chain of multiply-adds over k = 0, 1, 2 …, starting at the bias, whichever tile it falls
   into. The last columns, and single ones, are summed as tail.inc.h says. In no case does the order depend on the other rows or
   on how the work was divided.

   Generates tail_columns, finish_tail, row_at, bring, tile and the tables of tiles by height and width. */

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

/* A tile of one vector has a sum a row, and takes more of them to hide that latency. */
#define FNN_TALL_ROWS 8
#define FNN_MOST_ROWS FNN_TALL_ROWS

/* The tiles of one row and of two are as wide as it takes to hide the latency of a multiply-add, and as registers allow: long
   pieces of rows are read, and written, faster. They serve products of few rows, and sums so short that the time goes into
   writing. */
#define FNN_ROW_VECTORS 8
#define FNN_PAIR_VECTORS (FNN_VBYTES == 64 ? 8 : FNN_VBYTES == 32 ? 5 : 2)
#define FNN_WIDE_ROWS 3
#define FNN_WIDE_SUM 8 /* of a weight gradient */
#define FNN_SHORT_SUM 4

/* Rows of the right operand that one pass over the tiles of a panel multiplies with, so that they are still near for the next
   tile: 5 % on AVX2 at K = 784, nothing lost on AVX-512. Half as many cost more in sums stored and loaded again. */
enum { KERNEL(k_block) = 512 };

/* How many of N columns, at the end of a row, are summed as several chains a column (tail.inc.h): not those that fill most of
   a vector, nor sums too short to repay adding up the chains. */
#define FNN_TAIL_SUM 16
FNN_INLINE ptrdiff_t KERNEL(tail_columns)(ptrdiff_t K, ptrdiff_t N) {
    const ptrdiff_t tail = N % VL;
    return VL < 4 || K < FNN_TAIL_SUM || tail > VL / 2 ? 0 : tail;
}

/* What a tile multiplies; the same for all tiles of a product but for the pointers. */
typedef struct KERNEL(product) {
    const real *a, *b, *bias; /* bias (N,), one a column, or NULL */
    const real *row_bias;     /* (M,), one a row, or NULL */
    real *c;
    real *copy; /* of b, rows ld_copy apart, which copying tiles make */
    const fnn_rows *rows;
    ptrdiff_t lda, ldb, ldc, ld_copy, K, k0; /* k0: the first of a part of K */
    ptrdiff_t k, m;                          /* rows of a copied panel, and of a for which it is copied */
    int ahead;                               /* rows of b, or transposed of a, to prefetch, in large tiles */
    int far;                                 /* the first tile of a panel calls for rows of b */
    int accumulate;
    int chained; /* the last columns are summed as several chains, also by tiles of few rows */
} KERNEL(product);

/* Row i of c at columns j … from the sums of its chains and from where it starts. */
FNN_INLINE void KERNEL(finish_tail)(const KERNEL(product) * p, ptrdiff_t i, ptrdiff_t j, ptrdiff_t columns,
                                    const real *sums) {
    real *c = p->c + i * p->ldc + j;
    const real *start = p->accumulate ? c : p->bias ? p->bias + j : NULL;
#if FNN_VBYTES == 64
    const vec sum = KERNEL(load_tail)(sums, columns);
    KERNEL(store_tail)(c, start ? KERNEL(load_tail)(start, columns) + sum : sum, columns);
#else /* masked stores are slow */
    for (ptrdiff_t l = 0; l < columns; l++)
        c[l] = start ? start[l] + sums[l] : sums[l];
#endif
}

/* Where row i of a left operand is brought from; behind the last one it is that. */
FNN_INLINE const real *KERNEL(row_at)(const fnn_rows *rows, ptrdiff_t i, ptrdiff_t N) {
    const ptrdiff_t later = i - rows->n < rows->n_later ? i - rows->n : rows->n_later - 1;
    return (const real *)rows->x + (i < rows->n ? rows->rows[i]
                                    : later < 0 ? rows->rows[rows->n - 1]
                                                : rows->later[later]) *
                                       N;
}

/* K elements of rows i0 to i1, from k0 on, to rows of `to` that are N apart; those a few further on are called for meanwhile. */
static __attribute__((noinline)) void KERNEL(bring)(real *to, const fnn_rows *rows, ptrdiff_t i0, ptrdiff_t i1,
                                                    ptrdiff_t k0, ptrdiff_t K, ptrdiff_t N) {
    enum { AHEAD = 4 };
    for (ptrdiff_t i = i0; i < i1; i++, to += N) {
        const real *row = KERNEL(row_at)(rows, i, N) + k0, *later = KERNEL(row_at)(rows, i + AHEAD, N) + k0;
        for (ptrdiff_t k = 0; k < K; k += VL) {
            __builtin_prefetch(later + k, 0, 3);
            KERNEL(store_part)(to + k, KERNEL(load_part)(row + k, K - k), K - k);
        }
    }
}

/* What a tile may do besides: copy what it reads of b to p->copy, with rows so many further on called for into the second-level
   cache, since those of the first one may be crowded; or lay its rows down where they are said to be, a line of each
   between two stretches of its sum, and call for a line of each of the next tile's rows, because loads of rows anywhere in
   memory would wait for each other. */
enum { KERNEL(only), KERNEL(copying), KERNEL(bringing) };
#define FNN_FAR_AHEAD 16
enum { KERNEL(stretch) = 64 / sizeof(real) };

/* How the last of a tile's vectors is filled; in chains is as tail.inc.h does it, for tiles of one and two rows. */
enum { KERNEL(whole), KERNEL(partial), KERNEL(halved), KERNEL(chains_2), KERNEL(chains_4) };

/* c[i + m, j + lanes] for m < MR and NV vectors, the last one with only `tail` lanes unless it is whole; b starts at column j.
   transposed: element (m, k) of the left operand is a[k, i + m] instead of a[i + m, k]. */
FNN_INLINE void KERNEL(tile)(const KERNEL(product) * p, ptrdiff_t i, ptrdiff_t j, ptrdiff_t tail, const int MR,
                             const int NV, const int last, const int transposed, const int also) {
    vec sum[FNN_MOST_ROWS][FNN_ROW_VECTORS];
    half_vec half_sum[FNN_MOST_ROWS];
    const int G = last == KERNEL(chains_2) ? 2 : last == KERNEL(chains_4) ? 4 : 0;
    half_vec chain[2][4];
    const int whole = NV - (last != KERNEL(whole)), at_tail = whole * (int)VL;
    const real *b = p->b;
    real *copy = p->copy;
    const ptrdiff_t lda = p->lda, ldb = p->ldb, ldc = p->ldc, K = p->K, far = FNN_FAR_AHEAD * ldb;
    const ptrdiff_t ahead = p->ahead * (transposed ? lda : ldb);
    real *c = p->c + i * ldc + j;

    /* Where the sums start: at c, at a bias, at zero. */
    const real *start = p->accumulate ? c : p->bias ? p->bias + j : NULL;
    const ptrdiff_t step = p->accumulate ? ldc : 0;
    if (p->accumulate) {
        const real *at = c;
#pragma GCC unroll 8
        for (int m = 0; m < MR; m++, at += ldc) {
#pragma GCC unroll 8
            for (int v = 0; v < whole; v++)
                sum[m][v] = KERNEL(load)(at + v * VL);
            if (last == KERNEL(partial))
                sum[m][whole] = KERNEL(load_tail)(at + at_tail, tail);
            if (last == KERNEL(halved))
                half_sum[m] = KERNEL(load_half)(at + at_tail, tail);
        }
    } else if (p->bias) {
        vec first[FNN_ROW_VECTORS];
        half_vec half_first;
#pragma GCC unroll 8
        for (int v = 0; v < whole; v++)
            first[v] = KERNEL(load)(p->bias + j + v * VL);
        if (last == KERNEL(partial))
            first[whole] = KERNEL(load_tail)(p->bias + j + at_tail, tail);
        if (last == KERNEL(halved))
            half_first = KERNEL(load_half)(p->bias + j + at_tail, tail);
#pragma GCC unroll 8
        for (int m = 0; m < MR; m++) {
#pragma GCC unroll 8
            for (int v = 0; v < whole + (last == KERNEL(partial)); v++)
                sum[m][v] = first[v];
            if (last == KERNEL(halved))
                half_sum[m] = half_first;
        }
    } else {
#pragma GCC unroll 8
        for (int m = 0; m < MR; m++) {
            const vec same = KERNEL(set1)(p->row_bias ? p->row_bias[i + m] : C(0.0));
#pragma GCC unroll 8
            for (int v = 0; v < whole + (last == KERNEL(partial)); v++)
                sum[m][v] = same;
            if (last == KERNEL(halved))
                half_sum[m] = (half_vec){0} + same[0];
        }
    }
#pragma GCC unroll 8
    for (int m = 0; m < MR && G; m++)
        for (int g = 0; g < G; g++)
            chain[m][g] = (half_vec){0};

    const int bringing = also == KERNEL(bringing);
    const ptrdiff_t stretch = bringing ? KERNEL(stretch) : K;
    const real *left[FNN_MOST_ROWS], *brought[2 * FNN_MOST_ROWS]; /* the tile's own, and those of the next one */
    for (ptrdiff_t m = 0; bringing && m < 2 * MR; m++)
        brought[m] = KERNEL(row_at)(p->rows, i + m, lda) + p->k0;
#pragma GCC unroll 8
    for (int m = 0; m < MR; m++)
        left[m] = transposed ? p->a + i + m : bringing ? brought[m] : p->a + (i + m) * lda;

    for (ptrdiff_t k0 = 0; k0 < K; k0 += stretch) {
        const ptrdiff_t end = K - k0 < stretch ? K : k0 + stretch;
        real *to = (real *)p->a + i * lda;
        for (ptrdiff_t m = 0; bringing && m < MR; m++, to += lda) {
            __builtin_prefetch(brought[MR + m] + k0, 0, 3);
            for (ptrdiff_t k = k0; k < end; k += VL)
                KERNEL(store_part)(to + k, KERNEL(load_part)(brought[m] + k, end - k), end - k);
        }
        for (ptrdiff_t k = k0; k < end; k++) {
            vec right[FNN_ROW_VECTORS];
            half_vec half_right;
#pragma GCC unroll 8
            for (int v = 0; v < whole; v++)
                right[v] = MR == 2 ? KERNEL(in_register)(KERNEL(load)(b + v * VL)) : KERNEL(load)(b + v * VL);
            if (last == KERNEL(partial))
                right[whole] = KERNEL(load_tail)(b + at_tail, tail);
            if (last == KERNEL(halved) || G)
                half_right = KERNEL(load_half)(b + at_tail, tail);
            /* What is read with a long stride: W, or x of a weight gradient, whose panel of dz stays in the first-level cache. */
            if (MR >= 4 && ahead && !transposed)
#pragma GCC unroll 8
                for (int v = 0; v < NV; v++)
                    __builtin_prefetch(b + ahead + v * VL, 0, 3);
            if (MR >= 4 && ahead && transposed)
                __builtin_prefetch(left[0] + k * lda + ahead, 0, 3);
            if (also == KERNEL(copying)) {
#pragma GCC unroll 8
                for (int v = 0; v < NV; v++)
                    __builtin_prefetch(b + far + v * VL, 0, 2);
#pragma GCC unroll 8
                for (int v = 0; v < whole; v++)
                    KERNEL(store)(copy + v * VL, right[v]);
                if (last == KERNEL(partial))
                    KERNEL(store_tail)(copy + at_tail, right[whole], tail);
                if (last == KERNEL(halved))
                    KERNEL(store_half)(copy + at_tail, half_right, tail);
                copy += p->ld_copy;
            }
            const ptrdiff_t offset = transposed ? k * lda : k;
#pragma GCC unroll 8
            for (int m = 0; m < MR; m++) {
                const real element = transposed ? left[0][offset + m] : left[m][offset];
#pragma GCC unroll 8
                for (int v = 0; v < whole + (last == KERNEL(partial)); v++)
                    sum[m][v] += element * right[v];
                if (last == KERNEL(halved))
                    half_sum[m] += element * half_right;
                if (G) { /* the chains take turns */
                    const half_vec first = chain[m][0] + element * half_right;
#pragma GCC unroll 4
                    for (int g = 0; g < G - 1; g++)
                        chain[m][g] = chain[m][g + 1];
                    chain[m][G - 1] = first;
                }
            }
            b += ldb;
        }
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
        if (G) {
            /* Two at a time, so that the order does not depend on where a turn ended: even chains first. */
            const ptrdiff_t turn = K % G;
            const half_vec total = G == 2     ? chain[m][0] + chain[m][1]
                                   : turn % 2 ? (chain[m][3] + chain[m][0]) + (chain[m][1] + chain[m][2])
                                              : (chain[m][0] + chain[m][1]) + (chain[m][2] + chain[m][3]);
            KERNEL(store_half)
            (cm + at_tail, start ? KERNEL(load_half)(start + m * step + at_tail, tail) + total : total, tail);
        }
    }
}

typedef void (*KERNEL(tile_fn))(const KERNEL(product) *, ptrdiff_t, ptrdiff_t, ptrdiff_t);

/* Every tile that the edges of a product can need: all heights and widths, and ways to end. */
#define FNN_TILE_AS(name, MR, NV, transposed, also) \
    static void KERNEL(name)(const KERNEL(product) * p, ptrdiff_t i, ptrdiff_t j, ptrdiff_t tail) { \
        if (!tail) \
            KERNEL(tile)(p, i, j, 0, MR, NV, KERNEL(whole), transposed, also); \
        else if (MR <= 2 && !transposed && p->chained && tail <= VL / 4) \
            KERNEL(tile)(p, i, j, tail, MR, NV, KERNEL(chains_4), transposed, also); \
        else if (MR <= 2 && !transposed && p->chained) \
            KERNEL(tile)(p, i, j, tail, MR, NV, KERNEL(chains_2), transposed, also); \
        else if (FNN_HAS_HALVES && tail <= VL / 2) \
            KERNEL(tile)(p, i, j, tail, MR, NV, KERNEL(halved), transposed, also); \
        else \
            KERNEL(tile)(p, i, j, tail, MR, NV, KERNEL(partial), transposed, also); \
    }
#define FNN_TILE(MR, NV, transposed) FNN_TILE_AS(tile_##transposed##_##MR##x##NV, MR, NV, transposed, KERNEL(only))
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

/* The tall ones of one vector. */
#if FNN_TILE_ROWS < FNN_TALL_ROWS
FNN_TILE(8, 1, 0)
FNN_TILE(8, 1, 1)
#endif
static const KERNEL(tile_fn) KERNEL(tall_tiles)[2] = {KERNEL(tile_0_8x1), KERNEL(tile_1_8x1)};

/* Those at the top of a panel, which read b where it is and copy it for the tiles below. */
#define FNN_COPYING_TILE(NV, transposed) \
    FNN_TILE_AS(copying_##transposed##_##NV, FNN_TILE_ROWS, NV, transposed, KERNEL(copying))
FNN_COPYING_TILE(1, 0)
FNN_COPYING_TILE(1, 1)
FNN_COPYING_TILE(2, 0)
FNN_COPYING_TILE(2, 1)
#if FNN_TILE_VECTORS == 3
FNN_COPYING_TILE(3, 0)
FNN_COPYING_TILE(3, 1)
#endif
static const KERNEL(tile_fn) KERNEL(copying_tiles)[2][FNN_TILE_VECTORS] = {
#if FNN_TILE_VECTORS == 3
    {KERNEL(copying_0_1), KERNEL(copying_0_2), KERNEL(copying_0_3)},
    {KERNEL(copying_1_1), KERNEL(copying_1_2), KERNEL(copying_1_3)},
#else
    {KERNEL(copying_0_1), KERNEL(copying_0_2)},
    {KERNEL(copying_1_1), KERNEL(copying_1_2)},
#endif
};

/* Those that bring their rows. */
FNN_TILE_AS(bringing_1, FNN_TALL_ROWS, 1, 0, KERNEL(bringing))
FNN_TILE_AS(bringing_2, FNN_TILE_ROWS, 2, 0, KERNEL(bringing))
#if FNN_TILE_VECTORS == 3
FNN_TILE_AS(bringing_3, FNN_TILE_ROWS, 3, 0, KERNEL(bringing))
#endif
static const KERNEL(tile_fn) KERNEL(bringing_tiles)[FNN_TILE_VECTORS] = {
    KERNEL(bringing_1),
    KERNEL(bringing_2),
#if FNN_TILE_VECTORS == 3
    KERNEL(bringing_3),
#endif
};

/* The wide ones of one row and two. */
#define FNN_WIDE_TILES(MR, transposed) \
    FNN_TILE(MR, 4, transposed) \
    FNN_TILE(MR, 5, transposed) FNN_TILE(MR, 6, transposed) FNN_TILE(MR, 7, transposed) FNN_TILE(MR, 8, transposed)
FNN_WIDE_TILES(1, 0)
FNN_WIDE_TILES(1, 1)
FNN_WIDE_TILES(2, 0)
FNN_WIDE_TILES(2, 1)
#if FNN_TILE_VECTORS == 2
FNN_TILE(1, 3, 0)
FNN_TILE(1, 3, 1)
FNN_TILE(2, 3, 0)
FNN_TILE(2, 3, 1)
#endif

#define FNN_WIDE_NAMES(MR, transposed) \
    {KERNEL(tile_##transposed##_##MR##x1), KERNEL(tile_##transposed##_##MR##x2), KERNEL(tile_##transposed##_##MR##x3), \
     KERNEL(tile_##transposed##_##MR##x4), KERNEL(tile_##transposed##_##MR##x5), KERNEL(tile_##transposed##_##MR##x6), \
     KERNEL(tile_##transposed##_##MR##x7), KERNEL(tile_##transposed##_##MR##x8)}
static const KERNEL(tile_fn) KERNEL(wide_tiles)[2][2][FNN_ROW_VECTORS] = {
    {FNN_WIDE_NAMES(1, 0), FNN_WIDE_NAMES(2, 0)},
    {FNN_WIDE_NAMES(1, 1), FNN_WIDE_NAMES(2, 1)},
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
