/* Softmax of rows, and what the cross-entropy needs of it.

   e^(z - top) is taken as e^z 2^-n, with n what the top is in powers of two: nothing is rounded by such a shift, where the
   difference z - top alone would cost 20 ulp at 40, and where no exponential is out of range it can be left out without a bit
   of the result changing.

   Long rows are gone through vector by vector. Short ones would leave the last vector mostly empty and end in sums across its
   lanes: VL of them lie in line as O whole vectors; the sums of four rows are taken at a time, and `lookup` brings what is one
   a row back to its elements. Which way is taken depends on the length of the row alone.
   Generates softmax_forward, softmax_backward. */

enum { KERNEL(short_row) = 128 };

/* Up to here exponentials, their sums and quotients are normal numbers. */
#define FNN_PLAIN_EXP (FNN_BITS == 32 ? C(40.0) : C(300.0))

/* e^z relative to a row's top, 1 / sqrt 2 to sqrt 2 where z is the top. A top that is large is taken off first: the difference
   is then exact, or so large that the result is zero. */
FNN_INLINE vec KERNEL(shifted_exp)(vec z, vec top) {
    const vec base = KERNEL(select)(KERNEL(absolute)(top) < C(-2.0) * FNN_EXP_LOW, KERNEL(set1)(C(0.0)), top);
    const vec n = ((top - base) * FNN_LOG2E + FNN_ROUNDER) - FNN_ROUNDER;
    vec shifted;
    const vec m = KERNEL(exp_parts)(KERNEL(at_least)(z - base, C(3.0) * FNN_EXP_LOW), &shifted, FNN_LOWERED);
    return m * KERNEL(lifted_power)(KERNEL(at_least)(shifted - n, FNN_ROUNDER + C(1.5) * FNN_EXP_LOW));
}

/* The same but for a power of two, for |z| <= FNN_PLAIN_EXP. */
FNN_INLINE vec KERNEL(plain_exp)(vec z) {
    vec shifted;
    const vec m = KERNEL(exp_parts)(z, &shifted, C(1.0));
    return KERNEL(times_power)(m, shifted);
}

/* --- Long rows ------------------------------------------------------------------------------------------------------- */

FNN_INLINE real KERNEL(row_maximum)(const real *z, ptrdiff_t O) {
    vec top = KERNEL(set1)(z[0]);
    for (ptrdiff_t j = 0; j < O; j += VL) {
        const vec v = KERNEL(load_part)(z + j, O - j);
        top = KERNEL(larger)(O - j < VL ? KERNEL(select)(KERNEL(first_lanes)(O - j), v, top) : v, top);
    }
    real best = top[0];
    for (ptrdiff_t i = 1; i < VL; i++)
        best = top[i] > best ? top[i] : best;
    return best;
}

/* A sign bit where |z| > FNN_PLAIN_EXP: magnitudes are ordered like their bit patterns, NaN last. */
FNN_INLINE ivec KERNEL(beyond_plain)(vec z) { return (ivec)KERNEL(set1)(FNN_PLAIN_EXP) - (ivec)KERNEL(absolute)(z); }

FNN_INLINE int KERNEL(row_is_plain)(const real *z, ptrdiff_t O) {
    ivec beyond = {0};
    for (ptrdiff_t j = 0; j < O; j += VL)
        beyond |= KERNEL(beyond_plain)(KERNEL(load_part)(z + j, O - j));
    return !KERNEL(any)(beyond < 0);
}

/* The exponentials of a row, in y, relative to top unless plain; returns their sum. */
FNN_INLINE real KERNEL(row_exponentials)(real *y, const real *z, real top, ptrdiff_t O, const int plain) {
    vec sum = KERNEL(set1)(C(0.0)), lost = sum;
    for (ptrdiff_t j = 0; j < O; j += VL) {
        const vec v = KERNEL(load_part)(z + j, O - j);
        vec e = plain ? KERNEL(plain_exp)(v) : KERNEL(shifted_exp)(v, KERNEL(set1)(top));
        KERNEL(store_part)(y + j, e, O - j);
        if (O - j < VL)
            e = (vec)((ivec)e & KERNEL(first_lanes)(O - j));
        /* What each addition rounds away is kept (Dekker's sum): the error does not grow with the length of the row. */
        const vec next = sum + e;
        lost += e - (next - sum);
        sum = next;
    }
    return KERNEL(sum_lanes)(sum + lost);
}

/* a / b with factor = 1 / b, which many a share: two multiply-adds make up for what that rounded, so that a row whose top
   outweighs the rest has exactly 1 there. Cheaper than dividing where multiply-adds are fused. */
FNN_INLINE vec KERNEL(quotient)(vec a, vec b, vec factor) {
#ifdef FNN_AVX
    const vec q = a * factor;
    return q + (a - q * b) * factor;
#else
    (void)factor;
    return a / b;
#endif
}

