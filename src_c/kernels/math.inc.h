/* exp, expm1, log1p and their relatives on vectors, within about 2 ulp over the whole range, denormal results included.
   Ordinary arithmetic without tables or branches, so that it vectorises for every instruction set; NaN goes through, since
   every clamp is a comparison that NaN fails. Generates reduce,
   times_power, over_power, lifted_power, scale_by_power, exp_parts, odds, exp, expm1, log1p, log. */

#if FNN_BITS == 32
/* ln 2 in two parts; the first has so few bits that k times it is exact for every exponent k. */
#define FNN_LN2_HIGH C(0.693359375)
#define FNN_LN2_LOW C(-2.12194440e-4)
/* Adding it rounds to an integer, which then stands in the low bits of the mantissa. */
#define FNN_ROUNDER C(12582912.0)
#define FNN_EXPONENT_BIAS C(127.0)
#define FNN_EXP_LOW C(-115.0) /* exp(x), and |x| exp(x), are zero below */
#define FNN_ODDS_LOW C(-104.5)
#define FNN_ODDS_SCALE C(0x1p-24)
#define FNN_LIFT C(0x1p24) /* every denormal times it is a normal number */
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
#define FNN_ODDS_LOW C(-745.5)
#define FNN_ODDS_SCALE C(0x1p-54)
#define FNN_LIFT C(0x1p54)
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

#define FNN_POLYNOMIAL(x, ...) FNN_SCALED_POLYNOMIAL(C(1.0), x, __VA_ARGS__)
#define FNN_SCALED_POLYNOMIAL(scale, x, ...) \
    KERNEL(polynomial) \
    (x, (const real[]){__VA_ARGS__}, (int)(sizeof((const real[]){__VA_ARGS__}) / sizeof(real)) - 1, scale)

/* x = k ln 2 + r with |r| <= ln 2 / 2. Returns r; k is in the low bits of shifted, which is k + FNN_ROUNDER. */
FNN_INLINE vec KERNEL(reduce)(vec x, vec *shifted) {
    *shifted = x * FNN_LOG2E + FNN_ROUNDER;
    const vec k = *shifted - FNN_ROUNDER;
    return (x - k * FNN_LN2_HIGH) - k * FNN_LN2_LOW;
}

/* x 2^k and x 2^-k where they are normal numbers, any bits elsewhere: the exponent's are counted up or down. */
FNN_INLINE vec KERNEL(times_power)(vec x, vec shifted) { return (vec)((uvec)x + ((uvec)shifted << FNN_MANTISSA)); }

FNN_INLINE vec KERNEL(over_power)(vec x, vec shifted) { return (vec)((uvec)x - ((uvec)shifted << FNN_MANTISSA)); }

/* 2^k over FNN_LOWERED: what comes times FNN_LOWERED goes with one multiplication to where it belongs, and is rounded once if that
   is among the denormals. For k from where the product is zero up to 60. */
FNN_INLINE vec KERNEL(lifted_power)(vec shifted) {
    return KERNEL(times_power)(KERNEL(set1)(C(1.0) / FNN_LOWERED), shifted);
}

/* v 2^k, also where v is too small to come times FNN_LOWERED. */
FNN_INLINE vec KERNEL(scale_by_power)(vec v, vec shifted) {
#if FNN_VBYTES == 64
    return (vec)FNN_AVX(scalef)((FNN_AVX_VECTOR)v, (FNN_AVX_VECTOR)(shifted - FNN_ROUNDER));
#else
    return v * KERNEL(lifted_power)(shifted) * FNN_LOWERED;
#endif
}

/* exp(x) = result / scale 2^k, the result 1 / sqrt 2 to sqrt 2 times scale, a power of two. */
FNN_INLINE vec KERNEL(exp_parts)(vec x, vec *shifted, real scale) {
    const vec r = KERNEL(reduce)(x, shifted);
    return FNN_SCALED_POLYNOMIAL(scale, r, C(1.0), C(1.0), FNN_EXPM1_TAIL);
}

/* e^x = result / t, and so 1 / (1 + e^-x) = result / (result + t): both tails keep their relative accuracy. x is clamped to
   where the quotient is 0, or 1, to the last bit. Both are e^x's parts times the same power of two, with which t is finite
   even where the quotient is denormal. */
FNN_INLINE vec KERNEL(odds)(vec x, vec *t) {
    vec shifted;
    const vec z = KERNEL(at_least)(KERNEL(at_most)(x, C(40.0)), FNN_ODDS_LOW);
    const vec e = KERNEL(exp_parts)(z, &shifted, FNN_ODDS_SCALE);
    *t = KERNEL(over_power)(KERNEL(set1)(FNN_ODDS_SCALE), shifted);
    return e;
}

/* For x <= 40. */
FNN_INLINE vec KERNEL(exp)(vec x) {
    vec shifted;
    const vec m = KERNEL(exp_parts)(KERNEL(at_least)(x, FNN_EXP_LOW), &shifted, FNN_LOWERED);
    return m * KERNEL(lifted_power)(shifted);
}

/* exp(x) - 1 for |x| <= 60: exact to a few ulp at zero too, as 2^k (exp(r) - 1) + (2^k - 1). */
FNN_INLINE vec KERNEL(expm1)(vec x) {
    vec shifted;
    const vec r = KERNEL(reduce)(x, &shifted);
    const vec p = r + r * r * FNN_POLYNOMIAL(r, FNN_EXPM1_TAIL);
    const vec power = KERNEL(times_power)(KERNEL(set1)(C(1.0)), shifted);
    return p * power + (power - C(1.0));
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
