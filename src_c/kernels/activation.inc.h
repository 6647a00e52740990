/* Activations. An elementwise one is two functions of a vector:

     <name>_value(z, alpha)     g(z)
     <name>_slope(y, z, alpha)  g'(z), from the output y = g(z) where that is enough, else from z (its row in fnn_ops.def
                                then says needs_z)
     <name>_guarded(z, alpha)   where the row says GUARDED: g(z) to the same bits, fast for denormals, slower for others

   from which the row in fnn_ops.def stamps <name>_forward and <name>_backward. softmax, which works on rows, is in
   softmax.inc.h. Formulas, ranges and error bounds: fastnn/reference. Generates <name>_forward, <name>_backward. */

FNN_INLINE vec KERNEL(identity_value)(vec z, vec alpha) {
    (void)alpha;
    return z;
}

FNN_INLINE vec KERNEL(identity_slope)(vec y, vec z, vec alpha) {
    (void)y, (void)z, (void)alpha;
    return KERNEL(set1)(C(1.0));
}

FNN_INLINE vec KERNEL(sigmoid_value)(vec z, vec alpha) {
    (void)alpha;
    vec t;
    const vec e = KERNEL(odds)(z, &t);
    return e / (e + t);
}

FNN_INLINE vec KERNEL(sigmoid_slope)(vec y, vec z, vec alpha) {
    (void)z, (void)alpha;
    return y * (C(1.0) - y);
}

#if FNN_HAS_PIECES
/* In 16 pieces, which cost less than an exponential and a division. Exactly z next to zero, and 1 at the end. */
FNN_INLINE vec KERNEL(tanh_value)(vec z, vec alpha) {
    (void)alpha;
    static const real pieces[][KERNEL(lanes)] = {FNN_TANH_PIECES};
    const vec a = KERNEL(at_most)(KERNEL(absolute)(z), FNN_TANH_END);
    const ivec piece = (ivec)(a + FNN_TANH_OFFSET) >> (FNN_MANTISSA - 2);
    const vec d = a - KERNEL(lookup)(KERNEL(load)(pieces[0]), piece);
    enum { last = sizeof pieces / sizeof *pieces - 1 };
    vec sum = KERNEL(lookup)(KERNEL(load)(pieces[last]), piece);
#pragma GCC unroll 8
    for (int i = last - 1; i > 0; i--)
        sum = sum * d + KERNEL(lookup)(KERNEL(load)(pieces[i]), piece);
    return KERNEL(with_sign)(sum, z);
}
#else
/* (e^2a - 1) / (e^2a + 1) with a = |z| and e^2a = 2^k (1 + 2q), as (q + (1 - 2^-k) / 2) / (q + (1 + 2^-k) / 2); 1 to the last
   bit from a = 20 on. The reduction is in halves, 2a = k ln 2 + 2r, which spares the doubling, and in one piece: what ln 2 is
   rounded by counts for k large, where the result does not depend on it. */
FNN_INLINE vec KERNEL(tanh_value)(vec z, vec alpha) {
    (void)alpha;
    const vec a = KERNEL(at_most)(KERNEL(absolute)(z), C(20.0));
    const vec shifted = a * (C(2.0) * FNN_LOG2E) + FNN_ROUNDER, k = shifted - FNN_ROUNDER;
    const vec t = KERNEL(over_power)(KERNEL(set1)(C(0.5)), shifted);
    const vec r = a - k * (C(0.5) * FNN_LN2);
    const vec q = r + r * r * FNN_POLYNOMIAL(r, FNN_DOUBLED_TAIL);
    return KERNEL(with_sign)((q + (C(0.5) - t)) / (q + (C(0.5) + t)), z);
}
#endif

/* The same bits without denormals: below 2^-60 both are z itself, and the division has zero instead. */
FNN_INLINE vec KERNEL(tanh_guarded)(vec z, vec alpha) {
    const ivec small = KERNEL(absolute)(z) < C(0x1p-60);
    return KERNEL(select)(small, z, KERNEL(tanh_value)((vec)((ivec)z & ~small), alpha));
}

