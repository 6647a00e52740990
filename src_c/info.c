/* What the rows of fnn_ops.def say, which products go to BLAS, and the arithmetic that a step does once. No state and no
   kernels: linked into every extension that asks. */

#include "fnn.h"

#include <math.h>

const fnn_activation_info fnn_activations[FNN_N_ACTIVATIONS] = {
#define FNN_HAS_SLOPE_ELEMENTWISE 1
#define FNN_HAS_SLOPE_GUARDED 1
#define FNN_HAS_SLOPE_ROWWISE 1
#define FNN_HAS_SLOPE_THRESHOLD 0
#define FNN_ACTIVATION(name, kind, alpha, needs_z) [FNN_##name] = {#name, alpha, needs_z, FNN_HAS_SLOPE_##kind},
#include "fnn_ops.def"
};

const char *const fnn_losses[FNN_N_LOSSES] = {
#define FNN_LOSS(name) [FNN_##name] = #name,
#include "fnn_ops.def"
};

const char *const fnn_updates[FNN_N_UPDATES] = {
#define FNN_UPDATE(name, n_slots) [FNN_##name##_update] = #name,
#include "fnn_ops.def"
};

const int fnn_update_slots[FNN_N_UPDATES] = {
#define FNN_UPDATE(name, n_slots) [FNN_##name##_update] = n_slots,
#include "fnn_ops.def"
};

/* Measured with one thread on Zen 4 against OpenBLAS 0.3.30, whole steps and bench/grid.py. The own kernels do not block for
   the caches beyond the first, which costs them where an operand that is read again and again comes from far away. AVX2's
   tile reads it three times as often for the same work. */
enum { FNN_CACHED_AVX2 = 512 << 10, FNN_CACHED_AVX512 = 16 << 20 };
enum {
    FNN_BASE_WORK = 16 * 16 * 16,
    FNN_PACKED_ROWS_AVX2 = 64,
    FNN_PACKED_ROWS_AVX512 = 512,
    FNN_PACKED_RESULT = 1 << 18
};

int fnn_use_blas(int mode, int isa, int dtype, int product, ptrdiff_t M, ptrdiff_t K, ptrdiff_t N) {
    if (mode != FNN_GEMM_AUTO)
        return mode == FNN_GEMM_BLAS;
    const double size = dtype == FNN_F32 ? 4 : 8, m = (double)M, k = (double)K, n = (double)N;
    if (isa ==
        FNN_ISA_BASE) /* no multiply-add: BLAS has kernels for what this CPU can do, and only its call costs more */
        return m * k * n > FNN_BASE_WORK;
    const int avx2 = isa == FNN_ISA_AVX2;
    const double cached = avx2 ? FNN_CACHED_AVX2 : FNN_CACHED_AVX512;
    if (product == FNN_WEIGHT_GRADIENT) /* reads all of both operands for every stripe */
        return size * k * (m > n ? m : n) > cached && m * n >= FNN_PACKED_RESULT;
    return M >= (avx2 ? FNN_PACKED_ROWS_AVX2 : FNN_PACKED_ROWS_AVX512) && size * k * n > cached;
}

/* The same for AVX2, with OpenBLAS's kernels for Haswell: it packs everything, which a product alone repays as soon as the
   right operand outgrows the first-level cache by far. */
enum { FNN_FAR_AVX2 = 128 << 10, FNN_FAR_COLUMNS = 64, FNN_FAR_SUM = 32, FNN_FAR_RESULT = 1 << 15 };

static int use_blas_alone_avx2(double size, int product, ptrdiff_t M, ptrdiff_t K, ptrdiff_t N) {
    const int gradient = product == FNN_WEIGHT_GRADIENT;
    if (N < 4) /* most of a vector would be empty */
        return !gradient && M >= FNN_PACKED_ROWS_AVX2;
    if (N < FNN_FAR_COLUMNS || product == FNN_INPUT_GRADIENT) /* W is turned over in panels that are near */
        return 0;
    const double longest = (double)(gradient && M > N ? M : N);
    return size * (double)K * longest >= FNN_FAR_AVX2 &&
           (gradient ? K >= FNN_FAR_SUM && (double)M * (double)N >= FNN_FAR_RESULT : M >= FNN_PACKED_ROWS_AVX2);
}

/* What OpenBLAS multiplies without packing on AVX-512; of the products with W transposed, as sums along K, only results so
   small. Short sums do not repay adding up their lanes. */
