/* exp, expm1, log1p and their relatives on vectors, within about 2 ulp over the whole range, denormal results included.
   Ordinary arithmetic without tables or branches, so that it vectorises for every instruction set; NaN goes through, since
   every clamp is a comparison that NaN fails. Generates power_of_two, scale_by_power,
   reduce, exp_parts, exp, expm1, log1p, log. */

#if FNN_BITS == 32
/* ln 2 in two parts; the first has so few bits that k times it is exact for every exponent k. */
#define FNN_LN2_HIGH C(0.693359375)
#define FNN_LN2_LOW C(-2.12194440e-4)
/* Adding it rounds to an integer, which then stands in the low bits of the mantissa. */
#define FNN_ROUNDER C(12582912.0)
#define FNN_EXPONENT_BIAS C(127.0)
#define FNN_EXP_LOW C(-115.0) /* exp(x), and |x| exp(x), are zero below */
#define FNN_LIFT C(64.0)
#define FNN_LOWERED C(0x1p-64)
#define FNN_EXPM1_TAIL FNN_EXPM1_TAIL_32
#define FNN_LOG1P_TAIL FNN_LOG1P_TAIL_32
#define FNN_HALVED_TAIL FNN_HALVED_TAIL_32
#define FNN_DOUBLED_TAIL FNN_DOUBLED_TAIL_32
#define FNN_GELU_CENTRE FNN_GELU_CENTRE_32
#define FNN_GELU_TAIL FNN_GELU_TAIL_32
#define FNN_HIGH_BITS (~(FNN_INT)0xfff)
#else
#define FNN_LN2_HIGH C(6.93147180369123816490e-01)
#define FNN_LN2_LOW C(1.90821492927058770002e-10)
#define FNN_ROUNDER C(6755399441055744.0)
#define FNN_EXPONENT_BIAS C(1023.0)
#define FNN_EXP_LOW C(-760.0)
#define FNN_LIFT C(512.0)
#define FNN_LOWERED C(0x1p-512)
#define FNN_EXPM1_TAIL FNN_EXPM1_TAIL_64
#define FNN_LOG1P_TAIL FNN_LOG1P_TAIL_64
#define FNN_HALVED_TAIL FNN_HALVED_TAIL_64
#define FNN_DOUBLED_TAIL FNN_DOUBLED_TAIL_64
#define FNN_GELU_CENTRE FNN_GELU_CENTRE_64
#define FNN_GELU_TAIL FNN_GELU_TAIL_64
#define FNN_HIGH_BITS (~(FNN_INT)0x7ffffff)
#endif

#define FNN_LOG2E C(1.44269504088896340736)
#define FNN_LN2 C(0.693147180559945309417)

#define FNN_POLYNOMIAL(x, ...) \
    KERNEL(polynomial)(x, (const real[]){__VA_ARGS__}, (int)(sizeof((const real[]){__VA_ARGS__}) / sizeof(real)) - 1)

/* 2^k as a vector for integral k within the range of normal numbers. */
FNN_INLINE vec KERNEL(power_of_two)(vec k) {
    /* The sum's low bits hold k + bias; the shift drops the rest and makes it an exponent. */
    return (vec)((uvec)(k + (FNN_ROUNDER + FNN_EXPONENT_BIAS)) << FNN_MANTISSA);
}

/* v 2^k for v near 1 and integral k, from where the result is zero up to 60: rounds into the denormals once, by lifting the
   exponent out of their reach and taking that back. */
FNN_INLINE vec KERNEL(scale_by_power)(vec v, vec k) {
#if FNN_VBYTES == 64 && FNN_BITS == 32
    return (vec)_mm512_scalef_ps((__m512)v, (__m512)k);
#elif FNN_VBYTES == 64
    return (vec)_mm512_scalef_pd((__m512d)v, (__m512d)k);
#else
    return v * (vec)((uvec)(k + (FNN_ROUNDER + FNN_EXPONENT_BIAS + FNN_LIFT)) << FNN_MANTISSA) * FNN_LOWERED;
#endif
}

/* x = k ln 2 + r with |r| <= ln 2 / 2. Returns r. */
FNN_INLINE vec KERNEL(reduce)(vec x, vec *k) {
    *k = (x * FNN_LOG2E + FNN_ROUNDER) - FNN_ROUNDER;
    return (x - *k * FNN_LN2_HIGH) - *k * FNN_LN2_LOW;
}

/* exp(x) = result 2^k, the result 1 / sqrt 2 to sqrt 2. */
FNN_INLINE vec KERNEL(exp_parts)(vec x, vec *k) {
    const vec r = KERNEL(reduce)(x, k);
    return FNN_POLYNOMIAL(r, C(1.0), C(1.0), FNN_EXPM1_TAIL);
}

/* For x <= 40. */
FNN_INLINE vec KERNEL(exp)(vec x) {
    vec k;
    const vec m = KERNEL(exp_parts)(KERNEL(at_least)(x, FNN_EXP_LOW), &k);
    return KERNEL(scale_by_power)(m, k);
}

/* exp(x) - 1 for |x| <= 60: exact to a few ulp at zero too, as 2^k (exp(r) - 1) + (2^k - 1). */
FNN_INLINE vec KERNEL(expm1)(vec x) {
    vec k;
    const vec r = KERNEL(reduce)(x, &k);
    const vec p = r + r * r * FNN_POLYNOMIAL(r, FNN_EXPM1_TAIL);
    const vec scale = KERNEL(power_of_two)(k);
    return p * scale + (scale - C(1.0));
}

/* log(1 + e) for 0 <= e <= 1, as 2 atanh(s) with s = e / (2 + e) <= 1/3. */
FNN_INLINE vec KERNEL(log1p)(vec e) {
    const vec t = e / (C(1.0) + C(0.5) * e);
    const vec w = C(0.25) * t * t;
    return t + t * (w * FNN_POLYNOMIAL(w, FNN_LOG1P_TAIL));
}

/* log(x) for finite normal x >= 1, to a few ulp of max(1, log x). */
FNN_INLINE vec KERNEL(log)(vec x) {
    const ivec one = (ivec)KERNEL(set1)(C(1.0)), mantissa = (ivec){0} + (((FNN_INT)1 << FNN_MANTISSA) - 1);
    const vec fraction = (vec)(((ivec)x & mantissa) | one) - C(1.0);
    /* The exponent, as a number, by way of the rounder's mantissa. */
    const vec exponent =
        (vec)(((ivec)x >> FNN_MANTISSA) | (ivec)KERNEL(set1)(FNN_ROUNDER)) - (FNN_ROUNDER + FNN_EXPONENT_BIAS);
    const vec y = exponent * FNN_LN2_HIGH + (exponent * FNN_LN2_LOW + KERNEL(log1p)(fraction));
    return KERNEL(select)(x < C(1e30), y, x); /* NaN and infinity stay */
}
