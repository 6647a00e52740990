/* The row phase: forward through all layers, loss, and back, for blocks of rows that stay in cache; prediction and input
   gradients are the same walk with other ends. What a layer does to some rows stands here; where W outgrows the caches the
   layers take turns over all rows instead (layers.c). */

#include "pass.h"

#include <string.h>

static ptrdiff_t start_of(const fnn_pass *p, ptrdiff_t first) { return p->first + first; }

/* The output of a layer for the rows of the chunk from `first` on. */
static char *output(const fnn_pass *p, int l, ptrdiff_t first, int slot) {
    const fnn_net *net = p->net;
    const ptrdiff_t size = p->k->size, row = net->layers[l].n_out * size;
    if (p->outputs)
        return (char *)p->outputs[l] + start_of(p, first) * row;
    if (!p->scratch)
        return fnn_at(p, net->layers[l].y) + first * row;
    /* Only the last output is wanted: two buffers take turns. */
    return l == net->n_layers - 1 ? p->out + start_of(p, first) * row
                                  : p->scratch + (2 * slot + l % 2) * p->together * net->widest * size;
}

fnn_place fnn_place_of(const fnn_pass *p, int l, ptrdiff_t first, int slot) {
    const fnn_net *net = p->net;
    const fnn_layer *layer = &net->layers[l];
    const ptrdiff_t size = p->k->size;
    fnn_place at = {.y = output(p, l, first, slot)};
    if (l == 0) {
        at.x = fnn_inputs(p, first);
    } else {
        at.x = fnn_drops(p, layer - 1) ? fnn_at(p, layer[-1].a) + first * layer->n_in * size
                                       : output(p, l - 1, first, slot);
    }
    const int plain = p->outputs || p->scratch || (p->linear_output && l == net->n_layers - 1);
    at.z = plain ? at.y : fnn_at(p, layer->z) + first * layer->n_out * size;
    return at;
}

void fnn_activate(const fnn_pass *p, int l, const fnn_place *at, ptrdiff_t first, ptrdiff_t B) {
    const fnn_layer *layer = &p->net->layers[l];
    const int inside_loss = p->linear_output && l == p->net->n_layers - 1;
    if (!inside_loss && (layer->activation != FNN_identity || at->y != at->z))
        p->k->activation_forward[layer->activation](at->y, at->z, layer->alpha, B, layer->n_out);
    if (fnn_drops(p, layer)) {
        const fnn_stream stream = {p->net->seed, (uint32_t)l, (uint32_t)p->dropout_step};
        p->k->dropout(fnn_at(p, layer->a) + first * layer->n_out * p->k->size, at->y, layer->keep, start_of(p, first),
                      B, layer->n_out, &stream);
    }
}

/* Rows that stand anywhere in memory are laid side by side, because they are read twice, for the weight gradient down their
   columns, where each would cost a page of its own once a tile. No hardware can guess them: what the loss reads of them is
   called for here, and those of the block that this thread is likely to do next, in this batch or the next one, by the product
   that brings these. */
fnn_rows fnn_rows_of(const fnn_pass *p, ptrdiff_t first, ptrdiff_t B) {
    const fnn_net *net = p->net;
    const ptrdiff_t size = p->k->size, n_out = net->layers[net->n_layers - 1].n_out, start = start_of(p, first);
    const ptrdiff_t later = start + p->block * p->machine->n_threads;
    const ptrdiff_t *rows = p->batch.rows + start;
    for (ptrdiff_t i = 0; i < B; i++) {
        if (p->batch.labels)
            __builtin_prefetch(p->batch.labels + rows[i]);
        if (p->batch.target)
            __builtin_prefetch((const char *)p->batch.target + rows[i] * n_out * size);
        if (p->batch.weight)
            __builtin_prefetch((const char *)p->batch.weight + rows[i] * size);
    }
    return (fnn_rows){.x = p->batch.x,
                      .rows = rows,
                      .later = p->batch.rows + later,
                      .n = B,
                      .n_later = fnn_at_least(fnn_at_most(p->block, p->batch.n + p->batch.following - later), 0)};
}

/* Rows `first` to first + B of the chunk through all layers. */
static void forward(const fnn_pass *p, ptrdiff_t first, ptrdiff_t B, int slot) {
    const fnn_net *net = p->net;
    fnn_rows rows;
    const fnn_rows *from = NULL;
    if (p->batch.rows) {
        rows = fnn_rows_of(p, first, B);
        from = &rows;
    }
    for (int l = 0; l < net->n_layers; l++) {
        const fnn_layer *layer = &net->layers[l];
        const fnn_place at = fnn_place_of(p, l, first, slot);
        fnn_forward(&p->machine->maker, at.z, at.x, l == 0 ? from : NULL, fnn_weights(p, l), fnn_biases(p, l), B,
                    layer->n_in, layer->n_out);
        fnn_activate(p, l, &at, first, B);
    }
}

