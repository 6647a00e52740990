/* In-place updates, each in one pass over parameters, gradient and states. A rule is a function of one vector of each; the
   driver loads, scales the gradient (clipping), adds l2 times the parameter, and stores. Formulas: fastnn/reference.
   Generates <name>_update. */

/* The hyperparameters as reals, converted once a call. */
typedef struct KERNEL(rates) {
    real lr, beta1, rest1, beta2, rest2, epsilon, decay, l2, scale; /* rest = 1 - beta, rounded once */
} KERNEL(rates);

typedef struct KERNEL(slots) {
    vec p, s1, s2;
} KERNEL(slots);

FNN_INLINE vec KERNEL(square_root)(vec x) {
#ifdef FNN_AVX
    return (vec)FNN_AVX(sqrt)((FNN_AVX_VECTOR)x);
#else
    for (ptrdiff_t i = 0; i < VL; i++)
        x[i] = FNN_BITS == 32 ? (real)sqrtf((float)x[i]) : (real)sqrt((double)x[i]);
    return x;
#endif
}

FNN_INLINE KERNEL(slots) KERNEL(sgd_rule)(KERNEL(slots) s, vec g, const KERNEL(rates) * h) {
    s.p -= h->lr * g;
    return s;
}

FNN_INLINE KERNEL(slots) KERNEL(momentum_rule)(KERNEL(slots) s, vec g, const KERNEL(rates) * h) {
    s.s1 = h->beta1 * s.s1 - h->lr * g;
    s.p += s.s1;
    return s;
}

FNN_INLINE KERNEL(slots) KERNEL(nesterov_rule)(KERNEL(slots) s, vec g, const KERNEL(rates) * h) {
    s.s1 = h->beta1 * s.s1 - h->lr * g;
    s.p += h->beta1 * s.s1 - h->lr * g;
    return s;
}

FNN_INLINE KERNEL(slots) KERNEL(averaged_momentum_rule)(KERNEL(slots) s, vec g, const KERNEL(rates) * h) {
    s.s1 = h->beta1 * s.s1 + h->rest1 * g;
    s.p -= h->lr * s.s1;
    return s;
}

FNN_INLINE KERNEL(slots) KERNEL(rmsprop_rule)(KERNEL(slots) s, vec g, const KERNEL(rates) * h) {
    s.s1 = h->beta1 * s.s1 + h->rest1 * g * g;
    s.p -= h->lr * g / (KERNEL(square_root)(s.s1) + h->epsilon);
    return s;
}

FNN_INLINE KERNEL(slots) KERNEL(adagrad_rule)(KERNEL(slots) s, vec g, const KERNEL(rates) * h) {
    s.s1 += g * g;
    s.p -= h->lr * g / (KERNEL(square_root)(s.s1) + h->epsilon);
    return s;
}

/* lr and epsilon have the bias corrections in them (fnn_hyper_fold). */
FNN_INLINE KERNEL(slots) KERNEL(adam_rule)(KERNEL(slots) s, vec g, const KERNEL(rates) * h) {
    s.s1 = h->beta1 * s.s1 + h->rest1 * g;
    s.s2 = h->beta2 * s.s2 + h->rest2 * g * g;
    s.p -= h->lr * s.s1 / (KERNEL(square_root)(s.s2) + h->epsilon);
    return s;
}

FNN_INLINE KERNEL(slots) KERNEL(adamw_rule)(KERNEL(slots) s, vec g, const KERNEL(rates) * h) {
    s.p *= h->decay;
    return KERNEL(adam_rule)(s, g, h);
}

FNN_INLINE void KERNEL(update)(real *p, const real *g, real *s1, real *s2, const KERNEL(rates) * h, ptrdiff_t n,
                               int n_slots, KERNEL(slots) (*rule)(KERNEL(slots), vec, const KERNEL(rates) *)) {
    const KERNEL(rates) rates = *h;
    for (ptrdiff_t i = 0; i < n; i += VL) {
        const ptrdiff_t left = n - i;
        KERNEL(slots) s = {KERNEL(load_part)(p + i, left), KERNEL(set1)(C(0.0)), KERNEL(set1)(C(0.0))};
        if (n_slots > 0)
            s.s1 = KERNEL(load_part)(s1 + i, left);
        if (n_slots > 1)
            s.s2 = KERNEL(load_part)(s2 + i, left);
        s = rule(s, KERNEL(load_part)(g + i, left) * rates.scale + s.p * rates.l2, &rates);
        KERNEL(store_part)(p + i, s.p, left);
        if (n_slots > 0)
            KERNEL(store_part)(s1 + i, s.s1, left);
        if (n_slots > 1)
            KERNEL(store_part)(s2 + i, s.s2, left);
    }
}

#define FNN_UPDATE(name, n_slots) \
    static void KERNEL(name##_update)(void *p, const void *g, void *s1, void *s2, const fnn_hyper *h, ptrdiff_t n) { \
        const int adam = FNN_##name##_update == FNN_adam_update || FNN_##name##_update == FNN_adamw_update; \
        const KERNEL(rates) rates = {(real)(adam ? h->adam_lr : h->lr), \
                                     (real)h->beta1, \
                                     (real)(1.0 - h->beta1), \
                                     (real)h->beta2, \
                                     (real)(1.0 - h->beta2), \
                                     (real)(adam ? h->adam_epsilon : h->epsilon), \
                                     (real)(1.0 - h->lr * h->weight_decay), \
                                     (real)h->l2, \
                                     (real)h->scale}; \
        KERNEL(update)(p, g, s1, s2, &rates, n, n_slots, KERNEL(name##_rule)); \
    }
#include "../fnn_ops.def"

static void KERNEL(sum_of_squares)(double *sum, const void *x_, ptrdiff_t n) {
    const real *x = x_;
    double total = 0;
    /* Sums of 256 in the real type, those in double: the error does not grow with n. */
    for (ptrdiff_t start = 0; start < n; start += 256) {
        const ptrdiff_t end = n < start + 256 ? n : start + 256;
        vec part = KERNEL(set1)(C(0.0));
        for (ptrdiff_t i = start; i < end; i += VL) {
            const vec v = KERNEL(load_part)(x + i, end - i);
            part += v * v;
        }
        total += KERNEL(sum_lanes_double)(part);
    }
    *sum = total;
}
