/* The step of networks of narrow layers, where a row would leave most of a vector empty: activations are kept with a feature a
   line, (n_out, R) for each block of R rows, so that the lanes are rows of the batch and W needs no transposed copy. Sums
   run over k in order; rows.c may sum last columns otherwise. The loss sees its outputs with a row a line, as always.

   The gradient has few elements here and the batch many rows. So the batch goes in shares, each block by block forward and
   back and then to a gradient of its own, all in one thread's cache; the shares' gradients are added up in their order. */

#include "pass.h"

/* Where a task works: the thread's activations, and the share's rows. */
typedef struct share {
    const fnn_pass *p;
    char *room;
    ptrdiff_t start, rows; /* in the batch */
} share;

/* Lanes of a block of B rows. */
static ptrdiff_t lanes(ptrdiff_t B) { return (B + FNN_LANES - 1) / FNN_LANES * FNN_LANES; }

/* Start of the block from row `first` of the share on, in a buffer with n lines. */
static char *line(const share *s, ptrdiff_t buffer, ptrdiff_t first, ptrdiff_t n) {
    return s->room + (buffer + first * n) * s->p->k->size;
}

static void forward(const share *s, ptrdiff_t first, ptrdiff_t B, ptrdiff_t R) {
    const fnn_pass *p = s->p;
    const fnn_net *net = p->net;
    const fnn_kernels *k = p->k;
    const ptrdiff_t n_in = net->layers[0].n_in, start = s->start + first;
    const ptrdiff_t *rows = p->batch.rows ? p->batch.rows + start : NULL;
    char *x = line(s, net->gathered, first, n_in);
    k->narrow_pack(x, (const char *)p->batch.x + (rows ? 0 : start * n_in * k->size), rows, 1, B, R, n_in);
    for (int l = 0; l < net->n_layers; l++) {
        const fnn_layer *layer = &net->layers[l];
        const int linear = p->linear_output && l == net->n_layers - 1;
        char *y = line(s, layer->y, first, layer->n_out), *z = linear ? y : line(s, layer->z, first, layer->n_out);
        k->narrow_forward(z, x, p->parameters + layer->w * k->size, p->parameters + layer->b * k->size, R, layer->n_in,
                          layer->n_out);
        if (!linear && layer->activation != FNN_identity)
            k->activation_forward[layer->activation](y, z, layer->alpha, layer->n_out, R);
        x = y;
    }
}

/* The loss of a block, and dz of the last layer, zero in the lanes behind the last row. */
static double loss(const share *s, ptrdiff_t first, ptrdiff_t B, ptrdiff_t R, char *scratch) {
    const fnn_pass *p = s->p;
    const fnn_layer *layer = &p->net->layers[p->net->n_layers - 1];
    const ptrdiff_t O = layer->n_out;
    char *y = line(s, layer->y, first, O), *dz = line(s, layer->dz, first, O);
    char *y_rows = O == 1 ? y : scratch, *dz_rows = scratch + B * O * p->k->size;
    if (O > 1)
        p->k->narrow_unpack(y_rows, y, B, R, O);
    const double cost = fnn_loss(p, dz_rows, y_rows, s->start + first, B);
    p->k->narrow_pack(dz, dz_rows, NULL, 0, B, R, O);
    return cost;
}

static void backward(const share *s, ptrdiff_t first, ptrdiff_t R) {
    const fnn_pass *p = s->p;
    const fnn_net *net = p->net;
    const fnn_kernels *k = p->k;
    for (int l = net->n_layers - 1; l >= 0; l--) {
        const fnn_layer *layer = &net->layers[l];
        char *dz = line(s, layer->dz, first, layer->n_out);
        if (!(p->linear_output && l == net->n_layers - 1) && layer->activation != FNN_identity)
            k->activation_backward[layer->activation](dz, dz, line(s, layer->y, first, layer->n_out),
                                                      line(s, layer->z, first, layer->n_out), layer->alpha,
                                                      layer->n_out, R);
        if (l > 0)
            k->narrow_input_gradient(line(s, layer[-1].dz, first, layer->n_in), dz, p->parameters + layer->w * k->size,
                                     R, layer->n_in, layer->n_out);
    }
}

static void gradient(const share *s, char *to) {
    const fnn_pass *p = s->p;
    const fnn_net *net = p->net;
    const ptrdiff_t n = (s->rows + net->block - 1) / net->block, size = p->k->size;
    const fnn_blocks blocks = {n, net->block, lanes(s->rows - (n - 1) * net->block)};
    for (int l = 0; l < net->n_layers; l++) {
        const fnn_layer *layer = &net->layers[l];
        const char *x = line(s, l > 0 ? layer[-1].y : net->gathered, 0, 0), *dz = line(s, layer->dz, 0, 0);
        p->k->narrow_parameter_gradient(to + layer->w * size, to + layer->b * size, x, dz, &blocks, layer->n_in,
                                        layer->n_out);
    }
}

static char *partial(const fnn_pass *p, ptrdiff_t i) { return fnn_at(p, p->net->partial + i * p->net->n_parameters); }

static void share_task(void *context, ptrdiff_t i, int slot) {
    const fnn_pass *p = context;
    const fnn_net *net = p->net;
    const ptrdiff_t start = i * p->rows;
    const share s = {p, fnn_at(p, slot * net->room), start, fnn_at_most(p->rows, p->batch.n - start)};
    char *scratch = fnn_at(p, net->scratch + slot * net->scratch_size);
    double cost = 0;
    for (ptrdiff_t first = 0; first < s.rows; first += net->block) {
        const ptrdiff_t B = fnn_at_most(net->block, s.rows - first), R = lanes(B);
        forward(&s, first, B, R);
        cost += loss(&s, first, B, R, scratch);
        backward(&s, first, R);
    }
    gradient(&s, i > 0 ? partial(p, i) : p->gradients);
    p->sums[i] = cost;
}

double fnn_narrow_cost(fnn_pass *p) {
    p->rows = fnn_narrow_rows(p->net, p->batch.n);
    const ptrdiff_t n_shares = (p->batch.n + p->rows - 1) / p->rows;
    p->machine->parallel(share_task, p, n_shares,
                         fnn_threads_for(p, (double)p->batch.n * (double)p->net->n_parameters));
    double cost = 0;
    for (ptrdiff_t i = 0; i < n_shares; i++) {
        cost += p->sums[i];
        if (i > 0)
            p->k->add_outer(p->gradients, partial(p, i), NULL, NULL, 1.0, 1, p->net->n_parameters);
    }
    return cost;
}
