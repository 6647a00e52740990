/* The four words in which kernels are written, for one instruction set and one dtype:

     real          float or double
     vec, ivec     FNN_VBYTES bytes of real, and of signed integers of the same width (comparison masks, bit patterns);
                   uvec are unsigned ones, for what may overflow
     KERNEL(name)  name_f32_avx2 and the like: every function and type that a kernel file defines is named through it
     C(literal)    a constant of type real

   Expects FNN_ISA, FNN_VBYTES and FNN_BITS; table.inc.h undefines what this file defines.
   Generates load, store, in_register, their tails and halves, set1, select, clamps, larger, any, absolute, with_sign, sum_lanes, polynomial. */

#define FNN_PASTE_(name, bits, isa) name##_f##bits##_##isa
#define FNN_PASTE(name, bits, isa) FNN_PASTE_(name, bits, isa)
#define KERNEL(name) FNN_PASTE(name, FNN_BITS, FNN_ISA)
#define FNN_INLINE static inline __attribute__((always_inline))

#if FNN_BITS == 32
#define real float
#define FNN_INT int32_t
#define FNN_UINT uint32_t
#define FNN_MANTISSA 23
#define C(literal) literal##f
#else
#define real double
#define FNN_INT int64_t
#define FNN_UINT uint64_t
#define FNN_MANTISSA 52
#define C(literal) literal
#endif

/* AVX's own instruction for whole vectors of real, for what C has no operator for. */
#if FNN_VBYTES == 64 && FNN_BITS == 32
#define FNN_AVX(op) _mm512_##op##_ps
#define FNN_AVX_VECTOR __m512
#elif FNN_VBYTES == 64
#define FNN_AVX(op) _mm512_##op##_pd
#define FNN_AVX_VECTOR __m512d
#elif FNN_VBYTES == 32 && FNN_BITS == 32
#define FNN_AVX(op) _mm256_##op##_ps
#define FNN_AVX_VECTOR __m256
#elif FNN_VBYTES == 32
#define FNN_AVX(op) _mm256_##op##_pd
#define FNN_AVX_VECTOR __m256d
#endif

typedef real KERNEL(vec) __attribute__((vector_size(FNN_VBYTES)));
typedef FNN_INT KERNEL(ivec) __attribute__((vector_size(FNN_VBYTES)));
typedef FNN_UINT KERNEL(uvec) __attribute__((vector_size(FNN_VBYTES)));
#define vec KERNEL(vec)
#define ivec KERNEL(ivec)
#define uvec KERNEL(uvec)
enum { KERNEL(lanes) = FNN_VBYTES / sizeof(real) };
#define VL ((ptrdiff_t)KERNEL(lanes))

FNN_INLINE vec KERNEL(load)(const real *p) {
    vec v;
    memcpy(&v, p, sizeof v);
    return v;
}

FNN_INLINE void KERNEL(store)(real *p, vec v) { memcpy(p, &v, sizeof v); }

FNN_INLINE vec KERNEL(set1)(real x) { return x - (vec){0}; }

/* v itself, but compilers have it in a register: they would rather load it again for each of two uses. */
FNN_INLINE vec KERNEL(in_register)(vec v) {
#if FNN_VBYTES == 64
    __asm__("" : "+v"(v));
#elif FNN_VBYTES == 32
    __asm__("" : "+x"(v));
#endif
    return v;
}

FNN_INLINE ivec KERNEL(lane_numbers)(void) {
    ivec v;
    for (FNN_INT i = 0; i < (FNN_INT)VL; i++)
        v[i] = i;
    return v;
}

/* The same as reals. */
FNN_INLINE vec KERNEL(lane_counts)(void) {
    vec v;
    for (ptrdiff_t i = 0; i < VL; i++)
        v[i] = (real)i;
    return v;
}

/* All bits set in the first n lanes. */
FNN_INLINE ivec KERNEL(first_lanes)(ptrdiff_t n) { return KERNEL(lane_numbers)() < (FNN_INT)n; }

/* The first n < VL elements, zeros behind them; reads and writes nothing past them. AVX has instructions for it, elsewhere a
   vector is short enough for a loop. */
FNN_INLINE vec KERNEL(load_tail)(const real *p, ptrdiff_t n) {
#if FNN_VBYTES == 64 && FNN_BITS == 32
    return (vec)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1u), p);
#elif FNN_VBYTES == 64
    return (vec)_mm512_maskz_loadu_pd((__mmask8)((1u << n) - 1u), p);
#elif FNN_VBYTES == 32 && FNN_BITS == 32
    return (vec)_mm256_maskload_ps(p, (__m256i)KERNEL(first_lanes)(n));
