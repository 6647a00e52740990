/* What the rows of fnn_ops.def say, and the arithmetic that a step does once. No state and no kernels: linked into every
   extension that asks. */

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