FNN_INLINE vec KERNEL(tanh_slope)(vec y, vec z, vec alpha) {
    (void)z, (void)alpha;
    return C(1.0) - y * y;
}

FNN_INLINE vec KERNEL(relu_value)(vec z, vec alpha) {
    (void)alpha;
    return KERNEL(at_least)(z, C(0.0));
}

FNN_INLINE vec KERNEL(relu_slope)(vec y, vec z, vec alpha) {
    (void)z, (void)alpha;
    return KERNEL(select)(y > C(0.0), KERNEL(set1)(C(1.0)), KERNEL(set1)(C(0.0)));
}

FNN_INLINE vec KERNEL(leaky_relu_value)(vec z, vec alpha) { return KERNEL(select)(z > C(0.0), z, alpha * z); }

FNN_INLINE vec KERNEL(leaky_relu_slope)(vec y, vec z, vec alpha) {
    (void)z;
    return KERNEL(select)(y > C(0.0), KERNEL(set1)(C(1.0)), alpha);
}

FNN_INLINE vec KERNEL(elu_value)(vec z, vec alpha) {
    /* Below -45 the result is -alpha to the last bit. */
    const vec m = KERNEL(expm1)(KERNEL(at_least)(KERNEL(at_most)(z, C(0.0)), C(-45.0)));
    return KERNEL(select)(z > C(0.0), z, alpha * m);
}

FNN_INLINE vec KERNEL(elu_slope)(vec y, vec z, vec alpha) {
    (void)z;
    return KERNEL(select)(y > C(0.0), KERNEL(set1)(C(1.0)), y + alpha);
}

/* log(1 + e^z) = max(z, 0) + log1p(e^-|z|) */
FNN_INLINE vec KERNEL(softplus_value)(vec z, vec alpha) {
    (void)alpha;
    return KERNEL(at_least)(z, C(0.0)) + KERNEL(log1p)(KERNEL(exp)(KERNEL(negative_abs)(z)));
}

FNN_INLINE vec KERNEL(softplus_slope)(vec y, vec z, vec alpha) {
    (void)z, (void)alpha;
    return -KERNEL(expm1)(-KERNEL(at_most)(y, C(45.0)));
}

/* The normal distribution's tail: (a + K) factor scale Phi(-a) = result 2^k, a = |z| up to where the tail is zero, as e^(-a^2/2)
   times a polynomial in s - 1/2, s = a / (a + K). The square is taken exactly, in two parts, and the second goes into the exponential's reduced argument;
   e^(-a^2/2) itself is exp_m 2^k. */
#define FNN_GELU_LIMIT (FNN_BITS == 32 ? C(15.0) : C(38.9))

FNN_INLINE vec KERNEL(normal_tail_times)(vec a, vec s, vec factor, real scale, vec *exp_m, vec *shifted) {
#ifdef FNN_AVX /* the rounding of the product, from a fused multiply-add */
    const vec square = a * a;
    const vec rest = (vec)FNN_AVX(fmsub)((FNN_AVX_VECTOR)a, (FNN_AVX_VECTOR)a, (FNN_AVX_VECTOR)square);
#else
    const vec high = (vec)((ivec)a & FNN_HIGH_BITS), square = high * high, rest = (a - high) * (a + high);
#endif
    /* As `reduce` of -a^2/2, but of -2 times its r, which saves a multiplication. */
    *shifted = square * (C(-0.5) * FNN_LOG2E) + FNN_ROUNDER;
    const vec k = *shifted - FNN_ROUNDER;
    const vec r = ((square + k * (C(2.0) * FNN_LN2_HIGH)) + k * (C(2.0) * FNN_LN2_LOW)) + rest;
    const vec u = r * (C(-0.5) + r * FNN_POLYNOMIAL(r, FNN_HALVED_TAIL));
    const vec w = factor * FNN_SCALED_POLYNOMIAL(scale, s - C(0.5), FNN_GELU_TAIL);
    *exp_m = C(1.0) + u;
    return w + w * u; /* one rounding less than w (1 + u) */
}