#elif FNN_VBYTES == 32
    return (vec)_mm256_maskload_pd(p, (__m256i)KERNEL(first_lanes)(n));
#else
    vec v = {0};
    for (ptrdiff_t i = 0; i < n; i++)
        v[i] = p[i];
    return v;
#endif
}

FNN_INLINE void KERNEL(store_tail)(real *p, vec v, ptrdiff_t n) {
#if FNN_VBYTES == 64 && FNN_BITS == 32
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1u), (__m512)v);
#elif FNN_VBYTES == 64
    _mm512_mask_storeu_pd(p, (__mmask8)((1u << n) - 1u), (__m512d)v);
#elif FNN_VBYTES == 32 && FNN_BITS == 32
    _mm256_maskstore_ps(p, (__m256i)KERNEL(first_lanes)(n), (__m256)v);
#elif FNN_VBYTES == 32
    _mm256_maskstore_pd(p, (__m256i)KERNEL(first_lanes)(n), (__m256d)v);
#else
    for (ptrdiff_t i = 0; i < n; i++)
        p[i] = v[i];
#endif
}

/* G elements, 2 or 4, again and again; of them the first n, zeros for the others. */
FNN_INLINE vec KERNEL(repeat)(const real *p, const int G, ptrdiff_t n) {
#if FNN_VBYTES >= 32
    const size_t bytes = (size_t)G * sizeof(real);
    if (n < G) {
        const vec v = KERNEL(load_tail)(p, n);
#if FNN_VBYTES == 64
        return bytes == 8    ? (vec)_mm512_broadcastsd_pd(_mm512_castpd512_pd128((__m512d)v))
               : bytes == 16 ? (vec)_mm512_broadcast_f32x4(_mm512_castps512_ps128((__m512)v))
                             : (vec)_mm512_broadcast_f64x4(_mm512_castpd512_pd256((__m512d)v));
#else
        return bytes == 8    ? (vec)_mm256_broadcastsd_pd(_mm256_castpd256_pd128((__m256d)v))
               : bytes == 16 ? (vec)_mm256_permute2f128_ps((__m256)v, (__m256)v, 0)
                             : v;
#endif
    }
#if FNN_VBYTES == 64
    if (bytes == 32)
        return (vec)_mm512_broadcast_f64x4(_mm256_loadu_pd((const double *)p));
#else
    if (bytes == 32)
        return KERNEL(load)(p);
#endif
    if (bytes == 16) {
        const __m128 quad = _mm_loadu_ps((const float *)p);
#if FNN_VBYTES == 64
        return (vec)_mm512_broadcast_f32x4(quad);
#else
        return (vec)_mm256_set_m128(quad, quad);
#endif
    }
    double pair;
    memcpy(&pair, p, 8);
#if FNN_VBYTES == 64
    return (vec)_mm512_set1_pd(pair);
#else
    return (vec)_mm256_set1_pd(pair);
#endif
#else
    vec v;
    for (ptrdiff_t i = 0; i < VL; i++)
        v[i] = i % G < n ? p[i % G] : C(0.0);
    return v;
#endif
}

/* Half a vector: on AVX-512, where it costs half of a whole one, for the last few columns of a product. */
#define FNN_HAS_HALVES (FNN_VBYTES == 64)
#if FNN_HAS_HALVES
typedef real KERNEL(half_vec) __attribute__((vector_size(FNN_VBYTES / 2)));
#define half_vec KERNEL(half_vec)

FNN_INLINE half_vec KERNEL(load_half)(const real *p, ptrdiff_t n) {
#if FNN_BITS == 32
    return (half_vec)_mm256_maskz_loadu_ps((__mmask8)((1u << n) - 1u), p);
#else
    return (half_vec)_mm256_maskz_loadu_pd((__mmask8)((1u << n) - 1u), p);
#endif
}

FNN_INLINE void KERNEL(store_half)(real *p, half_vec v, ptrdiff_t n) {
#if FNN_BITS == 32
    _mm256_mask_storeu_ps(p, (__mmask8)((1u << n) - 1u), (__m256)v);
#else
    _mm256_mask_storeu_pd(p, (__mmask8)((1u << n) - 1u), (__m256d)v);
#endif
}
#else /* never used, but the tile is written once */
#define half_vec vec
FNN_INLINE half_vec KERNEL(load_half)(const real *p, ptrdiff_t n) { return KERNEL(load_tail)(p, n); }
FNN_INLINE void KERNEL(store_half)(real *p, half_vec v, ptrdiff_t n) { KERNEL(store_tail)(p, v, n); }
#endif

