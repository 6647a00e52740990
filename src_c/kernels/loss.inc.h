/* Losses with their gradient in the same pass over a row. Each returns scale * Σ_i w_i loss_i, summed in double in the order
   of the rows, and writes scale * w_i d loss_i / dz unless dz is NULL. Formulas: fastnn/reference. Generates
   softmax_cross_entropy, sigmoid_cross_entropy, squared_error. */

FNN_INLINE ptrdiff_t KERNEL(target_row)(const fnn_targets *t, ptrdiff_t i) { return t->rows ? t->rows[i] : i; }

FNN_INLINE double KERNEL(row_weight)(const fnn_targets *t, ptrdiff_t row) {
    return t->weight ? t->scale * (double)((const real *)t->weight)[row] : t->scale;
}

/* Σ_j e^(z_j - top) alone, for a loss without gradient. */
FNN_INLINE real KERNEL(row_exponential_sum)(const real *z, real top, ptrdiff_t O) {
    real sum = 0, block[64];
    for (ptrdiff_t j = 0; j < O; j += 64)
        sum += KERNEL(row_exponentials)(block, z + j, top, O - j < 64 ? O - j : 64);
    return sum;
}

static double KERNEL(softmax_cross_entropy)(void *dz_, const void *z_, const fnn_targets *t, ptrdiff_t B, ptrdiff_t O) {
    double total = 0;
    for (ptrdiff_t i = 0; i < B && O > 0; i++) {
        const ptrdiff_t row = KERNEL(target_row)(t, i);
        const double w = KERNEL(row_weight)(t, row);
        const real *z = (const real *)z_ + i * O;
        real *dz = dz_ ? (real *)dz_ + i * O : NULL;
        /* dz may be z: what the loss needs of z is read before dz is written. */
        const real *target = t->labels ? NULL : (const real *)t->target + row * O;
        const real top = KERNEL(row_maximum)(z, O);
        double expected = 0, mass = 1; /* Σ_j t_j (z_j - top), Σ_j t_j */
        if (target) {
            mass = 0;
            for (ptrdiff_t j = 0; j < O; j++) {
                mass += (double)target[j];
                if (target[j] != 0) /* 0 log 0 counts as 0 */
                    expected += (double)target[j] * ((double)z[j] - (double)top);
            }
        } else {
            expected = (double)z[t->labels[row]] - (double)top;
        }
        const real sum = dz ? KERNEL(row_exponentials)(dz, z, top, O) : KERNEL(row_exponential_sum)(z, top, O);
        total += w * (mass * log((double)sum) - expected);
        if (!dz)
            continue;
        const real factor = (real)(w * mass / (double)sum);
        if (target) {
            for (ptrdiff_t j = 0; j < O; j += VL) {
                const vec share = KERNEL(load_part)(dz + j, O - j) * factor;
                KERNEL(store_part)(dz + j, share - KERNEL(load_part)(target + j, O - j) * (real)w, O - j);
            }
        } else {
            KERNEL(scale_row)(dz, factor, O);
            dz[t->labels[row]] -= (real)w;
        }
    }
    return total;
}

/* max(z, 0) - z t + log1p(e^-|z|), d/dz = sigmoid(z) - t */
static double KERNEL(sigmoid_cross_entropy)(void *dz_, const void *z_, const fnn_targets *t, ptrdiff_t B, ptrdiff_t O) {
    double total = 0;
    for (ptrdiff_t i = 0; i < B; i++) {
        const ptrdiff_t row = KERNEL(target_row)(t, i);
        const double w = KERNEL(row_weight)(t, row);
        const real *z = (const real *)z_ + i * O, *target = (const real *)t->target + row * O;
        real *dz = dz_ ? (real *)dz_ + i * O : NULL;
        double sum = 0;
        for (ptrdiff_t j = 0; j < O; j += VL) {
            const vec x = KERNEL(load_part)(z + j, O - j), y = KERNEL(load_part)(target + j, O - j);
            const vec zero = KERNEL(set1)(C(0.0));
            vec loss = KERNEL(softplus_value)(x, zero) - x * y;
            if (O - j < VL)
                loss = (vec)((ivec)loss & KERNEL(first_lanes)(O - j));
            sum += KERNEL(sum_lanes_double)(loss);
            if (dz)
                KERNEL(store_part)(dz + j, (KERNEL(sigmoid_value)(x, zero) - y) * (real)w, O - j);
        }
        total += w * sum;
    }
    return total;
}

/* 1/2 Σ_j (y_j - t_j)^2, d/dy = y - t */
static double KERNEL(squared_error)(void *dy_, const void *y_, const fnn_targets *t, ptrdiff_t B, ptrdiff_t O) {
    double total = 0;
    for (ptrdiff_t i = 0; i < B; i++) {
        const ptrdiff_t row = KERNEL(target_row)(t, i);
        const double w = KERNEL(row_weight)(t, row);
        const real *y = (const real *)y_ + i * O, *target = (const real *)t->target + row * O;
        real *dy = dy_ ? (real *)dy_ + i * O : NULL;
        vec sum = KERNEL(set1)(C(0.0));
        for (ptrdiff_t j = 0; j < O; j += VL) {
            const vec d = KERNEL(load_part)(y + j, O - j) - KERNEL(load_part)(target + j, O - j);
            sum += d * d;
            if (dy)
                KERNEL(store_part)(dy + j, d * (real)w, O - j);
        }
        total += w * 0.5 * KERNEL(sum_lanes_double)(sum);
    }
    return total;
}