/* z Phi(z) = max(z, 0) - |z| Phi(-|z|), multiplied before it is scaled into the denormals. */
FNN_INLINE vec KERNEL(gelu_anywhere)(vec z, vec alpha) {
    (void)alpha;
    vec exp_m, shifted;
    const vec a = KERNEL(at_most)(KERNEL(absolute)(z), FNN_GELU_LIMIT);
    const vec s = a / (a + FNN_GELU_CENTRE), tail = KERNEL(normal_tail_times)(a, s, s, C(1.0), &exp_m, &shifted);
    return KERNEL(at_least)(z, C(0.0)) - KERNEL(scale_by_power)(tail, shifted);
}

/* Phi(z) + z phi(z) */
FNN_INLINE vec KERNEL(gelu_slope_anywhere)(vec y, vec z, vec alpha) {
    (void)y, (void)alpha;
    vec exp_m, shifted;
    const vec a = KERNEL(at_most)(KERNEL(absolute)(z), FNN_GELU_LIMIT);
    const vec inverse = C(1.0) / (a + FNN_GELU_CENTRE);
    const vec tail_m = KERNEL(normal_tail_times)(a, a * inverse, inverse, FNN_LOWERED, &exp_m, &shifted);
    const vec power = KERNEL(lifted_power)(shifted), tail = tail_m * power;
    const vec bounded = KERNEL(at_most)(KERNEL(at_least)(z, C(-40.0)), C(40.0));
    const vec density = exp_m * (C(0.39894228040143267794) * FNN_LOWERED) * power;
    return KERNEL(select)(z < C(0.0), tail, C(1.0) - tail) + bounded * density;
}

#if FNN_HAS_PIECES
/* Both in 32 pieces up to here: at a third less than the exponential, the division and two polynomials above. What they leave
   behind is nothing beside z and 1, but all of the result where z is negative: such lanes, which are rare, are calculated the
   other way, so that a result does not depend on its neighbours. */
#define FNN_GELU_END (C(31.4) * FNN_GELU_WIDTH)

/* 0 <= a <= FNN_GELU_END. Multiples of the width have few bits, so that d is exact. */
FNN_INLINE vec KERNEL(in_pieces)(vec a, const real (*coefficients)[2 * KERNEL(lanes)], int degree) {
    const vec piece = a * (C(1.0) / FNN_GELU_WIDTH) + FNN_ROUNDER, d = a - (piece - FNN_ROUNDER) * FNN_GELU_WIDTH;
    vec sum = KERNEL(lookup_in_two)(coefficients[degree], (ivec)piece);
#pragma GCC unroll 8
    for (int i = degree - 1; i >= 0; i--)
        sum = sum * d + KERNEL(lookup_in_two)(coefficients[i], (ivec)piece);
    return sum;
}

/* Not in line: it would take the registers that hold the coefficients. */
static __attribute__((noinline, cold)) vec KERNEL(gelu_far)(vec z, vec near) {
    return KERNEL(select)(z < -FNN_GELU_END, KERNEL(gelu_anywhere)(z, z), near);
}

static __attribute__((noinline, cold)) vec KERNEL(gelu_slope_far)(vec z, vec near) {
    return KERNEL(select)(z < -FNN_GELU_END, KERNEL(gelu_slope_anywhere)(z, z, z), near);
}

FNN_INLINE vec KERNEL(gelu_value)(vec z, vec alpha) {
    (void)alpha;
    static const real pieces[][2 * KERNEL(lanes)] = {FNN_GELU_PIECES};
    const vec a = KERNEL(smaller_magnitude)(z, FNN_GELU_END);
    const vec phi = KERNEL(in_pieces)(a, pieces, sizeof pieces / sizeof *pieces - 1);
    const vec near = KERNEL(at_least)(z, C(0.0)) - a * phi;
    return __builtin_expect(KERNEL(any_below)(z, -FNN_GELU_END), 0) ? KERNEL(gelu_far)(z, near) : near;
}