/* A whole vector, or the first n lanes where n < VL: the body of a loop serves its tail too. */
FNN_INLINE vec KERNEL(load_part)(const real *p, ptrdiff_t n) {
    return n >= VL ? KERNEL(load)(p) : KERNEL(load_tail)(p, n);
}

FNN_INLINE void KERNEL(store_part)(real *p, vec v, ptrdiff_t n) {
    if (n >= VL)
        KERNEL(store)(p, v);
    else
        KERNEL(store_tail)(p, v, n);
}

/* Lanes of a where the mask is set, of b elsewhere. A comparison with NaN is false, so `select(x < low, low, x)` keeps NaN. */
FNN_INLINE vec KERNEL(select)(ivec mask, vec a, vec b) { return (vec)(((ivec)a & mask) | ((ivec)b & ~mask)); }

/* Clamps; NaN stays NaN: comparisons with it are false, and x86's maximum and minimum then return their second operand. */
FNN_INLINE vec KERNEL(at_least)(vec x, real low) {
#ifdef FNN_AVX
    return (vec)FNN_AVX(max)((FNN_AVX_VECTOR)KERNEL(set1)(low), (FNN_AVX_VECTOR)x);
#else
    return KERNEL(select)(x < low, KERNEL(set1)(low), x);
#endif
}

FNN_INLINE vec KERNEL(at_most)(vec x, real high) {
#ifdef FNN_AVX
    return (vec)FNN_AVX(min)((FNN_AVX_VECTOR)KERNEL(set1)(high), (FNN_AVX_VECTOR)x);
#else
    return KERNEL(select)(x > high, KERNEL(set1)(high), x);
#endif
}

/* The larger of two; x86's maximum returns the second where one is NaN, as the comparison does. */
FNN_INLINE vec KERNEL(larger)(vec a, vec b) {
#ifdef FNN_AVX
    return (vec)FNN_AVX(max)((FNN_AVX_VECTOR)a, (FNN_AVX_VECTOR)b);
#else
    return KERNEL(select)(a > b, a, b);
#endif
}

/* Whether a lane of a comparison's result is true. */
FNN_INLINE int KERNEL(any)(ivec mask) {
#if FNN_VBYTES == 64
    return _mm512_test_epi32_mask((__m512i)mask, (__m512i)mask) != 0;
#elif FNN_VBYTES == 32
    return !_mm256_testz_si256((__m256i)mask, (__m256i)mask);
#else
    FNN_INT found = 0;
    for (ptrdiff_t i = 0; i < VL; i++)
        found |= mask[i];
    return found != 0;
#endif
}

FNN_INLINE vec KERNEL(negative_abs)(vec x) { return (vec)((ivec)x | (ivec)KERNEL(set1)(C(-0.0))); }

FNN_INLINE vec KERNEL(absolute)(vec x) { return (vec)((ivec)x & ~(ivec)KERNEL(set1)(C(-0.0))); }

/* magnitude, which has no sign, with that of another. */
FNN_INLINE vec KERNEL(with_sign)(vec magnitude, vec sign) {
    return (vec)((ivec)magnitude | ((ivec)sign & (ivec)KERNEL(set1)(C(-0.0))));
}

/* 16 bytes, which every instruction set has: `square` of them are a square matrix. */
enum { KERNEL(square) = 16 / sizeof(real) };
typedef real KERNEL(quad) __attribute__((vector_size(16)));
typedef FNN_INT KERNEL(quad_index) __attribute__((vector_size(16)));

FNN_INLINE KERNEL(quad) KERNEL(load_quad)(const real *p) {
    KERNEL(quad) q;
    memcpy(&q, p, sizeof q);
    return q;
}

FNN_INLINE KERNEL(quad_index) KERNEL(quad_numbers)(void) {
    KERNEL(quad_index) q;
    for (int i = 0; i < KERNEL(square); i++)
        q[i] = i;
    return q;
}

