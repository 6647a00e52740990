/* Matrices turned over, by way of registers. Generates turn_square, unzip, zip, turn_vectors, turn,
   transpose. */

/* Squares of 16 bytes a side, which every instruction set can turn over in registers; on AVX-512 of a whole vector where there
   is room; the rest one by one. */
FNN_INLINE void KERNEL(turn_square)(real *dst, ptrdiff_t ld_dst, const real *const *rows) {
    KERNEL(quad) r[KERNEL(square)];
    for (int i = 0; i < KERNEL(square); i++)
        r[i] = KERNEL(load_quad)(rows[i]);
#if FNN_BITS == 32
    const KERNEL(quad) a = FNN_PICK(r[0], r[1], 0, 4, 1, 5), b = FNN_PICK(r[0], r[1], 2, 6, 3, 7);
    const KERNEL(quad) c = FNN_PICK(r[2], r[3], 0, 4, 1, 5), d = FNN_PICK(r[2], r[3], 2, 6, 3, 7);
    r[0] = FNN_PICK(a, c, 0, 1, 4, 5);
    r[1] = FNN_PICK(a, c, 2, 3, 6, 7);
    r[2] = FNN_PICK(b, d, 0, 1, 4, 5);
    r[3] = FNN_PICK(b, d, 2, 3, 6, 7);
#else
    const KERNEL(quad) a = r[0];
    r[0] = FNN_PICK(a, r[1], 0, 2);
    r[1] = FNN_PICK(a, r[1], 1, 3);
#endif
    for (int i = 0; i < KERNEL(square); i++)
        memcpy(dst + i * ld_dst, &r[i], 16);
}

/* Of two vectors one behind the other: every second lane, from the first or the second on; and the lanes of one between those
   of the other, the first halves' or the second halves'. */
#if FNN_VBYTES * 8 / FNN_BITS == 16
#define FNN_EVEN(a, b) FNN_PICK(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30)
#define FNN_ODD(a, b) FNN_PICK(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31)
#define FNN_MIX_LOW(a, b) FNN_PICK(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define FNN_MIX_HIGH(a, b) FNN_PICK(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
#elif FNN_VBYTES * 8 / FNN_BITS == 8
#define FNN_EVEN(a, b) FNN_PICK(a, b, 0, 2, 4, 6, 8, 10, 12, 14)
#define FNN_ODD(a, b) FNN_PICK(a, b, 1, 3, 5, 7, 9, 11, 13, 15)
#define FNN_MIX_LOW(a, b) FNN_PICK(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define FNN_MIX_HIGH(a, b) FNN_PICK(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#elif FNN_VBYTES * 8 / FNN_BITS == 4
#define FNN_EVEN(a, b) FNN_PICK(a, b, 0, 2, 4, 6)
#define FNN_ODD(a, b) FNN_PICK(a, b, 1, 3, 5, 7)
#define FNN_MIX_LOW(a, b) FNN_PICK(a, b, 0, 4, 1, 5)
#define FNN_MIX_HIGH(a, b) FNN_PICK(a, b, 2, 6, 3, 7)
#else
#define FNN_EVEN(a, b) FNN_PICK(a, b, 0, 2)
#define FNN_ODD(a, b) FNN_PICK(a, b, 1, 3)
#define FNN_MIX_LOW(a, b) FNN_PICK(a, b, 0, 2)
#define FNN_MIX_HIGH(a, b) FNN_PICK(a, b, 1, 3)
#endif

/* Whole vectors of src (M, N), which has no gaps, turned over into dst (N, M): the narrowest matrices, 2 or 4 columns. Returns
   how many rows that were. */
FNN_INLINE ptrdiff_t KERNEL(unzip)(real *dst, ptrdiff_t ld_dst, const real *src, ptrdiff_t M, ptrdiff_t N) {
    ptrdiff_t i = 0;
    for (; N == 2 && i + VL <= M; i += VL) {
        const vec a = KERNEL(load)(src + 2 * i), b = KERNEL(load)(src + 2 * i + VL);
        KERNEL(store)(dst + i, FNN_EVEN(a, b));
        KERNEL(store)(dst + ld_dst + i, FNN_ODD(a, b));
    }
    for (; N == 4 && i + VL <= M; i += VL) {
        const real *from = src + 4 * i;
        const vec a = KERNEL(load)(from), b = KERNEL(load)(from + VL), c = KERNEL(load)(from + 2 * VL);
        const vec d = KERNEL(load)(from + 3 * VL);
        const vec even[2] = {FNN_EVEN(a, b), FNN_EVEN(c, d)}, odd[2] = {FNN_ODD(a, b), FNN_ODD(c, d)};
        KERNEL(store)(dst + i, FNN_EVEN(even[0], even[1]));
        KERNEL(store)(dst + ld_dst + i, FNN_EVEN(odd[0], odd[1]));
        KERNEL(store)(dst + 2 * ld_dst + i, FNN_ODD(even[0], even[1]));
        KERNEL(store)(dst + 3 * ld_dst + i, FNN_ODD(odd[0], odd[1]));
    }
    return i;
}

