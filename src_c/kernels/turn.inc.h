/* Matrices turned over, by way of registers. Generates turn_square, turn, transpose. */

/* Squares of 16 bytes a side, which every instruction set can turn over in registers; the rest one by one. */
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

/* dst (N, M) = src (M, N) transposed, of leading dimensions of their own; rows: which rows of src, NULL for 0, 1, 2 … */
FNN_INLINE void KERNEL(turn)(real *dst, ptrdiff_t ld_dst, const real *src, ptrdiff_t ld_src, const ptrdiff_t *rows,
                             ptrdiff_t M, ptrdiff_t N) {
    const ptrdiff_t S = KERNEL(square), whole_rows = M - M % S, whole_columns = N - N % S;
    /* 16 rows at a time: each of their cache lines, and of the destination's, is used up before it is lost. */
    for (ptrdiff_t block = 0; block < whole_rows; block += 16)
        for (ptrdiff_t j = 0; j < whole_columns; j += S)
            for (ptrdiff_t i = block; i < whole_rows && i < block + 16; i += S) {
                const real *square[KERNEL(square)];
                for (ptrdiff_t m = 0; m < S; m++)
                    square[m] = src + (rows ? rows[i + m] : i + m) * ld_src + j;
                KERNEL(turn_square)(dst + j * ld_dst + i, ld_dst, square);
            }
    for (ptrdiff_t i = 0; i < M; i++)
        for (ptrdiff_t j = i < whole_rows ? whole_columns : 0; j < N; j++)
            dst[j * ld_dst + i] = src[(rows ? rows[i] : i) * ld_src + j];
}

static void KERNEL(transpose)(void *dst, const void *src, ptrdiff_t M, ptrdiff_t N) {
    KERNEL(turn)(dst, M, src, N, NULL, M, N);
}
