/* A training step: the cost of a batch, its gradient and the update, in two phases a chunk of rows:

     rows (rows.c)  blocks of rows, in parallel: forward through all layers, loss, back through all layers, while the block is
                    in cache
     parameters     stripes of W and b, in parallel: the gradient summed over the chunk, and the update while it is in cache

   with one barrier between. Blocks and stripes depend on the network and the batch only, and every sum runs in a fixed order,
   so the results are the same to the bit for every number of threads. Own kernels throughout unless fnn_use_blas says
   otherwise: a product by BLAS runs over the whole chunk on the calling thread, with whatever threads BLAS has, never inside
   the pool. */

#include "pass.h"

#include <math.h>

/* One stripe of a layer's parameters: rows i0 to i1 of W, and b with the first stripe. */
static void parameter_task(void *context, ptrdiff_t task, int slot) {
    const fnn_pass *p = context;
    const fnn_net *net = p->net;
    const fnn_kernels *k = p->k;
    const ptrdiff_t size = k->size;
    int l = 0;
    ptrdiff_t stripe = task;
    while (stripe >= net->layers[l].n_stripes)
        stripe -= net->layers[l++].n_stripes;
    const fnn_layer *layer = &net->layers[l];
    const ptrdiff_t i0 = stripe * layer->stripe, i1 = fnn_at_most(i0 + layer->stripe, layer->n_in);
    const ptrdiff_t w = layer->w + i0 * layer->n_out, n = (i1 - i0) * layer->n_out;
    char *scratch = fnn_at(p, net->scratch + slot * net->scratch_size);
    char *dw = p->fused ? scratch : p->gradients + w * size;
    char *db = p->fused ? scratch + layer->stripe * layer->n_out * size : p->gradients + layer->b * size;
    char *parameters = (char *)p->parameters;

    if (p->compute) {
        const char *dz = fnn_at(p, layer->dz);
        const char *x =
            l > 0 ? fnn_at(p, fnn_drops(p, layer - 1) ? layer[-1].a : layer[-1].y) : (const char *)p->batch.x;
        const ptrdiff_t *rows = l == 0 && p->batch.rows ? p->batch.rows + p->first : NULL;
        if (l == 0 && !rows)
            x += p->first * layer->n_in * size;
        if (!fnn_by_blas(p, FNN_WEIGHT_GRADIENT, layer->n_in, p->rows, layer->n_out))
            k->gemm_tn(dw, x, rows, dz, p->accumulate, p->rows, layer->n_in, layer->n_out, i0, i1);
        else if (p->fused)
            dw = p->gradients + w * size; /* blas_gradients left it there */
        if (stripe == 0)
            k->column_sums(db, dz, NULL, NULL, p->accumulate, p->rows, layer->n_out);
    }
    if (p->finish && net->l2 > 0) {
        k->sum_of_squares(&p->sums[task], parameters + w * size, n);
        if (!p->fused) /* the caller gets, or clips, the gradient of the whole cost */
            k->add_outer(dw, parameters + w * size, NULL, NULL, p->l2, 1, n);
    }
    if (p->update) {
        const fnn_update_fn update = k->update[p->optimizer->update];
        const int n_slots = fnn_update_slots[p->optimizer->update];
        char *s1 = n_slots > 0 ? p->optimizer->slots : NULL;
        char *s2 = n_slots > 1 ? s1 + net->n_parameters * size : NULL;
        const ptrdiff_t b = layer->b * size;
        update(parameters + w * size, dw, s1 ? s1 + w * size : NULL, s2 ? s2 + w * size : NULL, &p->for_weights, n);
        if (stripe == 0)
            update(parameters + b, db, s1 ? s1 + b : NULL, s2 ? s2 + b : NULL, &p->for_biases, layer->n_out);
    }
}

static void parameters_in_parallel(fnn_pass *p) {
    p->machine->parallel(parameter_task, p, p->net->n_tasks,
                         fnn_threads_for(p, (double)fnn_at_least(p->rows, 8) * (double)p->net->n_parameters));
}

/* The weight gradients that are BLAS's, before the stripes. */
static void blas_gradients(const fnn_pass *p) {
    const ptrdiff_t size = p->k->size;
    for (int l = 0; l < p->net->n_layers; l++) {
        const fnn_layer *layer = &p->net->layers[l];
        if (!fnn_by_blas(p, FNN_WEIGHT_GRADIENT, layer->n_in, p->rows, layer->n_out))
            continue;
        const char *x = l > 0 ? fnn_at(p, fnn_drops(p, layer - 1) ? layer[-1].a : layer[-1].y)
                              : (const char *)p->batch.x + (p->batch.rows ? 0 : p->first * layer->n_in * size);
        if (l == 0 && p->batch.rows) {
            char *gathered = fnn_at(p, p->net->gathered);
            p->k->gather(gathered, x, p->batch.rows + p->first, p->rows, layer->n_in);
            x = gathered;
        }
        p->machine->blas(p->net->dtype, 1, 0, layer->n_in, layer->n_out, p->rows, x, layer->n_in, fnn_at(p, layer->dz),
                         layer->n_out, p->accumulate ? 1.0 : 0.0, p->gradients + layer->w * size, layer->n_out);
    }
}

static double real_at(const fnn_pass *p, const void *array, ptrdiff_t i) {
    return p->net->dtype == FNN_F32 ? (double)((const float *)array)[i] : ((const double *)array)[i];
}