FNN_INLINE vec KERNEL(gelu_slope)(vec y, vec z, vec alpha) {
    (void)y, (void)alpha;
    static const real pieces[][2 * KERNEL(lanes)] = {FNN_GELU_SLOPE_PIECES};
    const vec a = KERNEL(at_most)(KERNEL(absolute)(z), FNN_GELU_END); /* NaN stays */
    const vec s = KERNEL(in_pieces)(a, pieces, sizeof pieces / sizeof *pieces - 1);
    const vec near = KERNEL(select)(z < C(0.0), s, C(1.0) - s);
    return __builtin_expect(KERNEL(any_below)(z, -FNN_GELU_END), 0) ? KERNEL(gelu_slope_far)(z, near) : near;
}
#else
FNN_INLINE vec KERNEL(gelu_value)(vec z, vec alpha) { return KERNEL(gelu_anywhere)(z, alpha); }
FNN_INLINE vec KERNEL(gelu_slope)(vec y, vec z, vec alpha) { return KERNEL(gelu_slope_anywhere)(y, z, alpha); }
#endif

/* z e^z / (1 + e^z), and z itself where the quotient is 1. Nothing is denormal before the division is done: that would take it
   twice as long. */
FNN_INLINE vec KERNEL(silu_value)(vec z, vec alpha) {
    (void)alpha;
    vec shifted;
    const vec most = KERNEL(at_most)(z, C(40.0));
    const vec m = KERNEL(exp_parts)(KERNEL(at_least)(most, FNN_EXP_LOW), &shifted, FNN_LIFT);
    const vec t = KERNEL(over_power)(KERNEL(set1)(FNN_LOWERED), shifted);
    /* The bound keeps -inf times zero away; there the result is zero long since. */
    const vec q = KERNEL(at_least)(most, C(-1000.0)) * m / (m * (FNN_LOWERED / FNN_LIFT) + t);
    return KERNEL(select)(z > C(40.0), z, q * (FNN_LOWERED / FNN_LIFT));
}

/* s + z s (1 - s) with s = sigmoid(z), and 1 - s without its rounding */
FNN_INLINE vec KERNEL(silu_slope)(vec y, vec z, vec alpha) {
    (void)y, (void)alpha;
    vec t;
    const vec e = KERNEL(odds)(z, &t), sum = e + t, s = e / sum;
    const vec bounded = KERNEL(at_most)(KERNEL(at_least)(z, C(-1000.0)), C(1000.0));
    return s + bounded * s * (t / sum);
}

/* Threshold units: no gradient. */
FNN_INLINE vec KERNEL(step_value)(vec z, vec alpha) {
    (void)alpha;
    const vec one = KERNEL(set1)(C(1.0)), zero = KERNEL(set1)(C(0.0));
    return KERNEL(select)(z > C(0.0), one, KERNEL(select)(z <= C(0.0), zero, z));
}

/* Elements of p (n,) ahead of where a vector's store is aligned: NumPy's arrays are to 16 bytes only, and every store across
   two cache lines costs another. */
FNN_INLINE ptrdiff_t KERNEL(unaligned)(const real *p, ptrdiff_t n) {
    const ptrdiff_t ahead = (ptrdiff_t)(-(uintptr_t)p % FNN_VBYTES / sizeof(real));
    return ahead < n ? ahead : 0;
}

FNN_INLINE void KERNEL(map)(real *y, const real *z, real alpha, ptrdiff_t n, vec (*value)(vec, vec)) {
    const vec a = KERNEL(set1)(alpha);
    ptrdiff_t i = KERNEL(unaligned)(y, n);
    if (i > 0)
        KERNEL(store_tail)(y, value(KERNEL(load_tail)(z, i), a), i);
    for (; i + VL <= n; i += VL)
        KERNEL(store)(y + i, value(KERNEL(load)(z + i), a));
    if (i < n)
        KERNEL(store_tail)(y + i, value(KERNEL(load_tail)(z + i, n - i), a), n - i);
}

/* Whether a lane is denormal, which makes a division take several times as long. */
FNN_INLINE int KERNEL(any_denormal)(vec v) {
    const uvec magnitude = (uvec)KERNEL(absolute)(v);
    return KERNEL(any)((ivec)(magnitude - 1 < ((FNN_UINT)1 << FNN_MANTISSA) - 1));
}

typedef void (*KERNEL(map_fn))(real *y, const real *z, real alpha, ptrdiff_t n);

