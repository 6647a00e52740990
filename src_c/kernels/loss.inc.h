/* Losses with their gradient in the same pass over a row. Each returns scale * Σ_i w_i loss_i, summed in double in the order
   of the rows, and writes scale * w_i d loss_i / dz unless dz is NULL. Formulas: fastnn/reference. Generates
   softmax_cross_entropy, sigmoid_cross_entropy, squared_error. */

FNN_INLINE ptrdiff_t KERNEL(target_row)(const fnn_targets *t, ptrdiff_t i) { return t->rows ? t->rows[i] : i; }

FNN_INLINE double KERNEL(row_weight)(const fnn_targets *t, ptrdiff_t row) {
    return t->weight ? t->scale * (double)((const real *)t->weight)[row] : t->scale;
}

/* Which of the O columns is a row's. Labels were checked, but are the caller's: what another thread makes of one since must not
   become an address, so it is read once, and what is no column any more counts as the first. */
FNN_INLINE ptrdiff_t KERNEL(label)(const fnn_targets *t, ptrdiff_t row, ptrdiff_t O) {
    const ptrdiff_t label = ((const volatile ptrdiff_t *)t->labels)[row];
    return label >= 0 && label < O ? label : 0;
}

/* Cross-entropies of single outcomes with their probabilities kept within t->bound and 1 - t->bound. */
FNN_INLINE vec KERNEL(bounded)(vec loss, const fnn_targets *t) {
    if (t->bound > 0) /* -log(1 - bound) is bound for one that small */
        loss = KERNEL(at_most)(KERNEL(at_least)(loss, (real)t->bound), (real)-log(t->bound));
    return loss;
}

/* The sum of row_exponentials alone, for a loss without gradient. */
FNN_INLINE real KERNEL(row_exponential_sum)(const real *z, real top, ptrdiff_t O) {
    real sum = 0, block[64];
    for (ptrdiff_t j = 0; j < O; j += 64)
        sum += KERNEL(row_exponentials)(block, z + j, top, O - j < 64 ? O - j : 64, 0);
    return sum;
}

static double KERNEL(long_cross_entropy)(void *dz_, const void *z_, const fnn_targets *t, ptrdiff_t B, ptrdiff_t O) {
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
            expected = (double)z[KERNEL(label)(t, row, O)] - (double)top;
        }
        const real sum = dz ? KERNEL(row_exponentials)(dz, z, top, O, 0) : KERNEL(row_exponential_sum)(z, top, O);
        /* Σ e^(z - top): exactly 1 where the top outweighs all the others. */
        const real relative = sum / KERNEL(shifted_exp)(KERNEL(set1)(top), KERNEL(set1)(top))[0];
        double loss = mass * log((double)relative) - expected;
        if (t->bound > 0)
            loss = loss > -log(t->bound) ? -log(t->bound) : loss < t->bound ? t->bound : loss; /* NaN stays */
        total += w * loss;
        if (!dz)
            continue;
        KERNEL(divide_row)(dz, sum, O);
        if (target) {
            for (ptrdiff_t j = 0; j < O; j += VL) {
                const vec share = KERNEL(load_part)(dz + j, O - j) * (real)(w * mass);
                KERNEL(store_part)(dz + j, share - KERNEL(load_part)(target + j, O - j) * (real)w, O - j);
            }
        } else {
            for (ptrdiff_t j = 0; j < O; j += VL)
                KERNEL(store_part)(dz + j, KERNEL(load_part)(dz + j, O - j) * (real)w, O - j);
            dz[KERNEL(label)(t, row, O)] -= (real)w;
        }
    }
    return total;
}