double fnn_loss(const fnn_pass *p, void *dz, const void *y, ptrdiff_t first, ptrdiff_t B) {
    const fnn_layer *layer = &p->net->layers[p->net->n_layers - 1];
    const ptrdiff_t size = p->k->size, start = p->first + first;
    fnn_targets t = p->targets;
    if (t.rows) {
        t.rows += start;
    } else {
        t.target = t.target ? (const char *)t.target + start * layer->n_out * size : NULL;
        t.labels = t.labels ? t.labels + start : NULL;
        t.weight = t.weight ? (const char *)t.weight + start * size : NULL;
    }
    return p->k->loss[p->net->loss](dz, y, &t, B, layer->n_out);
}

char *fnn_room_of(const fnn_pass *p, int l, ptrdiff_t first) {
    const fnn_layer *layer = &p->net->layers[l];
    if (fnn_input_gradient_room(&p->machine->maker, p->batch.n, layer->n_in, layer->n_out) == 0)
        return NULL;
    return fnn_at(p, p->net->turned) + first * layer->n_out * p->k->size;
}

char *fnn_transposed(const fnn_pass *p, int l) {
    const fnn_layer *layer = &p->net->layers[l];
    if (!fnn_wants_transposed(&p->machine->maker, p->batch.n, layer->n_in, layer->n_out))
        return NULL;
    return l > 0 ? fnn_at(p, layer->wt) : p->wt0;
}

/* Where the gradient of a layer's inputs goes; NULL where it is not wanted. */
char *fnn_input_gradient_at(const fnn_pass *p, int l, ptrdiff_t first) {
    const ptrdiff_t row = p->net->layers[l].n_in * p->k->size;
    if (l > 0)
        return fnn_at(p, p->net->layers[l - 1].dz) + first * row;
    return p->dx ? p->dx + start_of(p, first) * row : NULL;
}

/* dz of layer l for B rows, from the gradient of its output there. */
void fnn_through_activation(const fnn_pass *p, int l, ptrdiff_t first, ptrdiff_t B) {
    const fnn_net *net = p->net;
    const fnn_layer *layer = &net->layers[l];
    const ptrdiff_t size = p->k->size, start = start_of(p, first), here = first * layer->n_out * size;
    char *dz = fnn_at(p, layer->dz) + here;
    if (fnn_drops(p, layer)) {
        const fnn_stream stream = {net->seed, (uint32_t)l, (uint32_t)p->dropout_step};
        p->k->dropout(dz, dz, layer->keep, start, B, layer->n_out, &stream);
    }
    if (net->beta > 0 && l < net->n_layers - 1 && !p->dy) {
        const ptrdiff_t *rows = p->batch.rows ? p->batch.rows + start : NULL;
        const char *weight = p->batch.weight;
        if (weight && !rows)
            weight += start * size;
        p->k->add_outer(dz, fnn_at(p, layer->sparse), weight, rows, p->targets.scale, B, layer->n_out);
    }
    if (!(p->linear_output && l == net->n_layers - 1) && layer->activation != FNN_identity)
        p->k->activation_backward[layer->activation](dz, dz, fnn_at(p, layer->y) + here, fnn_at(p, layer->z) + here,
                                                     layer->alpha, B, layer->n_out);
}

/* The gradient of the loss, or the caller's, in the last layer's dz; the loss goes to sums[i]. */
void fnn_loss_of_block(const fnn_pass *p, ptrdiff_t i, ptrdiff_t first, ptrdiff_t B) {
    const fnn_layer *last = &p->net->layers[p->net->n_layers - 1];
    const ptrdiff_t row = last->n_out * p->k->size;
    char *dz = fnn_at(p, last->dz) + first * row;
    if (p->dy)
        memcpy(dz, p->dy + start_of(p, first) * row, (size_t)(B * row));
    else
        p->sums[i] = fnn_loss(p, p->backward ? dz : NULL, fnn_at(p, last->y) + first * row, first, B);
}

/* dz of every layer, from that of the last. */
static void backward(const fnn_pass *p, ptrdiff_t first, ptrdiff_t B) {
    for (int l = p->net->n_layers - 1; l >= 0; l--) {
        const fnn_layer *layer = &p->net->layers[l];
        char *dx = fnn_input_gradient_at(p, l, first);
        fnn_through_activation(p, l, first, B);
        if (dx)
            fnn_input_gradient_product(&p->machine->maker, dx, fnn_at(p, layer->dz) + first * layer->n_out * p->k->size,
                                       fnn_weights(p, l), fnn_transposed(p, l), B, layer->n_in, layer->n_out,
                                       fnn_room_of(p, l, first));
    }
}