FNN_INLINE void KERNEL(divide_row)(real *y, real sum, ptrdiff_t O) {
    const vec all = KERNEL(set1)(sum), factor = C(1.0) / all;
    for (ptrdiff_t j = 0; j < O; j += VL)
        KERNEL(store_part)(y + j, KERNEL(quotient)(KERNEL(load_part)(y + j, O - j), all, factor), O - j);
}

/* --- Short rows in line ---------------------------------------------------------------------------------------------- */

/* A line holds as many blocks of VL rows as fit; what is done to it is done to all of it before the next, so that no
   instruction waits for the one before. Its elements may be read in fours past the last one. */
enum {
    KERNEL(line_size) = KERNEL(short_row) * KERNEL(lanes),
    KERNEL(line_room) = KERNEL(line_size) + 4,
    KERNEL(most_rows) = 64 * KERNEL(lanes)
};

FNN_INLINE ptrdiff_t KERNEL(line_rows)(ptrdiff_t O) { return (O <= 64 ? 64 / O : 1) * VL; }

/* Which of its rows the lanes of each of a block's O vectors belong to. The row stands in the low bits, which are all that
   `lookup` looks at. */
FNN_INLINE void KERNEL(rows_of_lanes)(ivec *rows, ptrdiff_t O) {
    const vec per_element = KERNEL(set1)(C(1.0) / (real)O);
    for (ptrdiff_t v = 0; v < O; v++) {
        const vec position = KERNEL(lane_counts)() + ((real)(v * VL) + C(0.5));
        rows[v] = (ivec)((position * per_element - C(0.5)) + FNN_ROUNDER);
    }
}

/* Sum or maximum of each row of a line of n rows, rounded up to whole blocks. */
FNN_INLINE void KERNEL(reduce_rows)(real *out, const real *line, ptrdiff_t n, ptrdiff_t O, KERNEL(quad) neutral,
                                    KERNEL(quad) (*join)(KERNEL(quad), KERNEL(quad))) {
    enum { S = KERNEL(square) };
    const KERNEL(quad_index) rest = KERNEL(quad_numbers)() < (FNN_INT)(O % S);
    for (ptrdiff_t r = 0; r < n; r += S) {
        const real *row = line + r * O;
        KERNEL(quad) part[S], other[S];
#pragma GCC unroll 4
        for (int m = 0; m < S; m++)
            part[m] = other[m] = neutral;
        ptrdiff_t j = 0;
        for (; j + 2 * S <= O; j += 2 * S)
#pragma GCC unroll 4
            for (int m = 0; m < S; m++) {
                part[m] = join(part[m], KERNEL(load_quad)(row + m * O + j));
                other[m] = join(other[m], KERNEL(load_quad)(row + m * O + j + S));
            }
        if (j + S <= O) {
#pragma GCC unroll 4
            for (int m = 0; m < S; m++)
                part[m] = join(part[m], KERNEL(load_quad)(row + m * O + j));
            j += S;
        }
#pragma GCC unroll 4
        for (int m = 0; m < S; m++) {
            const KERNEL(quad_index) last = (KERNEL(quad_index))KERNEL(load_quad)(row + m * O + j);
            other[m] = join(other[m], (KERNEL(quad))((last & rest) | ((KERNEL(quad_index))neutral & ~rest)));
            part[m] = join(part[m], other[m]);
        }
        const KERNEL(quad) four = KERNEL(join_lanes)(part, join);
        memcpy(out + r, &four, sizeof four);
    }
}

FNN_INLINE KERNEL(quad) KERNEL(quad_maximum)(KERNEL(quad) a, KERNEL(quad) b) {
    const KERNEL(quad_index) more = a > b;
    return (KERNEL(quad))(((KERNEL(quad_index))a & more) | ((KERNEL(quad_index))b & ~more));
}

FNN_INLINE void KERNEL(line_sums)(real *sums, const real *line, ptrdiff_t n, ptrdiff_t O) {
    KERNEL(reduce_rows)(sums, line, n, O, (KERNEL(quad)){0}, KERNEL(quad_sum));
}

FNN_INLINE void KERNEL(line_maxima)(real *tops, const real *line, ptrdiff_t n, ptrdiff_t O) {
    KERNEL(reduce_rows)(tops, line, n, O, (KERNEL(quad)){0} - (real)INFINITY, KERNEL(quad_maximum));
}

/* Zeros behind the n elements of a line, up to the end of the block and the four that may be read. */
FNN_INLINE void KERNEL(pad_line)(real *line, ptrdiff_t n, ptrdiff_t O) {
    const ptrdiff_t end = (n + O * VL - 1) / (O * VL) * (O * VL) + 4;
    memset(line + n, 0, (size_t)(end - n) * sizeof *line);
}