/* The way back: src (M, N) of 2 or 4 rows into dst (N, M). Returns how many columns that were. */
FNN_INLINE ptrdiff_t KERNEL(zip)(real *dst, const real *src, ptrdiff_t ld_src, ptrdiff_t M, ptrdiff_t N) {
    ptrdiff_t j = 0;
    for (; M == 2 && j + VL <= N; j += VL) {
        const vec a = KERNEL(load)(src + j), b = KERNEL(load)(src + ld_src + j);
        KERNEL(store)(dst + 2 * j, FNN_MIX_LOW(a, b));
        KERNEL(store)(dst + 2 * j + VL, FNN_MIX_HIGH(a, b));
    }
    for (; M == 4 && j + VL <= N; j += VL) {
        real *to = dst + 4 * j;
        const vec a = KERNEL(load)(src + j), b = KERNEL(load)(src + ld_src + j);
        const vec c = KERNEL(load)(src + 2 * ld_src + j), d = KERNEL(load)(src + 3 * ld_src + j);
        const vec low[2] = {FNN_MIX_LOW(a, c), FNN_MIX_LOW(b, d)}, high[2] = {FNN_MIX_HIGH(a, c), FNN_MIX_HIGH(b, d)};
        KERNEL(store)(to, FNN_MIX_LOW(low[0], low[1]));
        KERNEL(store)(to + VL, FNN_MIX_HIGH(low[0], low[1]));
        KERNEL(store)(to + 2 * VL, FNN_MIX_LOW(high[0], high[1]));
        KERNEL(store)(to + 3 * VL, FNN_MIX_HIGH(high[0], high[1]));
    }
    return j;
}

#if FNN_VBYTES == 64
/* A square of a whole vector a side, which reads each cache line once: with row and column written in binary one behind the
   other, mixing the first half of the rows with the second moves the row's first digit to the column's end. */
FNN_INLINE void KERNEL(turn_vectors)(real *dst, ptrdiff_t ld_dst, const real *src, ptrdiff_t ld_src,
                                     const ptrdiff_t *rows) {
    vec r[KERNEL(lanes)], mixed[KERNEL(lanes)];
#pragma GCC unroll 16
    for (int i = 0; i < VL; i++)
        r[i] = KERNEL(load)(src + (rows ? rows[i] : i) * ld_src);
#pragma GCC unroll 4
    for (int digits = VL; digits > 1; digits /= 2) {
#pragma GCC unroll 8
        for (int i = 0; i < VL / 2; i++) {
            mixed[2 * i] = FNN_MIX_LOW(r[i], r[i + VL / 2]);
            mixed[2 * i + 1] = FNN_MIX_HIGH(r[i], r[i + VL / 2]);
        }
#pragma GCC unroll 16
        for (int i = 0; i < VL; i++)
            r[i] = mixed[i];
    }
#pragma GCC unroll 16
    for (int i = 0; i < VL; i++)
        KERNEL(store)(dst + i * ld_dst, r[i]);
}
#endif

/* dst (N, M) = src (M, N) transposed, of leading dimensions of their own; rows: which rows of src, NULL for 0, 1, 2 … */
FNN_INLINE void KERNEL(turn)(real *dst, ptrdiff_t ld_dst, const real *src, ptrdiff_t ld_src, const ptrdiff_t *rows,
                             ptrdiff_t M, ptrdiff_t N) {
    if (M == 1 && ld_dst == 1 && !rows) { /* a line stays a line */
        memcpy(dst, src, (size_t)N * sizeof(real));
        return;
    }
    if (N == 1 && ld_src == 1 && !rows) {
        memcpy(dst, src, (size_t)M * sizeof(real));
        return;
    }
    if (!rows && ld_src == N) {
        const ptrdiff_t done = KERNEL(unzip)(dst, ld_dst, src, M, N);
        dst += done, src += done * N, M -= done;
    }
    if (!rows && ld_dst == M) {
        const ptrdiff_t done = KERNEL(zip)(dst, src, ld_src, M, N);
        dst += done * M, src += done, N -= done;
    }
    const ptrdiff_t S = KERNEL(square), whole_rows = M - M % S, whole_columns = N - N % S;
    /* 16 rows at a time: each of their cache lines, and of the destination's, is used up before it is lost. */
    for (ptrdiff_t block = 0; block < whole_rows; block += 16) {
        ptrdiff_t j = 0;
#if FNN_VBYTES == 64
        for (; j + VL <= N && block + 16 <= M; j += VL)
            for (ptrdiff_t i = block; i < block + 16; i += VL)
                KERNEL(turn_vectors)(dst + j * ld_dst + i, ld_dst, src + (rows ? 0 : i * ld_src) + j, ld_src,
                                     rows ? rows + i : NULL);
#endif
        for (; j < whole_columns; j += S)
            for (ptrdiff_t i = block; i < whole_rows && i < block + 16; i += S) {
                const real *square[KERNEL(square)];
                for (ptrdiff_t m = 0; m < S; m++)
                    square[m] = src + (rows ? rows[i + m] : i + m) * ld_src + j;
                KERNEL(turn_square)(dst + j * ld_dst + i, ld_dst, square);
            }
    }
    for (ptrdiff_t i = 0; i < M; i++)
        for (ptrdiff_t j = i < whole_rows ? whole_columns : 0; j < N; j++)
            dst[j * ld_dst + i] = src[(rows ? rows[i] : i) * ld_src + j];
}

static void KERNEL(transpose)(void *dst, const void *src, ptrdiff_t M, ptrdiff_t N) {
    KERNEL(turn)(dst, M, src, N, NULL, M, N);
}