static void forward_task(void *context, ptrdiff_t i, int slot) {
    const fnn_pass *p = context;
    forward(p, i * p->block, fnn_at_most(p->block, p->rows - i * p->block), slot);
}

static void backward_task(void *context, ptrdiff_t i, int slot) {
    const fnn_pass *p = context;
    const ptrdiff_t first = i * p->block, B = fnn_at_most(p->block, p->rows - first);
    (void)slot;
    fnn_loss_of_block(p, i, first, B);
    if (p->backward || p->dy)
        backward(p, first, B);
}

static void row_task(void *context, ptrdiff_t i, int slot) {
    forward_task(context, i, slot);
    backward_task(context, i, slot);
}

static int any_by_blas(const fnn_pass *p) {
    if (!fnn_ever_blas(&p->machine->maker))
        return 0;
    for (int l = 0; l < p->net->n_layers; l++) {
        const fnn_layer *layer = &p->net->layers[l];
        if (fnn_by_blas(p, FNN_FORWARD, p->rows, layer->n_in, layer->n_out) ||
            ((p->backward || p->dy) && (l > 0 || p->dx) &&
             fnn_by_blas(p, FNN_INPUT_GRADIENT, p->rows, layer->n_out, layer->n_in)))
            return 1;
    }
    return 0;
}

void fnn_rows_pass(fnn_pass *p, int forward_too, int backward_too) {
    const int by_blas = any_by_blas(p);
    const int by_layers = !by_blas && fnn_by_layers(p->net, &p->machine->maker, p->rows);
    p->block = by_blas ? p->rows : fnn_block_rows(p->net, p->rows);
    p->together = by_layers ? p->rows : p->block;
    if (by_layers) {
        if (forward_too)
            fnn_layers_forward(p);
        if (backward_too)
            fnn_layers_backward(p);
        return;
    }
    const fnn_task_fn task = !backward_too ? forward_task : forward_too ? row_task : backward_task;
    p->machine->parallel(task, p, (p->rows + p->block - 1) / p->block,
                         fnn_threads_for(p, (double)p->rows * (double)p->net->n_parameters));
}

int fnn_is_stopped(fnn_pass *p) {
    return p->machine->stop && fnn_time_to_look(&p->watch, (double)p->rows * (double)p->net->n_parameters) &&
           p->machine->stop(p->machine);
}

void fnn_transpose_weights(const fnn_pass *p) {
    for (int l = p->wt0 ? 0 : 1; l < p->net->n_layers; l++) {
        char *to = fnn_transposed(p, l);
        if (to)
            p->k->transpose(to, fnn_weights(p, l), p->net->layers[l].n_in, p->net->layers[l].n_out);
    }
}

int fnn_predict(const fnn_net *net, const fnn_machine *machine, const void *parameters, const void *x, ptrdiff_t n,
                void *out, void *const *outputs, void *scratch) {
    fnn_pass p = {.net = net,
                  .machine = machine,
                  .k = machine->maker.kernels,
                  .parameters = parameters,
                  .batch = {.x = x, .n = n},
                  .dropout_step = FNN_NO_DROPOUT,
                  .out = out,
                  .outputs = outputs,
                  .scratch = scratch};
    for (; p.first < n; p.first += p.rows) {
        p.rows = fnn_at_most(FNN_PREDICT_CHUNK, n - p.first);
        fnn_rows_pass(&p, 1, 0);
        if (fnn_is_stopped(&p))
            return -1;
    }
    return 0;
}

int fnn_input_gradient(const fnn_net *net, const fnn_machine *machine, const void *parameters, const void *x,
                       const void *dy, ptrdiff_t n, void *dx, void *wt0, void *workspace) {
    fnn_pass p = {.net = net,
                  .machine = machine,
                  .k = machine->maker.kernels,
                  .parameters = parameters,
                  .workspace = workspace,
                  .batch = {.x = x, .n = n},
                  .dropout_step = FNN_NO_DROPOUT,
                  .dy = dy,
                  .dx = dx,
                  .wt0 = wt0};
    if (n == 0) /* no chunk to divide by */
        return 0;
    fnn_transpose_weights(&p);
    for (; p.first < n; p.first += p.rows) {
        p.rows = fnn_at_most(fnn_chunk_rows(net, n), n - p.first);
        fnn_rows_pass(&p, 1, 1);
        if (fnn_is_stopped(&p))
            return -1;
    }
    return 0;
}
