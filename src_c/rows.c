/* The row phase: forward through all layers, loss, and back, for blocks of rows; prediction and input gradients are the same
   walk with other ends. */

#include "pass.h"

#include <string.h>

/* y (B, N) = x W + b, or W transposed (K, N) without b. */
static void product(const fnn_pass *p, int kind, void *y, const void *x, const ptrdiff_t *rows, const void *w,
                    const void *b, ptrdiff_t B, ptrdiff_t K, ptrdiff_t N) {
    if (fnn_by_blas(p, kind, B, K, N)) {
        if (rows) {
            char *gathered = fnn_at(p, p->net->gathered);
            p->k->gather(gathered, x, rows, B, K);
            x = gathered;
        }
        if (b)
            p->k->fill_rows(y, b, B, N);
        p->machine->blas(p->net->dtype, 0, 0, B, N, K, x, K, w, N, b ? 1.0 : 0.0, y, N);
    } else {
        p->k->gemm_nn(y, x, rows, w, b, 0, B, K, N);
    }
}

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
        product(p, FNN_FORWARD, z, x, rows, p->parameters + layer->w * size, p->parameters + layer->b * size, B,
                layer->n_in, layer->n_out);
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

static double loss(const fnn_pass *p, ptrdiff_t first, ptrdiff_t B) {
    const fnn_layer *layer = &p->net->layers[p->net->n_layers - 1];
    const ptrdiff_t size = p->k->size, start = p->first + first, here = first * layer->n_out * size;
    fnn_targets t = p->targets;
    if (t.rows) {
        t.rows += start;
    } else {
        t.target = t.target ? (const char *)t.target + start * layer->n_out * size : NULL;
        t.labels = t.labels ? t.labels + start : NULL;
        t.weight = t.weight ? (const char *)t.weight + start * size : NULL;
    }
    return p->k->loss[p->net->loss](p->backward ? fnn_at(p, layer->dz) + here : NULL, fnn_at(p, layer->y) + here, &t, B,
                                    layer->n_out);
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
        if (l > 0)
            product(p, FNN_INPUT_GRADIENT, fnn_at(p, net->layers[l - 1].dz) + first * layer->n_in * size, dz, NULL,
                    fnn_at(p, layer->wt), NULL, B, layer->n_out, layer->n_in);
        else if (p->dx)
            product(p, FNN_INPUT_GRADIENT, p->dx + start * layer->n_in * size, dz, NULL, p->wt0, NULL, B, layer->n_out,
                    layer->n_in);
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
    if (p->dy) {
        const fnn_layer *last = &p->net->layers[p->net->n_layers - 1];
        const ptrdiff_t row = last->n_out * p->k->size;
        memcpy(fnn_at(p, last->dz) + first * row, p->dy + (p->first + first) * row, (size_t)(B * row));
    } else {
        p->sums[i] = loss(p, first, B);
    }
    if (p->backward || p->dy)
        backward(p, first, B);
}

void fnn_row_task(void *context, ptrdiff_t i, int slot) {
    fnn_forward_task(context, i, slot);
    fnn_backward_task(context, i, slot);
}

void fnn_rows_in_parallel(fnn_pass *p, fnn_task_fn task) {
    p->block = fnn_at_most(p->net->block, p->rows);
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

void fnn_refresh(const fnn_net *net, const fnn_machine *machine, const void *parameters, void *workspace) {
    const fnn_kernels *k = machine->kernels;
    for (int l = 1; l < net->n_layers; l++) {
        const fnn_layer *layer = &net->layers[l];
        k->transpose((char *)workspace + layer->wt * k->size, (const char *)parameters + layer->w * k->size,
                     layer->n_in, layer->n_out, 0, layer->n_in);
    }
}

void fnn_predict(const fnn_net *net, const fnn_machine *machine, const void *parameters, const void *x, ptrdiff_t n,
                 void *out, void *const *outputs, void *scratch) {
    fnn_pass p = {.net = net,
                  .machine = machine,
                  .k = machine->kernels,
                  .parameters = parameters,
                  .batch = {.x = x, .n = n},
                  .dropout_step = FNN_NO_DROPOUT,
                  .out = out,
                  .outputs = outputs,
                  .scratch = scratch};
    for (; p.first < n; p.first += p.rows) {
        p.rows = fnn_at_most(FNN_PREDICT_CHUNK, n - p.first);
        fnn_rows_in_parallel(&p, fnn_forward_task);
    }
}

void fnn_input_gradient(const fnn_net *net, const fnn_machine *machine, const void *parameters, const void *x,
                        const void *dy, ptrdiff_t n, void *dx, void *wt0, void *workspace) {
    fnn_pass p = {.net = net,
                  .machine = machine,
                  .k = machine->kernels,
                  .parameters = parameters,
                  .workspace = workspace,
                  .batch = {.x = x, .n = n},
                  .dropout_step = FNN_NO_DROPOUT,
                  .dy = dy,
                  .dx = dx,
                  .wt0 = wt0};
    const fnn_layer *first = &net->layers[0];
    fnn_refresh(net, machine, parameters, workspace);
    p.k->transpose(wt0, (const char *)parameters + first->w * p.k->size, first->n_in, first->n_out, 0, first->n_in);
    for (; p.first < n; p.first += p.rows) {
        p.rows = fnn_at_most(net->chunk, n - p.first);
        fnn_rows_in_parallel(&p, fnn_row_task);
    }
}
