/* What callers bring, in whatever type, as `real`, and whether such numbers are what is asked for.
   Generates convert, all_finite, all_up_to, rows_sum_to_one. */

static void KERNEL(convert)(void *y_, const void *x_, int type, ptrdiff_t n) {
    real *restrict y = y_;
    switch (type) {
#define FNN_FLOAT(name, kind, number) \
    case FNN_ELEMENT_##name: { \
        const kind *restrict x = x_; \
        for (ptrdiff_t i = 0; i < n; i++) \
            y[i] = (real)number(x[i]); \
    } break;
#define FNN_INTEGER FNN_FLOAT
#include "../fnn_ops.def"
    default:
        break;
    }
}

/* The largest bit pattern of x (n,), each shifted left by `shift`. Their order is that of the numbers without a sign, infinity
   and NaN behind all others, and behind these, where the sign is not shifted out, the numbers that have one. */
FNN_INLINE FNN_UINT KERNEL(largest_pattern)(const real *x, ptrdiff_t n, int shift) {
    FNN_UINT largest = 0;
    for (ptrdiff_t i = 0; i < n; i++) {
        FNN_UINT bits;
        memcpy(&bits, x + i, sizeof bits);
        bits <<= shift;
        largest = bits > largest ? bits : largest;
    }
    return largest;
}

FNN_INLINE FNN_UINT KERNEL(pattern)(real x) {
    FNN_UINT bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static void KERNEL(all_finite)(int *finite, const void *x, ptrdiff_t n) {
    *finite = KERNEL(largest_pattern)(x, n, 1) < KERNEL(pattern)((real)INFINITY) << 1;
}

static void KERNEL(all_up_to)(int *good, const void *x, double top, ptrdiff_t n) {
    *good = KERNEL(largest_pattern)(x, n, 0) <= KERNEL(pattern)((real)top);
}

static void KERNEL(rows_sum_to_one)(int *good, const void *x_, double tolerance, ptrdiff_t B, ptrdiff_t N) {
    const real *x = x_;
    *good = 1;
    for (ptrdiff_t i = 0; i < B; i++, x += N) {
        double sum = 0;
        for (ptrdiff_t j = 0; j < N; j++)
            sum += (double)x[j];
        *good &= fabs(sum - 1.0) <= tolerance;
    }
}
