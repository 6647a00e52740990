/* The row phase by layers: every product over all rows of the chunk, before the next layer begins. For W far larger than the
   caches, which then comes in once and not once for every block of rows. Tasks are blocks of columns, each of which copies its
   part of W, or blocks of rows where there are few columns. Same bits as by blocks (rows.c): no element knows its block. */

#include "pass.h"

/* Columns of a task: whole tiles of every instruction set, and no more than this many tasks; rows where columns are few. */
enum { TILES = 48, MOST_COLUMN_TASKS = 32, FEW_COLUMNS = 4 * TILES };

typedef struct products {
    const fnn_pass *p;
    int l, backward;
    ptrdiff_t columns, rows, n_columns; /* of a task, and into how many the columns go */
} products;

static void product_task(void *context, ptrdiff_t task, int slot) {
    const products *q = context;
    const fnn_pass *p = q->p;
    const fnn_layer *layer = &p->net->layers[q->l];
    const ptrdiff_t first = task / q->n_columns * q->rows, B = fnn_at_most(q->rows, p->rows - first);
    const ptrdiff_t width = q->backward ? layer->n_in : layer->n_out, j0 = task % q->n_columns * q->columns;
    const ptrdiff_t j1 = fnn_at_most(j0 + q->columns, width);
    (void)slot;
    if (q->backward) {
        fnn_input_gradient_columns(&p->machine->maker, fnn_input_gradient_at(p, q->l, first),
                                   fnn_at(p, layer->dz) + first * layer->n_out * p->k->size, fnn_weights(p, q->l),
                                   fnn_transposed(p, q->l), B, layer->n_in, layer->n_out, j0, j1,
                                   fnn_room_of(p, q->l, first));
    } else {
        const fnn_place at = fnn_place_of(p, q->l, 0, 0);
        const ptrdiff_t size = p->k->size;
        fnn_forward_columns(&p->machine->maker, at.z + first * layer->n_out * size, at.x + first * layer->n_in * size,
                            fnn_weights(p, q->l), fnn_biases(p, q->l), B, layer->n_in, layer->n_out, j0, j1);
    }
}

static void product(const fnn_pass *p, int l, int backward) {
    const fnn_layer *layer = &p->net->layers[l];
    const ptrdiff_t width = backward ? layer->n_in : layer->n_out;
    products q = {.p = p, .l = l, .backward = backward, .columns = width, .rows = p->block, .n_columns = 1};
    if (width > FEW_COLUMNS) {
        q.columns = fnn_at_least((width + TILES * MOST_COLUMN_TASKS - 1) / (TILES * MOST_COLUMN_TASKS), 1) * TILES;
        q.n_columns = (width + q.columns - 1) / q.columns;
        q.rows = p->rows;
    }
    /* A small part of the product's work: on one thread. */
    char *room = backward ? fnn_room_of(p, l, 0) : NULL;
    for (ptrdiff_t i = 0; room && i < p->rows; i += q.rows)
        p->k->panels(room + i * layer->n_out * p->k->size, fnn_at(p, layer->dz) + i * layer->n_out * p->k->size,
                     fnn_at_most(q.rows, p->rows - i), layer->n_out);
    const double work = (double)p->rows * (double)layer->n_in * (double)layer->n_out;
    p->machine->parallel(product_task, &q, q.n_columns * ((p->rows + q.rows - 1) / q.rows), fnn_threads_for(p, work));
}

typedef struct rest {
    const fnn_pass *p;
    int l;
} rest;

static ptrdiff_t rows_of(const fnn_pass *p, ptrdiff_t i) { return fnn_at_most(p->block, p->rows - i * p->block); }

static void gather_task(void *context, ptrdiff_t i, int slot) {
    const rest *q = context;
    const fnn_pass *p = q->p;
    const fnn_rows rows = fnn_rows_of(p, i * p->block, rows_of(p, i));
    (void)slot;
    p->k->gather((char *)fnn_inputs(p, i * p->block), &rows, p->net->layers[0].n_in);
}

static void activation_task(void *context, ptrdiff_t i, int slot) {
    const rest *q = context;
    const fnn_pass *p = q->p;
    const ptrdiff_t first = i * p->block, row = p->net->layers[q->l].n_out * p->k->size;
    fnn_place at = fnn_place_of(p, q->l, 0, 0);
    (void)slot;
    at.y += first * row;
    at.z += first * row;
    fnn_activate(p, q->l, &at, first, rows_of(p, i));
}

static void slope_task(void *context, ptrdiff_t i, int slot) {
    const rest *q = context;
    (void)slot;
    if (q->l == q->p->net->n_layers - 1)
        fnn_loss_of_block(q->p, i, i * q->p->block, rows_of(q->p, i));
    if (q->p->backward || q->p->dy)
        fnn_through_activation(q->p, q->l, i * q->p->block, rows_of(q->p, i));
}

static void by_rows(const fnn_pass *p, int l, fnn_task_fn task) {
    rest q = {p, l};
    /* An element of these costs as much as some multiply-adds. */
    const double work = 16.0 * (double)p->rows * (double)p->net->layers[l].n_out;
    p->machine->parallel(task, &q, (p->rows + p->block - 1) / p->block, fnn_threads_for(p, work));
}

void fnn_layers_forward(const fnn_pass *p) {
    if (p->batch.rows)
        by_rows(p, 0, gather_task);
    for (int l = 0; l < p->net->n_layers; l++) {
        product(p, l, 0);
        by_rows(p, l, activation_task);
    }
}

void fnn_layers_backward(const fnn_pass *p) {
    for (int l = p->net->n_layers - 1; l >= 0; l--) {
        by_rows(p, l, slope_task);
        if ((p->backward || p->dy) && fnn_input_gradient_at(p, l, 0))
            product(p, l, 1);
    }
}