/* Runs of z (n,) with denormals through `guarded`, others through `usual`. One vector in 17 cache lines is looked at, for each
   look costs; an odd number, so that it is not always the same columns. */
static void KERNEL(map_runs)(real *y, const real *z, real alpha, ptrdiff_t n, KERNEL(map_fn) usual,
                             KERNEL(map_fn) guarded) {
    const ptrdiff_t apart = 17 * 64 / (ptrdiff_t)sizeof(real);
    ptrdiff_t start = 0;
    while (n - start >= VL) {
        const int denormal = KERNEL(any_denormal)(KERNEL(load)(z + start));
        ptrdiff_t end = start + apart;
        while (n - end >= VL && KERNEL(any_denormal)(KERNEL(load)(z + end)) == denormal)
            end += apart;
        if (n - end < VL)
            end = n;
        (denormal ? guarded : usual)(y + start, z + start, alpha, end - start);
        start = end;
    }
    if (start < n)
        usual(y + start, z + start, alpha, n - start);
}

FNN_INLINE void KERNEL(slope_part)(real *dz, const real *dy, const real *y, const real *z, vec alpha, ptrdiff_t n,
                                   vec (*slope)(vec, vec, vec)) {
    const vec s = slope(KERNEL(load_part)(y, n), KERNEL(load_part)(z, n), alpha);
    KERNEL(store_part)(dz, KERNEL(load_part)(dy, n) * s, n);
}

/* y and z may be NULL where the slope does not ask for them: the other one is loaded in its place and not used. */
FNN_INLINE void KERNEL(map_slope)(real *dz, const real *dy, const real *y, const real *z, real alpha, ptrdiff_t n,
                                  vec (*slope)(vec, vec, vec)) {
    const vec a = KERNEL(set1)(alpha);
    y = y ? y : dy;
    z = z ? z : dy;
    ptrdiff_t i = KERNEL(unaligned)(dz, n);
    if (i > 0)
        KERNEL(slope_part)(dz, dy, y, z, a, i, slope);
    for (; i + VL <= n; i += VL)
        KERNEL(slope_part)(dz + i, dy + i, y + i, z + i, a, VL, slope);
    if (i < n)
        KERNEL(slope_part)(dz + i, dy + i, y + i, z + i, a, n - i, slope);
}

#define FNN_STAMP_THRESHOLD(name) \
    static void KERNEL(name##_forward)(void *y, const void *z, double alpha, ptrdiff_t B, ptrdiff_t O) { \
        KERNEL(map)(y, z, (real)alpha, B * O, KERNEL(name##_value)); \
    }
#define FNN_STAMP_SLOPE(name) \
    static void KERNEL(name##_backward)(void *dz, const void *dy, const void *y, const void *z, double alpha, \
                                        ptrdiff_t B, ptrdiff_t O) { \
        KERNEL(map_slope)(dz, dy, y, z, (real)alpha, B * O, KERNEL(name##_slope)); \
    }
#define FNN_STAMP_ELEMENTWISE(name) FNN_STAMP_THRESHOLD(name) FNN_STAMP_SLOPE(name)
#define FNN_STAMP_MAP(name) \
    static __attribute__((noinline)) void KERNEL(name##_map)(real * y, const real *z, real alpha, ptrdiff_t n) { \
        KERNEL(map)(y, z, alpha, n, KERNEL(name)); \
    }
#define FNN_STAMP_GUARDED(name) \
    FNN_STAMP_MAP(name##_value) \
    FNN_STAMP_MAP(name##_guarded) \
    static void KERNEL(name##_forward)(void *y, const void *z, double alpha, ptrdiff_t B, ptrdiff_t O) { \
        KERNEL(map_runs)(y, z, (real)alpha, B * O, KERNEL(name##_value_map), KERNEL(name##_guarded_map)); \
    } \
    FNN_STAMP_SLOPE(name)
#define FNN_STAMP_ROWWISE(name)
#define FNN_ACTIVATION(name, kind, alpha, needs_z) FNN_STAMP_##kind(name)
#include "../fnn_ops.def"
