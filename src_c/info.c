/* What the rows of fnn_ops.def say, which products go to BLAS, and the arithmetic that a step does once. No state and no
   kernels: linked into every extension that asks. */

#include "fnn.h"

#include <math.h>

const fnn_activation_info fnn_activations[FNN_N_ACTIVATIONS] = {
#define FNN_HAS_SLOPE_ELEMENTWISE 1
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

/* Measured with one thread on Zen 4 against OpenBLAS 0.3.30. The own kernels do not pack, which is their advantage as long as
   the operand that every tile reads again stays near. AVX2's tile reads it three times as often for the same work. */
enum { FNN_CACHED_AVX2 = 512 << 10, FNN_CACHED_AVX512 = 8 << 20 };
enum {
    FNN_BASE_WORK = 16 * 16 * 16,
    FNN_PACKED_ROWS_AVX2 = 64,
    FNN_PACKED_ROWS_AVX512 = 512,
    FNN_PACKED_RESULT = 1 << 18
};

int fnn_use_blas(int mode, int isa, int dtype, int product, ptrdiff_t M, ptrdiff_t K, ptrdiff_t N) {
    if (mode != FNN_GEMM_AUTO)
        return mode == FNN_GEMM_BLAS;
    if (isa ==
        FNN_ISA_BASE) /* no multiply-add: BLAS has kernels for what this CPU can do, and only its call costs more */
        return (double)M * (double)K * (double)N > FNN_BASE_WORK;
    const double size = dtype == FNN_F32 ? 4 : 8, cached = isa == FNN_ISA_AVX2 ? FNN_CACHED_AVX2 : FNN_CACHED_AVX512;
    if (product == FNN_WEIGHT_GRADIENT) /* reads all of both operands for every stripe */
        return size * (double)K * (double)(M > N ? M : N) > cached && (double)M * (double)N >= FNN_PACKED_RESULT;
    return M >= (isa == FNN_ISA_AVX2 ? FNN_PACKED_ROWS_AVX2 : FNN_PACKED_ROWS_AVX512) &&
           size * (double)K * (double)N > cached;
}

int fnn_use_blas_alone(int mode, int isa, int dtype, int product, ptrdiff_t M, ptrdiff_t K, ptrdiff_t N) {
    if (mode != FNN_GEMM_AUTO || fnn_use_blas(mode, isa, dtype, product, M, K, N))
        return mode != FNN_GEMM_OWN;
    if (product == FNN_INPUT_GRADIENT) /* few rows do not repay transposing W */
        return (M < 16 || N < 4) && K * N >= 64;
    return N < 4 && M * K >= 1024; /* most of a vector would be empty */
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
