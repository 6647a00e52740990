/* The only header that Cython sees: the kernel tables, their choice by instruction set, the thread pool.

   Conventions of every kernel: buffers are `void *` to the table's real type, contiguous and row-major, of the shape that
   stands beside them; scalars are double; sizes and offsets count elements in ptrdiff_t. Outputs come first, then inputs,
   parameters, sizes. A kernel never allocates, validates, prints or touches Python, and is safe to call from any thread. */
#ifndef FNN_H
#define FNN_H

#include <stddef.h>
#include <stdint.h>

enum { FNN_F32, FNN_F64, FNN_N_DTYPES };

/* Instruction sets, weakest first; `base` is what the compiler assumes for the platform (SSE2 on x86-64, NEON on aarch64). */
enum { FNN_ISA_BASE, FNN_ISA_AVX2, FNN_ISA_AVX512, FNN_N_ISAS };

enum {
#define FNN_ACTIVATION(name, kind, alpha, needs_z) FNN_##name,
#include "fnn_ops.def"
    FNN_N_ACTIVATIONS
};

enum {
#define FNN_LOSS(name) FNN_##name,
#include "fnn_ops.def"
    FNN_N_LOSSES
};

enum {
#define FNN_UPDATE(name, n_slots) FNN_##name##_update,
#include "fnn_ops.def"
    FNN_N_UPDATES
};

/* Where a random word comes from: the Philox key and the upper half of its counter. */
typedef struct fnn_stream {
    uint64_t seed;
    uint32_t layer, step;
} fnn_stream;

/* Hyperparameters of an update. fnn_hyper_fold fills the derived ones from t, so that kernels need no pow. */
typedef struct fnn_hyper {
    double lr, beta1, beta2, epsilon, weight_decay;
    double l2;    /* g' = scale g + l2 p */
    double scale; /* gradient clipping */
    double adam_lr, adam_epsilon;
    int epsilon_hat; /* Adam: epsilon stands beside √v itself, outside of the bias correction */
} fnn_hyper;

/* One batch as a loss or a step sees it. rows picks rows of target, labels and weight, NULL for 0, 1, 2 … */
typedef struct fnn_targets {
    const void *target;      /* (n, O) reals, or NULL with labels */
    const ptrdiff_t *labels; /* (n,) */
    const void *weight;      /* (n,) reals, or NULL */
    const ptrdiff_t *rows;
    double scale; /* 1 / sum of the weights of the batch */
    double
        bound; /* of a cross-entropy: the loss, not its gradient, takes probabilities within bound and 1 - bound; 0: as they are */
} fnn_targets;

/* Blocks of a batch for narrow layers: n of them, of `rows` lanes each, the last of `last`; all whole vectors. */
typedef struct fnn_blocks {
    ptrdiff_t n, rows, last;
} fnn_blocks;

/* How an own product reads its operands (gemm/choice.c). All zero: where they are. */
typedef struct fnn_blocking {
    int packed;  /* the right operand in copied panels; of a weight gradient the left one too, if it has room */
    int ahead;   /* rows to prefetch of what is read where it is */
    int far;     /* and that comes from beyond the second-level cache */
    ptrdiff_t k; /* rows of a panel; 0: as many as there is room for */
    ptrdiff_t m; /* rows of what is not in panels that go through all of those before the next ones do; 0: all */
} fnn_blocking;

/* Rows of a left operand that stand anywhere in memory: row i is row rows[i] of x. The product that reads them first lays them
   side by side, where the operand is said to be. Those of `later` will be wanted after the n of the product. */
typedef struct fnn_rows {
    const void *x;
    const ptrdiff_t *rows, *later;
    ptrdiff_t n, n_later;
} fnn_rows;

/* Rows of the left operand of a weight gradient that are copied at a time, at most. */
enum { FNN_GRADIENT_K = 512 };

/* c (M, N) = op(a) op(b) + bias (N,), or + c itself when accumulate; row-major, leading dimensions in elements. */
typedef struct fnn_product {
    void *c;
    const void *a, *b, *bias;
    const fnn_rows *rows; /* of a, which is written then; NULL where they are there */
    int accumulate;
    ptrdiff_t M, K, N, lda, ldb, ldc;
    fnn_blocking blocking;
    /* Of a packed weight gradient: for reals of FNN_GRADIENT_K rows, or all K, of M + 8 elements. Of a product with b transposed:
       panels of a, and b is read as it stands. Or NULL. */
    void *room;
} fnn_product;

/* y, z (B, O); elementwise kernels see B * O elements. alpha: slope of leaky_relu, scale of elu. y may be z. */
typedef void (*fnn_activation_fn)(void *y, const void *z, double alpha, ptrdiff_t B, ptrdiff_t O);
/* dz (B, O) = dy o g'(z), from the output y or, where needs_z says so, from z. dz may be dy. */
typedef void (*fnn_slope_fn)(void *dz, const void *dy, const void *y, const void *z, double alpha, ptrdiff_t B,
                             ptrdiff_t O);