/* Short rows in line: loss = Σ t log Σ e^(z - top) - Σ t (z - top). */
static double KERNEL(short_cross_entropy)(real *dz, const real *z, const fnn_targets *t, ptrdiff_t B, ptrdiff_t O) {
    enum { SIZE = KERNEL(most_rows) };
    real line[KERNEL(line_room)], targets[KERNEL(line_room)], products[KERNEL(line_room)];
    real tops[SIZE], sums[SIZE], weights[SIZE], expected[SIZE], mass[SIZE]; /* expected Σ t (z - top), mass Σ t */
    const vec zero = KERNEL(set1)(C(0.0));
    ivec rows[KERNEL(short_row)];
    const ptrdiff_t most = KERNEL(line_rows)(O);
    double total = 0;
    KERNEL(rows_of_lanes)(rows, O);
    for (ptrdiff_t i = 0; i < B; i += most) {
        const ptrdiff_t n = B - i < most ? B - i : most;
        KERNEL(line_up)(line, z + i * O, n, O);
        KERNEL(line_maxima)(tops, line, n, O);
        for (ptrdiff_t r = 0; r < n; r++) {
            const ptrdiff_t row = KERNEL(target_row)(t, i + r);
            weights[r] = (real)KERNEL(row_weight)(t, row);
            if (t->labels)
                expected[r] = line[r * O + KERNEL(label)(t, row, O)] - tops[r];
            else
                memcpy(targets + r * O, (const real *)t->target + row * O, (size_t)O * sizeof(real));
        }
        for (ptrdiff_t r = n; r % VL; r++)
            weights[r] = expected[r] = 0;
        if (!t->labels) {
            KERNEL(pad_line)(targets, n * O, O);
            for (ptrdiff_t r = 0; r < n; r += VL) {
                for (ptrdiff_t v = 0, j = r * O; v < O; v++, j += VL) {
                    const vec top = KERNEL(lookup)(KERNEL(load)(tops + r), rows[v]);
                    const vec share = KERNEL(load)(targets + j), product = share * (KERNEL(load)(line + j) - top);
                    /* 0 log 0 counts as 0 */
                    KERNEL(store)(products + j, KERNEL(select)(share != zero, product, zero));
                }
            }
            KERNEL(pad_line)(products, n * O, O);
            KERNEL(line_sums)(expected, products, n, O);
            KERNEL(line_sums)(mass, targets, n, O);
        }
        const int plain = KERNEL(plain_exponentials)(line, z + i * O, n * O);
        if (!plain)
            KERNEL(shifted_exponentials)(line, z + i * O, tops, rows, n, O);
        KERNEL(pad_line)(line, n * O, O);
        KERNEL(line_sums)(sums, line, n, O);
        for (ptrdiff_t r = 0; r < n; r += VL) {
            const vec top = KERNEL(load)(tops + r), sum = KERNEL(load)(sums + r), w = KERNEL(load)(weights + r);
            const vec share = t->labels ? KERNEL(set1)(C(1.0)) : KERNEL(load)(mass + r);
            const vec of_top = plain ? KERNEL(plain_exp)(top) : KERNEL(shifted_exp)(top, top);
            const vec l = w * KERNEL(bounded)(share * KERNEL(log)(sum / of_top) - KERNEL(load)(expected + r), t);
            total += (double)KERNEL(sum_lanes)(n - r < VL ? (vec)((ivec)l & KERNEL(first_lanes)(n - r)) : l);
            if (!dz)
                continue;
            const vec scale = w * share, factor = C(1.0) / sum;
            for (ptrdiff_t v = 0, j = r * O; v < O && j < n * O; v++, j += VL) {
                vec d = KERNEL(quotient)(KERNEL(load)(line + j), KERNEL(lookup)(sum, rows[v]),
                                         KERNEL(lookup)(factor, rows[v])) *
                        KERNEL(lookup)(scale, rows[v]);
                if (!t->labels)
                    d -= KERNEL(load)(targets + j) * KERNEL(lookup)(w, rows[v]);
                KERNEL(store_part)(dz + i * O + j, d, n * O - j);
            }
        }
        for (ptrdiff_t r = 0; dz && t->labels && r < n; r++)
            dz[(i + r) * O + KERNEL(label)(t, KERNEL(target_row)(t, i + r), O)] -= weights[r];
    }
    return total;
}

