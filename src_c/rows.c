/* The row phase: forward through all layers, loss, and back, for blocks of rows; prediction and input gradients are the same
   walk with other ends. */

#include "pass.h"

#include <string.h>

static const char *weights(const fnn_pass *p, const fnn_layer *layer) { return p->parameters + layer->w * p->k->size; }

/* Rows `first` to first + B of the chunk through all layers. */
static void forward(const fnn_pass *p, ptrdiff_t first, ptrdiff_t B, int slot) {
    const fnn_net *net = p->net;
    const ptrdiff_t size = p->k->size, start = p->first + first;
    const ptrdiff_t *rows = p->batch.rows ? p->batch.rows + start : NULL;
    const char *x = p->batch.x;
    if (!rows)
        x += start * net->layers[0].n_in * size;
    for (int l = 0; l < net->n_layers; l++) {
        const fnn_layer *layer = &net->layers[l];
        const int last = l == net->n_layers - 1;
        const ptrdiff_t here = first * layer->n_out * size;
        char *y, *z;
        if (p->outputs)
            y = z = (char *)p->outputs[l] + start * layer->n_out * size;
        else if (p->scratch) /* only the last output is wanted: two buffers take turns */
            y = z = last ? p->out + start * layer->n_out * size
                         : p->scratch + (2 * slot + l % 2) * p->block * net->widest * size;
        else {
            y = fnn_at(p, layer->y) + here;
            z = fnn_at(p, layer->z) + here;
        }
        if (last && p->linear_output)
            z = y;
        fnn_forward(&p->machine->maker, z, x, rows, weights(p, layer), p->parameters + layer->b * size, B, layer->n_in,
                    layer->n_out, p->workspace ? fnn_at(p, net->gathered) : NULL);
        if (!(last && p->linear_output) && (layer->activation != FNN_identity || y != z))
            p->k->activation_forward[layer->activation](y, z, layer->alpha, B, layer->n_out);
        x = y;
        rows = NULL;
        if (fnn_drops(p, layer)) {
            char *a = fnn_at(p, layer->a) + here;
            const fnn_stream stream = {net->seed, (uint32_t)l, (uint32_t)p->dropout_step};
            p->k->dropout(a, y, layer->keep, start, B, layer->n_out, &stream);
            x = a;
        }
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

/* Where W of a layer stands transposed, NULL where nothing of this chunk wants it: the choice is that of all its rows, since
   blocks may be of different lengths. */
static char *transposed(const fnn_pass *p, int l) {
    const fnn_layer *layer = &p->net->layers[l];
    if (!fnn_wants_transposed(&p->machine->maker, p->batch.n, layer->n_in, layer->n_out))
        return NULL;
    return l > 0 ? fnn_at(p, layer->wt) : p->wt0;
}

/* dz of every layer, from the derivative of the loss in the last layer's dz. */
static void backward(const fnn_pass *p, ptrdiff_t first, ptrdiff_t B) {
    const fnn_net *net = p->net;
    const ptrdiff_t size = p->k->size, start = p->first + first;
    for (int l = net->n_layers - 1; l >= 0; l--) {
        const fnn_layer *layer = &net->layers[l];
        const ptrdiff_t here = first * layer->n_out * size;
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
        char *dx = l > 0   ? fnn_at(p, net->layers[l - 1].dz) + first * layer->n_in * size
                   : p->dx ? p->dx + start * layer->n_in * size
                           : NULL;
        if (dx)
            fnn_input_gradient_product(&p->machine->maker, dx, dz, weights(p, layer), transposed(p, l), B, layer->n_in,
                                       layer->n_out);
    }
}

void fnn_forward_task(void *context, ptrdiff_t i, int slot) {
    const fnn_pass *p = context;
    forward(p, i * p->block, fnn_at_most(p->block, p->rows - i * p->block), slot);
}

void fnn_backward_task(void *context, ptrdiff_t i, int slot) {
    const fnn_pass *p = context;
    const ptrdiff_t first = i * p->block, B = fnn_at_most(p->block, p->rows - first);
    (void)slot;
    const fnn_layer *last = &p->net->layers[p->net->n_layers - 1];
    const ptrdiff_t row = last->n_out * p->k->size;
    char *dz = fnn_at(p, last->dz) + first * row;
    if (p->dy)
        memcpy(dz, p->dy + (p->first + first) * row, (size_t)(B * row));
    else
        p->sums[i] = fnn_loss(p, p->backward ? dz : NULL, fnn_at(p, last->y) + first * row, first, B);
    if (p->backward || p->dy)
        backward(p, first, B);
}

void fnn_row_task(void *context, ptrdiff_t i, int slot) {
    fnn_forward_task(context, i, slot);
    fnn_backward_task(context, i, slot);
}

void fnn_rows_in_parallel(fnn_pass *p, fnn_task_fn task) {
    p->block = fnn_block_rows(p->net, p->rows);
    for (int l = 0; l < p->net->n_layers; l++) {
        const fnn_layer *layer = &p->net->layers[l];
        if (fnn_by_blas(p, FNN_FORWARD, p->rows, layer->n_in, layer->n_out) ||
            ((p->backward || p->dy) && (l > 0 || p->dx) &&
             fnn_by_blas(p, FNN_INPUT_GRADIENT, p->rows, layer->n_out, layer->n_in)))
            p->block = p->rows;
    }
    const ptrdiff_t n_blocks = (p->rows + p->block - 1) / p->block;
    p->machine->parallel(task, p, n_blocks, fnn_threads_for(p, (double)p->rows * (double)p->net->n_parameters));
}

int fnn_is_stopped(fnn_pass *p) {
    return p->machine->stop && fnn_time_to_look(&p->watch, (double)p->rows * (double)p->net->n_parameters) &&
           p->machine->stop();
}

void fnn_transpose_weights(const fnn_pass *p) {
    for (int l = p->wt0 ? 0 : 1; l < p->net->n_layers; l++) {
        char *to = transposed(p, l);
        if (to)
            p->k->transpose(to, weights(p, &p->net->layers[l]), p->net->layers[l].n_in, p->net->layers[l].n_out);
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
        fnn_rows_in_parallel(&p, fnn_forward_task);
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
        p.rows = fnn_at_most(net->chunk, n - p.first);
        fnn_rows_in_parallel(&p, fnn_row_task);
        if (fnn_is_stopped(&p))
            return -1;
    }
    return 0;
}