/* Returns scale times the weighted sum of the rows' losses; writes d/dz (B, O), scale included, unless dz is NULL. */
typedef double (*fnn_loss_fn)(void *dz, const void *z, const fnn_targets *t, ptrdiff_t B, ptrdiff_t O);
/* p, g, s1, s2 (n,); unused states are NULL. */
typedef void (*fnn_update_fn)(void *p, const void *g, void *s1, void *s2, const fnn_hyper *h, ptrdiff_t n);

typedef struct fnn_kernels {
    fnn_activation_fn activation_forward[FNN_N_ACTIVATIONS];
    fnn_slope_fn activation_backward[FNN_N_ACTIVATIONS]; /* NULL where there is no gradient */
    fnn_loss_fn loss[FNN_N_LOSSES];
    fnn_update_fn update[FNN_N_UPDATES];
#define FNN_OP(name, arguments) void(*name) arguments;
#include "fnn_ops.def"
    int size;         /* bytes of one real */
    int vector_bytes; /* of the instruction set that the kernels were compiled for */
    int panel_bytes;  /* a row of a panel of the right operand */
} fnn_kernels;

/* info.c: what a row of fnn_ops.def says of its activation, loss or update. */
typedef struct fnn_activation_info {
    const char *name;
    double alpha;
    int needs_z, differentiable;
} fnn_activation_info;
extern const fnn_activation_info fnn_activations[FNN_N_ACTIVATIONS];
extern const char *const fnn_losses[FNN_N_LOSSES];
extern const char *const fnn_updates[FNN_N_UPDATES];
extern const int fnn_update_slots[FNN_N_UPDATES];

/* dispatch.c */
const char *fnn_isa_name(int isa);
int fnn_isa_available(int isa);
int fnn_isa_best(void);
const fnn_kernels *fnn_kernels_for(int isa, int dtype);

/* How products are made: by the faster of the two, by own kernels, by BLAS. */
enum { FNN_GEMM_AUTO, FNN_GEMM_OWN, FNN_GEMM_BLAS };

/* c (M, N) = op(a) op(b) + beta c, row-major, leading dimensions in elements. Returns 0, or -1 where a size does not fit the
   integers of this BLAS (then nothing is written). */
typedef int (*fnn_gemm_fn)(int dtype, int trans_a, int trans_b, ptrdiff_t M, ptrdiff_t N, ptrdiff_t K, const void *a,
                           ptrdiff_t lda, const void *b, ptrdiff_t ldb, double beta, void *c, ptrdiff_t ldc);

/* pool.c: run task(context, i, slot) for i = 0 … n_tasks - 1 on up to n_threads threads, the calling one included; slot
   names the thread, 0 … n_threads - 1. Runs on the calling thread alone where the pool is in use, cannot be made or would not
   pay. Tasks must not depend on which thread runs them or in which order. */
typedef void (*fnn_task_fn)(void *context, ptrdiff_t i, int slot);
typedef void (*fnn_parallel_fn)(fnn_task_fn task, void *context, ptrdiff_t n_tasks, int n_threads);
void fnn_parallel(fnn_task_fn task, void *context, ptrdiff_t n_tasks, int n_threads);
enum { FNN_MAX_THREADS = 256 };

/* gate.c: a call of BLAS stands between enter and leave. open comes first, once BLAS is loaded; close, at the end of the process,
   waits until no call is under way and stops every other thread that enters. A fork closes the gate for its own time. */
void fnn_gate_open(void);
void fnn_gate_close(void);
void fnn_gate_enter(void);
void fnn_gate_leave(void);

/* info.c: fills adam_lr and adam_epsilon for update number t = 1, 2 … */
void fnn_hyper_fold(fnn_hyper *h, int64_t t);

/* info.c: Kullback-Leibler penalty of mean activations. row (n,) comes as column sums, scale times which are the means r, and
   leaves as the slope beta ((1 - rho) / (1 - r) - rho / r); returns the cost beta Σ KL(rho || r). */
double fnn_kl_row(int dtype, void *row, ptrdiff_t n, double scale, double rho, double beta);

/* shuffle.c: out (n,) = stable order of the first n random words of stream; n < 2^32. scratch: 2 n words of 64 bits. */
void fnn_permutation(const fnn_kernels *kernels, const fnn_stream *stream, ptrdiff_t n, ptrdiff_t *out,
                     uint64_t *scratch);
enum { FNN_SHUFFLE = -1 }; /* layer of the stream that shuffles: the largest, as uint32_t */

#endif
