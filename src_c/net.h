/* A whole network over the kernel tables: forward, loss, backward and update of a batch. Seen by engine.pyx only; knows
   neither Python nor a dtype or instruction set. Holds no state of its own: everything lies in what the caller passes, so
   one network may serve several threads as long as each has its own fnn_pass and workspace. */
#ifndef FNN_NET_H
#define FNN_NET_H

#include "gemm/gemm.h"

#include "cpu/fpenv.h"

#include <time.h>

typedef struct fnn_layer {
    ptrdiff_t n_in, n_out;
    ptrdiff_t w, b; /* offsets of W (n_in, n_out) and b (n_out,) in the flat parameter vector */
    int activation;
    double alpha, keep; /* parameter of the activation; probability that dropout keeps an output */
    /* Filled by fnn_net_plan. Offsets into the workspace, in reals: output y, pre-activation z where the slope needs it (else
       y), output after dropout a (else y), gradient dz, all (chunk, n_out); W transposed (n_out, n_in), from layer 1 on; the
       row that sparsity adds to the gradient, (n_out,). */
    ptrdiff_t y, z, a, dz, wt, sparse;
    ptrdiff_t stripe, span;       /* rows and columns of W in one task of the parameter phase, at most, … */
    ptrdiff_t n_stripes, n_spans; /* … and how many of each there are */
} fnn_layer;

typedef struct fnn_net {
    int dtype, n_layers, loss;
    int logits;        /* the loss takes the last pre-activation: the output's activation is part of the loss */
    int l2_by_rows;    /* l2 / (2 m) ΣW^2 instead of l2 / 2 ΣW^2 */
    int l2_by_weight;  /* m is the sum of the weights, not the rows */
    double loss_scale; /* the cost that is reported: loss_scale times the loss, plus the penalties */
    double bound;      /* fnn_targets */
    double l2, rho, beta;
    uint64_t seed;
    fnn_layer *layers;
    /* Filled by fnn_net_plan. */
    ptrdiff_t n_parameters, widest;
    int narrow;        /* training may keep features, not rows, in line */
    int far;           /* some W is far larger than the caches */
    ptrdiff_t longest; /* the chunk of a long batch */
    ptrdiff_t chunk;   /* rows whose activations are kept at a time; a longer batch's gradient is summed over chunks */
    ptrdiff_t block;   /* rows that go through all layers together, at most */
    ptrdiff_t least_block;   /* … of a batch that would be a block or two: what the first-level cache holds */
    ptrdiff_t room, partial; /* narrow layers: reals of a thread's activations, offset of the shares' gradients */
    ptrdiff_t n_tasks, scratch, gathered, turned, scratch_size, gradient_room,
        workspace;          /* in reals, but for n_tasks */
    ptrdiff_t sums, n_sums; /* doubles behind the reals */
} fnn_net;

/* What runs it. */
typedef struct fnn_machine fnn_machine;
struct fnn_machine {
    fnn_maker maker; /* of products */
    fnn_parallel_fn parallel;
    int n_threads;
    fnn_fpenv outside, inside; /* the caller's floating-point environment; what is set while the call computes */
    /* Asked now and then in a long call, on the caller's thread: whether to give it up; or NULL. Sets `outside` for its time. */
    int (*stop)(const fnn_machine *machine);
};

typedef struct fnn_batch {
    const void *x;           /* (N, n_in) */
    const ptrdiff_t *rows;   /* (n,) which rows of x, target, labels and weight; NULL for 0, 1, 2 … */
    const void *target;      /* (N, n_out) reals, or NULL with labels */
    const ptrdiff_t *labels; /* (N,) */
    const void *weight;      /* (N,) or NULL */
    ptrdiff_t n;
    ptrdiff_t following; /* how many row numbers of later batches stand behind those of this one */
} fnn_batch;

typedef struct fnn_optimizer {
    int update;
    fnn_hyper hyper; /* l2 and scale are filled in by the step */
    double clip;     /* largest global norm of the gradient, 0 for none */
    void *slots;     /* (n_slots, n_parameters) */
} fnn_optimizer;

enum { FNN_NO_DROPOUT = -1 }; /* as dropout_step */

/* Sizes and offsets of the workspace for batches of up to n rows on this CPU; call again for larger ones. */
void fnn_net_plan(fnn_net *net, const fnn_cpu *cpu, int real_size, int n_threads, ptrdiff_t n);
/* Bytes of a workspace after fnn_net_plan. */
ptrdiff_t fnn_net_bytes(const fnn_net *net, int real_size);

/* Of the clock, to tell how long something has taken. */
static inline double fnn_seconds(void) {
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* When a long call is to look for signals, for which it may have to wait: not in its first 50 ms, and then as often. The clock
   is asked after a millisecond's work or some, in multiply-adds. */
typedef struct fnn_watch {
    double work, looked;
} fnn_watch;
static inline int fnn_time_to_look(fnn_watch *watch, double work) {
    watch->work += work;
    if (watch->work < 50e6)
        return 0;
    watch->work = 0;
    const double now = fnn_seconds(), since = now - watch->looked;
    if (since > -0.05 && since < 0.05) /* the clock may have been set back */
        return 0;
    const int started = watch->looked != 0;
    watch->looked = now;
    return started;
}

/* One call at a time uses a workspace: whether this one may, which then has to give it back. user is a number of the process,
   or 0; what is left from before a fork does not count. Atomic, for Pythons without a lock around everything. */
static inline int fnn_take(int *user, int process) {
    int before = __atomic_load_n(user, __ATOMIC_RELAXED);
    return before != process &&
           __atomic_compare_exchange_n(user, &before, process, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}
static inline void fnn_give_back(int *user) { __atomic_store_n(user, 0, __ATOMIC_RELEASE); }

/* out (n, n_out of the last layer) = the network's output; with outputs, one buffer (n, n_out) a layer, every layer's output
   instead. scratch: fnn_predict_scratch reals, not needed with outputs. This and the others are -1 when they were stopped, else
   0. */
enum { FNN_PREDICT_CHUNK = 1024 };
ptrdiff_t fnn_predict_scratch(const fnn_net *net, const fnn_machine *machine, ptrdiff_t n);
int fnn_predict(const fnn_net *net, const fnn_machine *machine, const void *parameters, const void *x, ptrdiff_t n,
                void *out, void *const *outputs, void *scratch);

/* Cost of the batch; with gradients, its gradient (n_parameters,); with optimizer, the parameters are updated, unless the cost
   is not finite, and gradients is used as room. When it was stopped the cost is NaN. dropout_step: FNN_NO_DROPOUT, or the step
   whose masks are used. */
double fnn_step(const fnn_net *net, const fnn_machine *machine, void *parameters, void *gradients,
                const fnn_optimizer *optimizer, const fnn_batch *batch, int64_t dropout_step, void *workspace);

/* dx (n, n_in) = dy (n, n_out) times the Jacobian of the outputs in x (n, n_in). wt0: room for n_in n_out reals of the first
   layer. */
int fnn_input_gradient(const fnn_net *net, const fnn_machine *machine, const void *parameters, const void *x,
                       const void *dy, ptrdiff_t n, void *dx, void *wt0, void *workspace);

#endif
