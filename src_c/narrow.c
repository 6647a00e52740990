/* The row phase for networks of narrow layers, where a row would leave most of a vector empty: activations are kept with a
   feature a line, (n_out, R) for each block of R rows, so that the lanes are rows of the batch and W needs no transposed copy.
   Same sums, in the same order, as rows.c; the loss sees its outputs with a row a line, as always. */

#include "pass.h"

/* Lanes of a block of B rows. */
static ptrdiff_t lanes(ptrdiff_t B) { return (B + FNN_LANES - 1) / FNN_LANES * FNN_LANES; }

/* Start of a block of a buffer with n lines. */
static char *line(const fnn_pass *p, ptrdiff_t buffer, ptrdiff_t first, ptrdiff_t n) {
    return fnn_at(p, buffer) + first * n * p->k->size;
}

static void forward(const fnn_pass *p, ptrdiff_t first, ptrdiff_t B, ptrdiff_t R) {
    const fnn_net *net = p->net;
    const fnn_kernels *k = p->k;
    const ptrdiff_t n_in = net->layers[0].n_in, start = p->first + first;
    const ptrdiff_t *rows = p->batch.rows ? p->batch.rows + start : NULL;
    char *x = line(p, net->gathered, first, n_in);
    k->narrow_pack(x, (const char *)p->batch.x + (rows ? 0 : start * n_in * k->size), rows, 1, B, R, n_in);
    for (int l = 0; l < net->n_layers; l++) {
        const fnn_layer *layer = &net->layers[l];
        const int linear = p->linear_output && l == net->n_layers - 1;
        char *y = line(p, layer->y, first, layer->n_out), *z = linear ? y : line(p, layer->z, first, layer->n_out);
        k->narrow_forward(z, x, p->parameters + layer->w * k->size, p->parameters + layer->b * k->size, R, layer->n_in,
                          layer->n_out);
        if (!linear && layer->activation != FNN_identity)
            k->activation_forward[layer->activation](y, z, layer->alpha, layer->n_out, R);
        x = y;
    }
}

/* The loss of a block, and dz of the last layer, zero in the lanes behind the last row. */
static double loss(const fnn_pass *p, ptrdiff_t first, ptrdiff_t B, ptrdiff_t R, int slot) {
    const fnn_layer *layer = &p->net->layers[p->net->n_layers - 1];
    const ptrdiff_t O = layer->n_out;
    char *y = line(p, layer->y, first, O), *dz = line(p, layer->dz, first, O);
    char *y_rows = fnn_at(p, p->net->scratch + slot * p->net->scratch_size), *dz_rows = y_rows + B * O * p->k->size;
    if (O == 1)
        y_rows = y;
    else
        p->k->narrow_unpack(y_rows, y, B, R, O);
    const double cost = fnn_loss(p, dz_rows, y_rows, first, B);
    p->k->narrow_pack(dz, dz_rows, NULL, 0, B, R, O);
    return cost;
}

static void backward(const fnn_pass *p, ptrdiff_t first, ptrdiff_t R) {
    const fnn_net *net = p->net;
    const fnn_kernels *k = p->k;
    for (int l = net->n_layers - 1; l >= 0; l--) {
        const fnn_layer *layer = &net->layers[l];
        char *dz = line(p, layer->dz, first, layer->n_out);
        if (!(p->linear_output && l == net->n_layers - 1) && layer->activation != FNN_identity)
            k->activation_backward[layer->activation](dz, dz, line(p, layer->y, first, layer->n_out),
                                                      line(p, layer->z, first, layer->n_out), layer->alpha,
                                                      layer->n_out, R);
        if (l > 0)
            k->narrow_input_gradient(line(p, layer[-1].dz, first, layer->n_in), dz, p->parameters + layer->w * k->size,
                                     R, layer->n_in, layer->n_out);
    }
}

void fnn_narrow_row_task(void *context, ptrdiff_t i, int slot) {
    const fnn_pass *p = context;
    const ptrdiff_t first = i * p->block, B = fnn_at_most(p->block, p->rows - first), R = lanes(B);
    forward(p, first, B, R);
    p->sums[i] = loss(p, first, B, R, slot);
    backward(p, first, R);
}

void fnn_narrow_gradient(const fnn_pass *p, int l, void *dw, void *db, ptrdiff_t i0, ptrdiff_t i1) {
    const fnn_layer *layer = &p->net->layers[l];
    const ptrdiff_t n = (p->rows + p->block - 1) / p->block;
    const fnn_blocks blocks = {n, p->block, lanes(p->rows - (n - 1) * p->block)};
    const char *x = fnn_at(p, l > 0 ? layer[-1].y : p->net->gathered), *dz = fnn_at(p, layer->dz);
    p->k->narrow_weight_gradient(dw, x, dz, &blocks, p->accumulate, layer->n_in, layer->n_out, i0, i1);
    if (db)
        p->k->narrow_bias_gradient(db, dz, &blocks, p->accumulate, layer->n_out);
}