/* n rows of z (n, O) in line. */
FNN_INLINE void KERNEL(line_up)(real *line, const real *z, ptrdiff_t n, ptrdiff_t O) {
    for (ptrdiff_t j = 0; j < n * O; j += VL)
        KERNEL(store)(line + j, KERNEL(load_part)(z + j, n * O - j));
    KERNEL(pad_line)(line, n * O, O);
}

/* Exponentials of n elements, right if all are plain; whether they are. */
FNN_INLINE int KERNEL(plain_exponentials)(real *line, const real *z, ptrdiff_t n) {
    ivec beyond = {0};
    for (ptrdiff_t j = 0; j < n; j += VL) {
        const vec v = KERNEL(load_part)(z + j, n - j);
        beyond |= KERNEL(beyond_plain)(v);
        KERNEL(store)(line + j, KERNEL(plain_exp)(v));
    }
    return !KERNEL(any)(beyond < 0);
}

/* Exponentials of n rows in line, relative to the rows' tops. */
FNN_INLINE void KERNEL(shifted_exponentials)(real *line, const real *z, const real *tops, const ivec *rows, ptrdiff_t n,
                                             ptrdiff_t O) {
    for (ptrdiff_t r = 0; r < n; r += VL)
        for (ptrdiff_t v = 0, j = r * O; v < O && j < n * O; v++, j += VL) {
            const vec top = KERNEL(lookup)(KERNEL(load)(tops + r), rows[v]);
            KERNEL(store)(line + j, KERNEL(shifted_exp)(KERNEL(load_part)(z + j, n * O - j), top));
        }
}

FNN_INLINE void KERNEL(short_softmax)(real *y, const real *z, ptrdiff_t B, ptrdiff_t O) {
    real line[KERNEL(line_room)], per_row[KERNEL(most_rows)];
    ivec rows[KERNEL(short_row)];
    const ptrdiff_t most = KERNEL(line_rows)(O);
    KERNEL(rows_of_lanes)(rows, O);
    for (ptrdiff_t i = 0; i < B; i += most, z += most * O, y += most * O) {
        const ptrdiff_t n = B - i < most ? B - i : most;
        if (!KERNEL(plain_exponentials)(line, z, n * O)) {
            KERNEL(line_up)(line, z, n, O);
            KERNEL(line_maxima)(per_row, line, n, O);
            KERNEL(shifted_exponentials)(line, z, per_row, rows, n, O);
        }
        KERNEL(pad_line)(line, n * O, O);
        KERNEL(line_sums)(per_row, line, n, O);
        for (ptrdiff_t r = 0; r < n; r += VL) {
            const vec sums = KERNEL(load)(per_row + r), factors = C(1.0) / sums;
            for (ptrdiff_t v = 0, j = r * O; v < O && j < n * O; v++, j += VL) {
                const vec sum = KERNEL(lookup)(sums, rows[v]), factor = KERNEL(lookup)(factors, rows[v]);
                KERNEL(store_part)(y + j, KERNEL(quotient)(KERNEL(load)(line + j), sum, factor), n * O - j);
            }
        }
    }
}

static void KERNEL(softmax_forward)(void *y_, const void *z_, double alpha, ptrdiff_t B, ptrdiff_t O) {
    (void)alpha;
    real *y = y_;
    const real *z = z_;
    if (0 < O && O <= KERNEL(short_row)) {
        KERNEL(short_softmax)(y, z, B, O);
        return;
    }
    for (ptrdiff_t i = 0; O > 0 && i < B; i++, y += O, z += O) {
        const real sum = KERNEL(row_is_plain)(z, O) ? KERNEL(row_exponentials)(y, z, 0, O, 1)
                                                    : KERNEL(row_exponentials)(y, z, KERNEL(row_maximum)(z, O), O, 0);
        KERNEL(divide_row)(y, sum, O);
    }
}

/* y o (dy - <dy, y>) */
static void KERNEL(softmax_backward)(void *dz_, const void *dy_, const void *y_, const void *z, double alpha,
                                     ptrdiff_t B, ptrdiff_t O) {
    (void)z, (void)alpha;
    for (ptrdiff_t i = 0; i < B; i++) {
        real *dz = (real *)dz_ + i * O;
        const real *dy = (const real *)dy_ + i * O, *y = (const real *)y_ + i * O;
        vec sum = KERNEL(set1)(C(0.0));
        for (ptrdiff_t j = 0; j < O; j += VL)
            sum += KERNEL(load_part)(dy + j, O - j) * KERNEL(load_part)(y + j, O - j);
        const real inner = KERNEL(sum_lanes)(sum);
        for (ptrdiff_t j = 0; j < O; j += VL) {
            const vec d = KERNEL(load_part)(dy + j, O - j) - inner;
            KERNEL(store_part)(dz + j, KERNEL(load_part)(y + j, O - j) * d, O - j);
        }
    }
}
