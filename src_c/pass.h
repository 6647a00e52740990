/* One call's state, shared by its tasks, and what both phases (rows.c, step.c) need of it. Internal to the engine. */
#ifndef FNN_PASS_H
#define FNN_PASS_H

#include "net.h"

typedef struct fnn_pass {
    const fnn_net *net;
    const fnn_machine *machine;
    const fnn_kernels *k;
    const char *parameters;
    char *workspace;
    fnn_batch batch;
    ptrdiff_t first, rows; /* the chunk */
    ptrdiff_t block;
    ptrdiff_t
        together; /* rows that go through a layer before the next one begins: a block, or by layers all of the chunk */
    int64_t dropout_step;
    fnn_watch watch;
    fnn_targets targets;
    int backward;      /* write gradients, not the loss alone */
    int linear_output; /* leave the last activation to the loss */
    /* fnn_predict */
    char *out;
    void *const *outputs;
    char *scratch;
    /* fnn_input_gradient */
    const char *dy;
    char *dx, *wt0;
    /* parameter phase */
    char *gradients;
    const fnn_optimizer *optimizer;
    fnn_hyper for_weights, for_biases;
    double l2; /* of this batch: divided by its rows where the form says so */
    int compute, accumulate, finish, update, fused;
    double *sums;
} fnn_pass;

static inline ptrdiff_t fnn_at_most(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }
static inline ptrdiff_t fnn_at_least(ptrdiff_t a, ptrdiff_t b) { return a > b ? a : b; }

/* Address of an offset into the workspace. */
static inline char *fnn_at(const fnn_pass *p, ptrdiff_t offset) { return p->workspace + offset * p->k->size; }

static inline int fnn_drops(const fnn_pass *p, const fnn_layer *layer) {
    return p->dropout_step >= 0 && layer->keep < 1;
}

/* Whether a product of the rows that it stands for is BLAS's, on the calling thread with whatever threads BLAS has. */
static inline int fnn_by_blas(const fnn_pass *p, int product, ptrdiff_t M, ptrdiff_t K, ptrdiff_t N) {
    return fnn_choose(&p->machine->maker, product, M, K, N).blas;
}

/* Threads that pay for this many multiply-adds: below, waking one costs more than it saves. */
enum { FNN_PARALLEL_WORK = 200000 };
static inline int fnn_threads_for(const fnn_pass *p, double work) {
    return work < FNN_PARALLEL_WORK ? 1 : p->machine->n_threads;
}

/* Blocks of narrow layers are padded to it: a whole number of vectors of any instruction set and dtype. */
enum { FNN_LANES = 16 };
/* plan.c: whether this batch is trained by narrow.c. */
int fnn_is_narrow(const fnn_pass *p);
/* plan.c: whether so many rows go layer by layer, not block by block. */
int fnn_by_layers(const fnn_net *net, const fnn_maker *maker, ptrdiff_t rows);
/* plan.c: rows of a block, of a chunk of so many. */
ptrdiff_t fnn_block_rows(const fnn_net *net, ptrdiff_t rows);
/* plan.c: rows of a chunk of a batch of n. */
ptrdiff_t fnn_chunk_rows(const fnn_net *net, ptrdiff_t n);
/* plan.c: where a stripe of W begins, rows, and a span, columns. */
ptrdiff_t fnn_stripe_start(const fnn_layer *layer, ptrdiff_t i);
ptrdiff_t fnn_span_start(const fnn_layer *layer, ptrdiff_t i);
/* plan.c: rows of a share of a batch of n. */
ptrdiff_t fnn_narrow_rows(const fnn_net *net, ptrdiff_t n);
/* narrow.c: the cost of the batch, and its gradient in p->gradients. */
double fnn_narrow_cost(fnn_pass *p);
/* rows.c: the loss of B rows of the chunk from `first` on, of outputs y (B, n_out), and its gradient. */
double fnn_loss(const fnn_pass *p, void *dz, const void *y, ptrdiff_t first, ptrdiff_t B);
/* rows.c: the copies of W transposed with which own kernels go back where they want them, of layers from 1 on; with wt0, of
   all. */
void fnn_transpose_weights(const fnn_pass *p);
/* Room in which dz of a layer is turned over, for rows from `first` of the chunk on; NULL where W is turned over instead. */
char *fnn_room_of(const fnn_pass *p, int l, ptrdiff_t first);
/* Where W of a layer stands transposed, NULL where nothing of this batch wants it. */
char *fnn_transposed(const fnn_pass *p, int l);
/* rows.c: all rows of the chunk forward, or from the loss back, or both, in parallel; on the calling thread alone where a product
   is BLAS's. Losses of the blocks go to sums. */
void fnn_rows_pass(fnn_pass *p, int forward_too, int backward_too);
/* layers.c: the same, layer by layer. */
void fnn_layers_forward(const fnn_pass *p);
void fnn_layers_backward(const fnn_pass *p);

static inline const char *fnn_weights(const fnn_pass *p, int l) {
    return p->parameters + p->net->layers[l].w * p->k->size;
}
static inline const char *fnn_biases(const fnn_pass *p, int l) {
    return p->parameters + p->net->layers[l].b * p->k->size;
}

/* Inputs of rows from `first` of the chunk on: the batch's own, or its rows from anywhere side by side, once they are brought. */
static inline const char *fnn_inputs(const fnn_pass *p, ptrdiff_t first) {
    const ptrdiff_t row = p->net->layers[0].n_in * p->k->size;
    return p->batch.rows ? fnn_at(p, p->net->gathered) + first * row
                         : (const char *)p->batch.x + (p->first + first) * row;
}
/* rows.c: where B rows from `first` of the chunk on are brought from. */
fnn_rows fnn_rows_of(const fnn_pass *p, ptrdiff_t first, ptrdiff_t B);

/* rows.c: what both do to a layer. Inputs x, pre-activation z and output y of rows from `first` of the chunk on. */
typedef struct fnn_place {
    const char *x;
    char *z, *y;
} fnn_place;
fnn_place fnn_place_of(const fnn_pass *p, int l, ptrdiff_t first, int slot);
void fnn_activate(const fnn_pass *p, int l, const fnn_place *at, ptrdiff_t first, ptrdiff_t B);
char *fnn_input_gradient_at(const fnn_pass *p, int l, ptrdiff_t first);
void fnn_through_activation(const fnn_pass *p, int l, ptrdiff_t first, ptrdiff_t B);
void fnn_loss_of_block(const fnn_pass *p, ptrdiff_t i, ptrdiff_t first, ptrdiff_t B);

/* Whether the caller wants no more; to be asked after each chunk. */
int fnn_is_stopped(fnn_pass *p);

#endif