enum { FNN_BLAS_SMALL = 1000 * 1000, FNN_BLAS_DOTS = 1200, FNN_BLAS_DOT_LENGTH = 32 };
/* Alone a product goes over all rows in one pass, not in blocks, and stays ahead for longer than in a step: until both
   operands fill half of the third-level cache. A weight gradient reads the left one down its columns, a cache line for 8
   elements, for every panel. */
enum { FNN_LONG_ROWS = 1024, FNN_LONG_COLUMNS = 256, FNN_LONG_BYTES = 16 << 20 };
enum { FNN_DOWN_BYTES = 8 << 20, FNN_DOWN_RESULT = 1 << 16 };
/* Where it is ahead by a tenth or two: outer products with rows of two or three vectors, results of one vector from long sums,
   and more dot products where they are short. */
enum { FNN_OUTER_ROWS = 256, FNN_OUTER_LEAST = 17, FNN_OUTER_MOST = 48 };
enum { FNN_ONE_VECTOR = 8, FNN_ONE_VECTOR_ROWS = 96, FNN_ONE_VECTOR_SUM = 512 };
enum { FNN_SHORT_DOTS = 4096, FNN_SHORT_DOT_LENGTH = 64 };

int fnn_use_blas_alone(int mode, int isa, int dtype, int product, ptrdiff_t M, ptrdiff_t K, ptrdiff_t N) {
    const double size = dtype == FNN_F32 ? 4 : 8, m = (double)M, k = (double)K, n = (double)N;
    if (mode != FNN_GEMM_AUTO || isa == FNN_ISA_BASE)
        return fnn_use_blas(mode, isa, dtype, product, M, K, N);
    if (isa == FNN_ISA_AVX2)
        return fnn_use_blas(mode, isa, dtype, product, M, K, N) || use_blas_alone_avx2(size, product, M, K, N);
    if (product == FNN_WEIGHT_GRADIENT)
        return (size * m * k >= FNN_DOWN_BYTES && m * n > FNN_DOWN_RESULT) ||
               (K <= 2 && M >= FNN_OUTER_ROWS && FNN_OUTER_LEAST <= N && N <= FNN_OUTER_MOST);
    if (M >= FNN_LONG_ROWS && N >= FNN_LONG_COLUMNS && size * k * (m + n) >= FNN_LONG_BYTES)
        return 1;
    if (K < FNN_BLAS_DOT_LENGTH || m * k * n > FNN_BLAS_SMALL)
        return 0;
    if (product == FNN_INPUT_GRADIENT) /* so few rows do not repay turning W over, nor results so narrow */
        return (M * N <= FNN_BLAS_DOTS && (M < 16 || N < 4 || M * N <= 8 * K)) ||
               (M * N <= FNN_SHORT_DOTS && N < 4 && K < FNN_SHORT_DOT_LENGTH);
    return (N < 4 && (M + 8) * K >= 2048) || /* most of a vector would be empty */
           (N <= FNN_ONE_VECTOR && M >= FNN_ONE_VECTOR_ROWS && K >= FNN_ONE_VECTOR_SUM);
}

void fnn_hyper_fold(fnn_hyper *h, int64_t t) {
    /* With m / (1 - b1^t) and v / (1 - b2^t) put in, lr m' / (sqrt(v') + eps) is adam_lr m / (sqrt(v) + adam_epsilon). */
    const double root = sqrt(1.0 - pow(h->beta2, (double)t));
    h->adam_lr = h->lr * root / (1.0 - pow(h->beta1, (double)t));
    h->adam_epsilon = h->epsilon_hat ? h->epsilon : h->epsilon * root;
}

double fnn_kl_row(int dtype, void *row, ptrdiff_t n, double scale, double rho, double beta) {
    double cost = 0;
    for (ptrdiff_t j = 0; j < n; j++) {
        const double sum = dtype == FNN_F32 ? (double)((float *)row)[j] : ((double *)row)[j], mean = sum * scale;
        const double slope = beta * ((1 - rho) / (1 - mean) - rho / mean);
        cost += beta * (rho * log(rho / mean) + (1 - rho) * log((1 - rho) / (1 - mean)));
        if (dtype == FNN_F32)
            ((float *)row)[j] = (float)slope;
        else
            ((double *)row)[j] = slope;
    }
    return cost;
}
