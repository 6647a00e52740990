/* Softmax of rows, and what the cross-entropy needs of it. Long rows are gone through vector by vector; of short ones, which
   would leave most of a vector empty and end in sums across its lanes, VL at a time are turned over so that a lane is a row.
   Which way is taken depends on the length of the row alone. Generates softmax_forward, softmax_backward. */

enum { KERNEL(short_row) = 16 };

/* e^(z - top), with z - top in two parts (Knuth's two-sum): the rounding of a difference of 40 alone would cost 20 ulp. */
FNN_INLINE vec KERNEL(shifted_exp)(vec z, vec top) {
    const vec high = z - top, shift = high - z, rest = (z - (high - shift)) - (top + shift);
    const vec low = (vec)((ivec)rest & (high > FNN_EXP_LOW)); /* -inf - top leaves no rest */
    vec k;
    const vec m = KERNEL(exp_parts)(high, low, &k);
    return KERNEL(scale_by_power)(m, k);
}

/* Largest element of a row, its sum of exponentials, and those exponentials in y. */
FNN_INLINE real KERNEL(row_maximum)(const real *z, ptrdiff_t O) {
    vec top = KERNEL(set1)(z[0]);
    for (ptrdiff_t j = 0; j < O; j += VL) {
        vec v = KERNEL(load_part)(z + j, O - j);
        if (O - j < VL)
            v = KERNEL(select)(KERNEL(first_lanes)(O - j), v, top);
        top = KERNEL(select)(v > top, v, top);
    }
    real best = top[0];
    for (ptrdiff_t i = 1; i < VL; i++)
        best = top[i] > best ? top[i] : best;
    return best;
}

FNN_INLINE real KERNEL(row_exponentials)(real *y, const real *z, real top, ptrdiff_t O) {
    vec sum = KERNEL(set1)(C(0.0)), lost = sum;
    for (ptrdiff_t j = 0; j < O; j += VL) {
        vec e = KERNEL(shifted_exp)(KERNEL(load_part)(z + j, O - j), KERNEL(set1)(top));
        KERNEL(store_part)(y + j, e, O - j);
        if (O - j < VL)
            e = (vec)((ivec)e & KERNEL(first_lanes)(O - j));
        /* Kahan's sum: its error does not grow with the length of the row. */
        const vec term = e - lost, next = sum + term;
        lost = (next - sum) - term;
        sum = next;
    }
    return KERNEL(sum_lanes)(sum);
}

FNN_INLINE void KERNEL(scale_row)(real *y, real factor, ptrdiff_t O) {
    for (ptrdiff_t j = 0; j < O; j += VL)
        KERNEL(store_part)(y + j, KERNEL(load_part)(y + j, O - j) * factor, O - j);
}

/* n <= VL short rows of z (n, O), turned over: line j of `lines` holds element j of every row; the lanes behind row n repeat
   it. */
FNN_INLINE void KERNEL(turn_rows)(real *lines, const real *z, ptrdiff_t n, ptrdiff_t O) {
    KERNEL(turn)(lines, VL, z, O, NULL, n, O);
    for (ptrdiff_t j = 0; n < VL && j < O; j++)
        for (ptrdiff_t r = n; r < VL; r++)
            lines[j * VL + r] = lines[j * VL + n - 1];
}

FNN_INLINE vec KERNEL(line_maximum)(const real *lines, ptrdiff_t O) {
    vec top = KERNEL(load)(lines);
    for (ptrdiff_t j = 1; j < O; j++) {
        const vec v = KERNEL(load)(lines + j * VL);
        top = KERNEL(select)(v > top, v, top);
    }
    return top;
}

/* The exponentials take the place of the lines; returns their sums. */
FNN_INLINE vec KERNEL(line_exponentials)(real *lines, vec top, ptrdiff_t O) {
    vec sum = KERNEL(set1)(C(0.0));
    for (ptrdiff_t j = 0; j < O; j++) {
        const vec e = KERNEL(shifted_exp)(KERNEL(load)(lines + j * VL), top);
        KERNEL(store)(lines + j * VL, e);
        sum += e;
    }
    return sum;
}

static void KERNEL(softmax_forward)(void *y_, const void *z_, double alpha, ptrdiff_t B, ptrdiff_t O) {
    (void)alpha;
    real *y = y_, lines[KERNEL(short_row) * KERNEL(lanes)];
    const real *z = z_;
    for (ptrdiff_t i = 0; O > 0 && O <= KERNEL(short_row) && i < B; i += VL) {
        const ptrdiff_t n = B - i < VL ? B - i : VL;
        KERNEL(turn_rows)(lines, z + i * O, n, O);
        const vec factor = C(1.0) / KERNEL(line_exponentials)(lines, KERNEL(line_maximum)(lines, O), O);
        for (ptrdiff_t j = 0; j < O; j++)
            KERNEL(store)(lines + j * VL, KERNEL(load)(lines + j * VL) * factor);
        KERNEL(turn)(y + i * O, O, lines, VL, NULL, O, n);
    }
    for (ptrdiff_t i = 0; O > KERNEL(short_row) && i < B; i++) {
        const real sum = KERNEL(row_exponentials)(y + i * O, z + i * O, KERNEL(row_maximum)(z + i * O, O), O);
        KERNEL(scale_row)(y + i * O, C(1.0) / sum, O);
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
