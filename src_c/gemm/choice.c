/* The one place that decides how a product goes: by own kernels with operands where they are, by own kernels with copied
   panels, or by BLAS. From the shape, the facts of the machine, and a row of measured limits per CPU family; a family that has
   no row gets its limits from its caches. To add one: run bench/grid.py on it, bench/fit_choice.py on what that wrote, and put
   the row that it prints below. */

#include "gemm.h"

enum { FROM_CACHES = 0, NEVER = -1, MiB = 1 << 20 };

/* Limits of one instruction set. The arrays are by product: forward, input gradient, weight gradient. */
typedef struct limits {
    ptrdiff_t in_place
        [3]; /* bytes of a right operand that own kernels read where it is, larger ones are copied; NEVER are they */
    ptrdiff_t blas[3]; /* bytes of a right operand from which BLAS makes the product; NEVER does it */
    int ahead;         /* rows of the right operand to prefetch where it is read where it is */
} limits;

typedef struct family {
    const char *name;
    int vendor, family, first_model, last_model;
    limits by_isa[FNN_N_ISAS];
} family;

#define ALL(value) {value, value, value}
#define BY_CACHES {ALL(FROM_CACHES), ALL(NEVER), 0}
static const family families[] = {
    {"AMD Zen 4", FNN_VENDOR_AMD, 25, 16, 255, {BY_CACHES, BY_CACHES, {{2 * MiB, 2 * MiB, NEVER}, ALL(NEVER), 0}}},
    {"Intel with AVX-512", FNN_VENDOR_INTEL, 6, 0, 255, {BY_CACHES, BY_CACHES, {ALL(MiB), ALL(NEVER), 8}}},
};
static const family unknown = {"unknown", 0, 0, 0, 0, {BY_CACHES, BY_CACHES, BY_CACHES}};

static const family *family_of(const fnn_cpu *cpu) {
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        const family *f = &families[i];
        if (f->vendor == cpu->vendor && f->family == cpu->family && f->first_model <= cpu->model &&
            cpu->model <= f->last_model)
            return f;
    }
    return &unknown;
}

const char *fnn_family_name(const fnn_cpu *cpu) { return family_of(cpu)->name; }

/* Without a multiply-add instruction BLAS has kernels for what this CPU can do, and only its call costs more. */
enum { BASE_WORK = 16 * 16 * 16 };
/* Rows that repay copying a panel. With a stride of whole pages every row of a panel lands in the same few cache sets. */
enum { PACKED_ROWS = 24, PAGE = 4096 };
/* Bytes of a panel: it comes from the second-level cache, line after line; longer ones mean fewer sums stored and loaded
   again. Kernels have room for no more (packed.inc.h). */
enum { LEAST_PANEL = 16 << 10, MOST_PANEL = 64 << 10 };

static inline ptrdiff_t least(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }
static inline ptrdiff_t most(ptrdiff_t a, ptrdiff_t b) { return a > b ? a : b; }

fnn_choice fnn_choose(const fnn_maker *maker, int product, ptrdiff_t M, ptrdiff_t K, ptrdiff_t N) {
    const fnn_cpu *cpu = maker->cpu;
    const limits *limit = &family_of(cpu)->by_isa[maker->isa];
    const double size = maker->kernels->size, right = size * (double)K * (double)N;
    fnn_choice choice = {.blas = maker->mode == FNN_GEMM_BLAS};
    if (maker->mode == FNN_GEMM_AUTO)
        choice.blas = maker->isa == FNN_ISA_BASE
                          ? (double)M * (double)K * (double)N > BASE_WORK
                          : limit->blas[product] != NEVER && right >= (double)limit->blas[product];
    fnn_blocking *blocking = &choice.blocking;
    blocking->ahead = limit->ahead;
    blocking->k = most(LEAST_PANEL, least(cpu->l2 / 4, MOST_PANEL)) / maker->kernels->panel_bytes;
    if (product == FNN_WEIGHT_GRADIENT)
        blocking->k = least(blocking->k, FNN_GRADIENT_K);
    const ptrdiff_t in_place = limit->in_place[product];
    const double near = in_place == FROM_CACHES ? 0.25 * (double)cpu->l2 : (double)in_place;
    const int pages = N * maker->kernels->size % PAGE == 0 && right > (double)cpu->l1;
    /* The rows of an input gradient do not count: for few of them too the alternative is to turn all of W over. */
    blocking->packed =
        in_place != NEVER && (right > near || pages) && (product == FNN_INPUT_GRADIENT || M >= PACKED_ROWS);
    return choice;
}