static double KERNEL(softmax_cross_entropy)(void *dz, const void *z, const fnn_targets *t, ptrdiff_t B, ptrdiff_t O) {
    return O > KERNEL(short_row) ? KERNEL(long_cross_entropy)(dz, z, t, B, O)
                                 : KERNEL(short_cross_entropy)(dz, z, t, B, O);
}

/* The loss of one vector of outputs and targets, and its derivative. */
typedef vec (*KERNEL(loss_fn))(vec z, vec t, vec *slope);

/* Elementwise losses, row by row; where every output may count as a row of its own, 64 at a time, so that they fill the
   vectors of narrow layers. */
FNN_INLINE double KERNEL(elementwise_loss)(real *dz, const real *z, const fnn_targets *t, ptrdiff_t B, ptrdiff_t O,
                                           KERNEL(loss_fn) loss) {
    const real *targets = t->target;
    double total = 0;
    vec slope;
    if (!t->rows && !t->weight) {
        B *= O;
        O = 1;
    }
    for (ptrdiff_t i = 0; O != 1 && i < B; i++) {
        const ptrdiff_t row = KERNEL(target_row)(t, i);
        const double w = KERNEL(row_weight)(t, row);
        vec sum = KERNEL(set1)(C(0.0));
        for (ptrdiff_t j = 0; j < O; j += VL) {
            const ptrdiff_t left = O - j;
            const vec l = KERNEL(bounded)(
                loss(KERNEL(load_part)(z + i * O + j, left), KERNEL(load_part)(targets + row * O + j, left), &slope),
                t);
            sum += left < VL ? (vec)((ivec)l & KERNEL(first_lanes)(left)) : l;
            if (dz)
                KERNEL(store_part)(dz + i * O + j, slope * (real)w, left);
        }
        total += w * (double)KERNEL(sum_lanes)(sum);
    }
    for (ptrdiff_t start = 0; O == 1 && start < B; start += 64) {
        const ptrdiff_t n = B - start < 64 ? B - start : 64;
        real target[64], weight[64];
        for (ptrdiff_t i = 0; i < n; i++) {
            const ptrdiff_t row = KERNEL(target_row)(t, start + i);
            target[i] = targets[row];
            weight[i] = (real)KERNEL(row_weight)(t, row);
        }
        vec sum = KERNEL(set1)(C(0.0));
        for (ptrdiff_t j = 0; j < n; j += VL) {
            const vec w = KERNEL(load_part)(weight + j, n - j);
            const vec l =
                w * KERNEL(bounded)(
                        loss(KERNEL(load_part)(z + start + j, n - j), KERNEL(load_part)(target + j, n - j), &slope), t);
            sum += n - j < VL ? (vec)((ivec)l & KERNEL(first_lanes)(n - j)) : l;
            if (dz)
                KERNEL(store_part)(dz + start + j, slope * w, n - j);
        }
        total += (double)KERNEL(sum_lanes)(sum);
    }
    return total;
}

/* max(z, 0) - z t + log1p(e^-|z|), d/dz = sigmoid(z) - t */
FNN_INLINE vec KERNEL(sigmoid_cross_entropy_of)(vec z, vec t, vec *slope) {
    const vec zero = KERNEL(set1)(C(0.0));
    *slope = KERNEL(sigmoid_value)(z, zero) - t;
    return KERNEL(softplus_value)(z, zero) - z * t;
}

static double KERNEL(sigmoid_cross_entropy)(void *dz, const void *z, const fnn_targets *t, ptrdiff_t B, ptrdiff_t O) {
    return KERNEL(elementwise_loss)(dz, z, t, B, O, KERNEL(sigmoid_cross_entropy_of));
}

/* 1/2 (y - t)^2, d/dy = y - t */
FNN_INLINE vec KERNEL(squared_error_of)(vec y, vec t, vec *slope) {
    *slope = y - t;
    return C(0.5) * *slope * *slope;
}

static double KERNEL(squared_error)(void *dy, const void *y, const fnn_targets *t, ptrdiff_t B, ptrdiff_t O) {
    return KERNEL(elementwise_loss)(dy, y, t, B, O, KERNEL(squared_error_of));
}