/* 1 / Σ weights; 0 for a batch that weighs nothing, whose cost and gradient then are zero; NaN, as the cost then is, where the
   sum is no number. */
static double inverse_weight(const fnn_pass *p) {
    if (!p->batch.weight)
        return 1.0 / (double)p->batch.n;
    double sum = 0;
    for (ptrdiff_t i = 0; i < p->batch.n; i++)
        sum += real_at(p, p->batch.weight, p->batch.rows ? p->batch.rows[i] : i);
    return sum == 0 ? 0 : isfinite(sum) ? 1.0 / sum : NAN;
}

/* beta Σ KL(rho || mean activation) over the hidden layers; leaves each layer's part of the gradient in its sparse row. */
static double sparsity(const fnn_pass *p) {
    const fnn_net *net = p->net;
    double cost = 0;
    for (int l = 0; l < net->n_layers - 1; l++) {
        const fnn_layer *layer = &net->layers[l];
        char *row = fnn_at(p, layer->sparse);
        p->k->column_sums(row, fnn_at(p, layer->y), p->batch.weight, p->batch.rows, 0, p->rows, layer->n_out);
        cost += fnn_kl_row(net->dtype, row, layer->n_out, p->targets.scale, net->rho, net->beta);
    }
    return cost;
}

static double squared_weights(const fnn_pass *p) {
    double sum = 0;
    for (int l = 0; l < p->net->n_layers; l++) {
        const fnn_layer *layer = &p->net->layers[l];
        double part;
        p->k->sum_of_squares(&part, p->parameters + layer->w * p->k->size, layer->n_in * layer->n_out);
        sum += part;
    }
    return sum;
}

/* The cost of the rows of a chunk, and their dz. */
static double chunk_cost(fnn_pass *p) {
    double cost = 0;
    if (p->net->beta > 0) {
        fnn_rows_in_parallel(p, fnn_forward_task);
        cost += sparsity(p);
        fnn_rows_in_parallel(p, fnn_backward_task);
    } else {
        fnn_rows_in_parallel(p, fnn_row_task);
    }
    for (ptrdiff_t i = 0; i * p->block < p->rows; i++)
        cost += p->sums[i];
    return cost;
}

static void clipped_update(fnn_pass *p) {
    double norm;
    p->k->sum_of_squares(&norm, p->gradients, p->net->n_parameters);
    norm = sqrt(norm);
    p->for_weights.scale = p->for_biases.scale = norm > p->optimizer->clip ? p->optimizer->clip / norm : 1.0;
    p->compute = p->finish = 0;
    p->update = 1;
    parameters_in_parallel(p);
}

double fnn_step(const fnn_net *net, const fnn_machine *machine, void *parameters, void *gradients,
                const fnn_optimizer *optimizer, const fnn_batch *batch, int64_t dropout_step, void *workspace) {
    fnn_pass p = {.net = net,
                  .machine = machine,
                  .k = machine->kernels,
                  .parameters = parameters,
                  .gradients = gradients,
                  .workspace = workspace,
                  .batch = *batch,
                  .dropout_step = dropout_step,
                  .backward = gradients != NULL,
                  .linear_output = net->logits,
                  .optimizer = optimizer,
                  .sums = (double *)((char *)workspace + net->sums)};
    p.targets = (fnn_targets){batch->target, batch->labels, batch->weight, batch->rows, inverse_weight(&p), net->bound};
    p.l2 = !net->l2_by_rows ? net->l2 : net->l2_by_weight ? net->l2 * p.targets.scale : net->l2 / (double)batch->n;
    const int clip = optimizer && optimizer->clip > 0;
    if (optimizer) {
        p.for_weights = p.for_biases = optimizer->hyper;
        p.for_weights.scale = p.for_biases.scale = 1.0;
        p.for_weights.l2 = p.for_biases.l2 = 0;
    }

    double cost = 0;
    if (p.backward && fnn_is_narrow(&p)) {
        cost = fnn_narrow_cost(&p);
        if (optimizer && !isfinite(cost))
            return cost;
        p.finish = 1;
        p.update = optimizer && !clip;
        parameters_in_parallel(&p);
    } else {
        if (p.backward)
            fnn_transpose_weights(&p);
        for (; p.first < batch->n; p.first += p.rows) {
            p.rows = fnn_at_most(net->chunk, batch->n - p.first);
            cost += chunk_cost(&p);
            p.finish = p.first + p.rows == batch->n;
            if (!(optimizer && p.finish) && fnn_is_stopped(&p))
                return NAN;
            if (!p.backward)
                continue;
            if (optimizer && p.finish && !isfinite(cost))
                return cost;
            p.compute = 1;
            p.accumulate = p.first > 0;
            p.update = optimizer && p.finish && !clip;
            p.fused = p.update && !p.accumulate;
            if (p.fused)
                p.for_weights.l2 = p.l2;
            blas_gradients(&p);
            parameters_in_parallel(&p);
        }
    }
    cost *= net->loss_scale;
    if (net->l2 > 0) {
        double squares = 0;
        if (p.backward)
            for (ptrdiff_t i = 0; i < net->n_tasks; i++)
                squares += p.sums[i];
        else
            squares = squared_weights(&p);
        cost += 0.5 * p.l2 * squares;
    }
    if (clip)
        clipped_update(&p);
    return cost;
}
