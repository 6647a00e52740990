/* A training step: the cost of a batch, its gradient and the update, in two phases a chunk of rows:

     rows (rows.c)  blocks of rows, in parallel: forward through all layers, loss, back through all layers, while the block is
                    in cache
     parameters     stripes of W and b, in parallel: the gradient summed over the chunk, and the update while it is in cache

   with one barrier between. Blocks and stripes depend on the network and the batch only, and every sum runs in a fixed order,
   so the results are the same to the bit for every number of threads. Own kernels throughout unless fnn_choose says
   otherwise: a product by BLAS runs over the whole chunk on the calling thread, with whatever threads BLAS has, never inside
   the pool. */

#include "pass.h"

#include <math.h>

/* What one task does of a layer's parameters: rows i0 to i1 and columns o0 to o1 of W; b goes with the first of them. */
typedef struct part {
    const fnn_layer *layer;
    int l;
    ptrdiff_t i0, i1, o0, o1;
} part;

static part part_of(const fnn_net *net, ptrdiff_t task) {
    part q = {.l = 0};
    while (task >= net->layers[q.l].n_stripes * net->layers[q.l].n_spans) {
        task -= net->layers[q.l].n_stripes * net->layers[q.l].n_spans;
        q.l++;
    }
    q.layer = &net->layers[q.l];
    q.i0 = fnn_stripe_start(q.layer, task / q.layer->n_spans);
    q.i1 = fnn_stripe_start(q.layer, task / q.layer->n_spans + 1);
    q.o0 = fnn_span_start(q.layer, task % q.layer->n_spans);
    q.o1 = fnn_span_start(q.layer, task % q.layer->n_spans + 1);
    return q;
}

/* Stretches of memory that a part of W is. Whole rows lie one behind the other. */
typedef struct lines {
    ptrdiff_t count, length;
} lines;

static lines lines_of(const part *q) {
    const ptrdiff_t rows = q->i1 - q->i0, width = q->o1 - q->o0;
    return width == q->layer->n_out ? (lines){1, rows * width} : (lines){rows, width};
}

/* Whoever wants the squares of all weights adds those of the parts, in their order, and gets the same bits. */
static double squares_of(const fnn_pass *p, ptrdiff_t task) {
    const part q = part_of(p->net, task);
    const lines of = lines_of(&q);
    double sum = 0, squares;
    for (ptrdiff_t i = 0; i < of.count; i++) {
        p->k->sum_of_squares(&squares, fnn_weights(p, q.l) + ((q.i0 + i) * q.layer->n_out + q.o0) * p->k->size,
                             of.length);
        sum += squares;
    }
    return sum;
}

/* What the rows of the chunk are as inputs of a layer. */
static const char *inputs(const fnn_pass *p, int l) {
    const fnn_layer *before = &p->net->layers[l - 1];
    return l == 0 ? fnn_inputs(p, 0) : fnn_at(p, fnn_drops(p, before) ? before->a : before->y);
}

/* The update of n parameters from `offset` on. */
static void update(const fnn_pass *p, ptrdiff_t offset, const void *gradient, const fnn_hyper *hyper, ptrdiff_t n) {
    const ptrdiff_t size = p->k->size;
    const int n_slots = fnn_update_slots[p->optimizer->update];
    char *s1 = n_slots > 0 ? (char *)p->optimizer->slots + offset * size : NULL;
    char *s2 = n_slots > 1 ? s1 + p->net->n_parameters * size : NULL;
    p->k->update[p->optimizer->update]((char *)p->parameters + offset * size, gradient, s1, s2, hyper, n);
}

static void parameter_task(void *context, ptrdiff_t task, int slot) {
    const fnn_pass *p = context;
    const fnn_net *net = p->net;
    const fnn_kernels *k = p->k;
    const ptrdiff_t size = k->size;
    const part q = part_of(net, task);
    const fnn_layer *layer = q.layer;
    const ptrdiff_t O = layer->n_out, width = q.o1 - q.o0, w = layer->w + q.i0 * O + q.o0;
    const int by_blas = p->compute && fnn_by_blas(p, FNN_WEIGHT_GRADIENT, layer->n_in, p->rows, O);
    const int in_scratch = p->fused && !by_blas;
    char *room = fnn_at(p, net->scratch + slot * net->scratch_size), *scratch = room + net->gradient_room * size;
    char *dw = in_scratch ? scratch : p->gradients + w * size;
    char *db = p->fused ? scratch + layer->stripe * layer->span * size : p->gradients + layer->b * size;
    const ptrdiff_t ldw = in_scratch ? width : O;
    const int with_biases = q.i0 == 0 && q.o0 == 0;

    if (p->compute) {
        const char *dz = fnn_at(p, layer->dz), *x = inputs(p, q.l);
        if (!by_blas)
            fnn_weight_gradient_part(&p->machine->maker, dw, ldw, x, dz, p->accumulate, p->rows, layer->n_in, O, q.i0,
                                     q.i1, q.o0, q.o1, room);
        if (with_biases)
            k->column_sums(db, dz, NULL, NULL, p->accumulate, p->rows, O);
    }
    if (p->finish && net->l2 > 0)
        p->sums[task] = squares_of(p, task);
    const lines of = lines_of(&q);
    for (ptrdiff_t i = 0; i < of.count; i++) {
        const ptrdiff_t at = w + i * O;
        char *gradient = dw + i * ldw * size;
        if (p->finish && net->l2 > 0 && !p->fused) /* the caller gets, or clips, the gradient of the whole cost */
            k->add_outer(gradient, p->parameters + at * size, NULL, NULL, p->l2, 1, of.length);
        if (p->update)
            update(p, at, gradient, &p->for_weights, of.length);
    }
    if (p->update && with_biases)
        update(p, layer->b, db, &p->for_biases, O);
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
        fnn_weight_gradient(&p->machine->maker, p->gradients + layer->w * size, inputs(p, l), fnn_at(p, layer->dz),
                            p->accumulate, p->rows, layer->n_in, layer->n_out, NULL);
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

/* The cost of the rows of a chunk, and their dz. */
static double chunk_cost(fnn_pass *p) {
    double cost = 0;
    if (p->net->beta > 0) {
        fnn_rows_pass(p, 1, 0);
        cost += sparsity(p);
        fnn_rows_pass(p, 0, 1);
    } else {
        fnn_rows_pass(p, 1, 1);
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
                  .k = machine->maker.kernels,
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
            p.rows = fnn_at_most(fnn_chunk_rows(net, batch->n), batch->n - p.first);
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
        for (ptrdiff_t task = 0; task < net->n_tasks; task++)
            squares += p.backward ? p.sums[task] : squares_of(&p, task);
        cost += 0.5 * p.l2 * squares;
    }
    if (clip)
        clipped_update(&p);
    return cost;
}