/* Sums of lanes go by halves, so that the error is that of a few additions: down to 16 bytes … */
FNN_INLINE KERNEL(quad) KERNEL(fold)(vec v) {
#if FNN_VBYTES == 64 && FNN_BITS == 32
    const __m256 h = _mm256_add_ps(_mm512_castps512_ps256((__m512)v), _mm512_extractf32x8_ps((__m512)v, 1));
    return (KERNEL(quad))_mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
#elif FNN_VBYTES == 64
    const __m256d h = _mm256_add_pd(_mm512_castpd512_pd256((__m512d)v), _mm512_extractf64x4_pd((__m512d)v, 1));
    return (KERNEL(quad))_mm_add_pd(_mm256_castpd256_pd128(h), _mm256_extractf128_pd(h, 1));
#elif FNN_VBYTES == 32 && FNN_BITS == 32
    return (KERNEL(quad))_mm_add_ps(_mm256_castps256_ps128((__m256)v), _mm256_extractf128_ps((__m256)v, 1));
#elif FNN_VBYTES == 32
    return (KERNEL(quad))_mm_add_pd(_mm256_castpd256_pd128((__m256d)v), _mm256_extractf128_pd((__m256d)v, 1));
#else
    return v;
#endif
}

/* … and to one number, */
FNN_INLINE real KERNEL(sum_lanes)(vec v) {
    KERNEL(quad) q = KERNEL(fold)(v);
    for (int half = KERNEL(square) / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            q[i] += q[i + half];
    return q[0];
}

/* or those of `square` quads at once, side by side, by an operation that is associative but for rounding. */
FNN_INLINE KERNEL(quad) KERNEL(join_lanes)(const KERNEL(quad) * q, KERNEL(quad) (*join)(KERNEL(quad), KERNEL(quad))) {
#if FNN_BITS == 32
    const KERNEL(quad) low = join(FNN_PICK(q[0], q[1], 0, 4, 1, 5), FNN_PICK(q[0], q[1], 2, 6, 3, 7));
    const KERNEL(quad) high = join(FNN_PICK(q[2], q[3], 0, 4, 1, 5), FNN_PICK(q[2], q[3], 2, 6, 3, 7));
    return join(FNN_PICK(low, high, 0, 1, 4, 5), FNN_PICK(low, high, 2, 3, 6, 7));
#else
    return join(FNN_PICK(q[0], q[1], 0, 2), FNN_PICK(q[0], q[1], 1, 3));
#endif
}

FNN_INLINE KERNEL(quad) KERNEL(quad_sum)(KERNEL(quad) a, KERNEL(quad) b) { return a + b; }

FNN_INLINE double KERNEL(sum_lanes_double)(vec v) {
    double sum = 0;
    for (ptrdiff_t i = 0; i < VL; i++)
        sum += (double)v[i];
    return sum;
}

/* Horner's rule, coefficients lowest power first, each times a power of two. */
FNN_INLINE vec KERNEL(polynomial)(vec x, const real *coefficients, int degree, real scale) {
    vec sum = KERNEL(set1)(coefficients[degree] * scale);
#pragma GCC unroll 32
    for (int i = degree - 1; i >= 0; i--)
        sum = sum * x + coefficients[i] * scale;
    return sum;
}

/* The element of a table that each lane names by the low bits of a number, which are all that is looked at. */
FNN_INLINE vec KERNEL(lookup)(vec table, ivec numbers) {
#if FNN_VBYTES == 64 && FNN_BITS == 32
    return (vec)_mm512_permutexvar_ps((__m512i)numbers, (__m512)table);
#elif FNN_VBYTES == 64
    return (vec)_mm512_permutexvar_pd((__m512i)numbers, (__m512d)table);
#elif FNN_VBYTES == 32 && FNN_BITS == 32
    return (vec)_mm256_permutevar8x32_ps((__m256)table, (__m256i)numbers);
#else
    vec v = table;
    for (ptrdiff_t i = 0; i < VL; i++)
        v[i] = table[numbers[i] & (VL - 1)];
    return v;
#endif
}

/* Whether vectors are long enough for functions in pieces, each a polynomial whose coefficients are looked up: float32 on AVX-512. */
#define FNN_HAS_PIECES (FNN_VBYTES == 64 && FNN_BITS == 32)
#if FNN_HAS_PIECES
/* The same in two vectors. */
FNN_INLINE vec KERNEL(lookup_in_two)(const real *table, ivec numbers) {
    return (vec)_mm512_permutex2var_ps((__m512)KERNEL(load)(table), (__m512i)numbers, (__m512)KERNEL(load)(table + VL));
}

/* |x|, at most high, and high for NaN. */
FNN_INLINE vec KERNEL(smaller_magnitude)(vec x, real high) {
    return (vec)_mm512_range_ps((__m512)x, (__m512)KERNEL(set1)(high), 0x0a);
}

/* Whether a lane is below a bound. */
FNN_INLINE int KERNEL(any_below)(vec x, real low) {
    return _mm512_cmp_ps_mask((__m512)x, (__m512)KERNEL(set1)(low), _CMP_LT_OQ) != 0;
}
#endif
