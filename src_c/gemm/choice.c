/* The one place that decides how a product goes: by own kernels with operands where they are, by own kernels with copied
   panels, or by BLAS. From the shape, the facts of the machine, and a row of measured limits per CPU family; a family that has
   no row gets its limits from its caches. To add one: run bench/grid.py on it, bench/fit_choice.py on what that wrote, and put
   the row that it prints below. */

#include "gemm.h"

enum { FROM_CACHES = 0, NEVER = -1, MiB = 1 << 20, PAGE = 4096 };

/* Limits of one instruction set. The arrays are by product: forward, input gradient, weight gradient. */
typedef struct limits {
    /* Bytes of a right operand that own kernels read where it is, larger ones are copied; and from which BLAS makes the
       product. */
    ptrdiff_t in_place[3], blas[3];
    /* Not fitted, so alike for most families. */
    /* Rows to prefetch while operands are read where they are; 0: the CPU is as fast without. */
    int ahead;
    /* The least M from which copying pays: of right operands beyond in_place, and of smaller ones whose rows are a multiple of
       so many bytes, a power of two, and so crowd the same few cache sets. */
    int rows, crowded_rows, crowded;
    /* Whether BLAS makes input gradients of a few rows, outside of networks: OpenBLAS has kernels for small dot products with
       AVX-512, up to twice as fast as turning W over, if it knows the CPU to have that; those it has else take 2 to 6 times
       as long. */
    int few_by_blas;
} limits;

typedef struct family {
    const char *name;
    int vendor, family, first_model, last_model;
    limits by_isa[FNN_N_ISAS];
} family;

#define ALL(value) {value, value, value}
#define NOT_FITTED 0, 24, 24, PAGE, 0
#define AVX2_NOT_FITTED 8, 128, 24, PAGE / 4, 0 /* measured on Zen 3 */
#define BY_CACHES {ALL(FROM_CACHES), ALL(NEVER), NOT_FITTED}
#define AVX2_BY_CACHES {ALL(FROM_CACHES), ALL(NEVER), AVX2_NOT_FITTED}
static const family families[] = {
    {"AMD family 25 (Zen 4)",
     FNN_VENDOR_AMD,
     25,
     16,
     255,
     {BY_CACHES, AVX2_BY_CACHES, {{2 * MiB, 2 * MiB, NEVER}, ALL(NEVER), 0, 256, 256, PAGE, 1}}},
    {"AMD family 26 (Zen 5)",
     FNN_VENDOR_AMD,
     26,
     0,
     255,
     {BY_CACHES, AVX2_BY_CACHES, {ALL(2 * MiB), ALL(NEVER), 0, 256, 512, PAGE, 0}}},
    {"Intel family 6 (Xeon with AVX-512)",
     FNN_VENDOR_INTEL,
     6,
     0,
     255,
     {BY_CACHES, AVX2_BY_CACHES, {ALL(512 * 1024), ALL(NEVER), 8, 24, 24, PAGE, 1}}},
    {"unknown", 0, 0, 0, 0, {BY_CACHES, AVX2_BY_CACHES, BY_CACHES}}, /* the last one: every other CPU */
};

void fnn_find_limits(fnn_cpu *cpu) {
    int row = 0;
    const int unknown = sizeof families / sizeof *families - 1;
    while (row < unknown && !(families[row].vendor == cpu->vendor && families[row].family == cpu->family &&
                              families[row].first_model <= cpu->model && cpu->model <= families[row].last_model))
        row++;
    cpu->row = row;
}

const char *fnn_family_name(const fnn_cpu *cpu) { return families[cpu->row].name; }

/* Without a multiply-add instruction BLAS has kernels for what this CPU can do, and only its call costs more. */
enum { BASE_WORK = 16 * 16 * 16 };
/* Part of the second-level cache that a right operand may fill where no limit was measured. A weight gradient reads the left
   one down its columns, and has less of the cache for the right one. Zen 4 with AVX2, whole steps and bench/grid.py. */
enum { CACHE_SHARE = 2, GRADIENT_CACHE_SHARE = 8 };
/* Fewer rows read W in one way, whatever they are told (dense.inc.h). */
enum { LEAST_ROWS = 4 };
/* Columns of a crowded weight gradient that repay copying both operands, and rows of any. */
enum { GRADIENT_COLUMNS = 64, GRADIENT_LEAST = 24 };
/* An input gradient of a row, or of two that find W in the cache, goes as dot products of so many columns and more, and W is not
   turned over. Not in a network, nor where own kernels are wanted: there a row's bits may not depend on how many there are beside
   it. */
enum { DOT_LENGTH = 32 };
/* Sizes up to which few_by_blas counts; OpenBLAS takes 3 times as long for larger ones. */
enum { SMALL_ROWS = 8, SMALL_RESULTS = 1200, SMALL_WORK = 1000 * 1000 };
/* Rows of the left operand that repay copying the right one once more. */
enum { LEAST_LEFT = 512 };
/* Times the second-level cache, of a W that comes from beyond it. */
enum { FAR = 2 };
/* An input gradient leaves W as it stands (flipped.inc.h) where a column of dz has at least so many bytes, and dz no more rows
   than a part of the harmonic mean of W's sides: turning W over costs a multiply-add as much as 1 / rows, turning over the other
   two 1 / I + 1 / O. A quarter of that mean was the break-even for sizes of 64 to 2048 on Zen 4, half of it where W is far. Rows
   of W that fill a part of the second-level cache go over dz together. */
enum { FLIPPED_BYTES = 32, FLIPPED_PARTS = 4, FLIPPED_FAR_PARTS = 2, FLIPPED_SHARE = 4, FLIPPED_ROWS = 48 };
/* Bytes of a panel: it comes from the second-level cache, line after line; longer ones mean fewer sums stored and loaded
   again. Kernels have room for no more (packed.inc.h). */
enum { LEAST_PANEL = 16 << 10, MOST_PANEL = 64 << 10, LEAST_COPIED = 64 /* rows */ };

static inline ptrdiff_t least(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }
static inline ptrdiff_t most(ptrdiff_t a, ptrdiff_t b) { return a > b ? a : b; }

int fnn_ever_blas(const fnn_maker *maker) {
    const ptrdiff_t *blas = families[maker->cpu->row].by_isa[maker->isa].blas;
    return maker->mode == FNN_GEMM_BLAS ||
           (maker->mode == FNN_GEMM_AUTO &&
            (maker->isa == FNN_ISA_BASE || blas[0] != NEVER || blas[1] != NEVER || blas[2] != NEVER));
}

static int by_blas(const fnn_maker *maker, const limits *limit, int product, ptrdiff_t M, ptrdiff_t K, ptrdiff_t N) {
    if (maker->mode != FNN_GEMM_AUTO)
        return maker->mode == FNN_GEMM_BLAS;
    if (maker->isa == FNN_ISA_BASE)
        return (double)M * (double)K * (double)N > BASE_WORK;
    if (maker->alone && limit->few_by_blas && product == FNN_INPUT_GRADIENT && 1 < M && M <= SMALL_ROWS &&
        M * N <= SMALL_RESULTS && K >= DOT_LENGTH && M * N * K <= SMALL_WORK)
        return 1;
    return limit->blas[product] != NEVER && K * N * maker->kernels->size >= limit->blas[product];
}

/* Whether a W comes from the third-level cache or memory. */
static int is_far(const fnn_maker *maker, ptrdiff_t I, ptrdiff_t O) {
    return I * O * maker->kernels->size > FAR * maker->cpu->l2;
}

/* Whether rows of an operand, so many bytes apart, are too many for the sets of the first-level cache that they fall into. */
static int is_crowded(const fnn_cpu *cpu, const limits *limit, ptrdiff_t rows, ptrdiff_t row) {
    return (row & (limit->crowded - 1)) == 0 && rows * row > cpu->l1;
}

/* How often they are to be read to repay copying: twice as often as there are rows that those sets hold. */
static ptrdiff_t crowded_uses(const fnn_cpu *cpu, const limits *limit, ptrdiff_t row) {
    return most(limit->crowded_rows, 2 * (cpu->l1 / least(row & -row, PAGE)));
}

/* Whether the right operand (K, N) is copied, and with that of a weight gradient the left one, (M, K). */
static int is_packed(const fnn_maker *maker, int product, ptrdiff_t M, ptrdiff_t K, ptrdiff_t N) {
    const fnn_cpu *cpu = maker->cpu;
    const limits *limit = &families[cpu->row].by_isa[maker->isa];
    const ptrdiff_t size = maker->kernels->size, in_place = limit->in_place[product], row = N * size, left = M * size;
    const ptrdiff_t share = product == FNN_WEIGHT_GRADIENT ? GRADIENT_CACHE_SHARE : CACHE_SHARE;
    const int far = K * row > (in_place == FROM_CACHES ? cpu->l2 / share : in_place); /* it is there: no overflow */
    if (in_place == NEVER)
        return 0;
    if (product == FNN_FORWARD)
        return (far && M >= limit->rows) || (is_crowded(cpu, limit, K, row) && M >= crowded_uses(cpu, limit, row));
    if (product == FNN_INPUT_GRADIENT) /* whatever M is: the alternative is a transposed copy of all of W */
        return far || is_crowded(cpu, limit, K, row);
    if (far)
        return M >= GRADIENT_LEAST;
    return N >= GRADIENT_COLUMNS && ((is_crowded(cpu, limit, K, row) && K >= crowded_uses(cpu, limit, row)) ||
                                     (is_crowded(cpu, limit, K, left) && K >= crowded_uses(cpu, limit, left)));
}

/* Whether an input gradient of M rows, W (N, K), leaves W as it stands. */
static int is_flipped(const fnn_maker *maker, ptrdiff_t M, ptrdiff_t K, ptrdiff_t N) {
    const ptrdiff_t parts = is_far(maker, K, N) ? FLIPPED_FAR_PARTS : FLIPPED_PARTS;
    return M * maker->kernels->size >= FLIPPED_BYTES && parts * M * (K + N) <= 2 * K * N;
}

ptrdiff_t fnn_flipped_rows(const fnn_maker *maker, ptrdiff_t O) {
    return most(maker->cpu->l2 / FLIPPED_SHARE / (O * maker->kernels->size) / FLIPPED_ROWS, 1) * FLIPPED_ROWS;
}

/* Rows of a panel: as many as there is room for, and a weight gradient's copy of the left operand may fill a part of the
   second-level cache. */
static ptrdiff_t panel_rows(const fnn_maker *maker, int product) {
    const ptrdiff_t l2 = maker->cpu->l2, panel = maker->kernels->panel_bytes;
    const ptrdiff_t rows = most(LEAST_PANEL, least(l2 / 4, MOST_PANEL)) / panel;
    const ptrdiff_t copied = most(l2 / 4 / (FNN_GRADIENT_ROWS * maker->kernels->size), LEAST_COPIED);
    return product == FNN_WEIGHT_GRADIENT ? least(rows, copied) : rows;
}

/* Rows of the left operand whose part of K stays in the second-level cache while panel after panel is multiplied with it. */
static ptrdiff_t left_rows(const fnn_maker *maker, ptrdiff_t panel, ptrdiff_t K) {
    return most(LEAST_LEFT, maker->cpu->l2 / 4 / (least(panel, most(K, 1)) * maker->kernels->size));
}

/* Rows of both operands of a weight gradient that the first-level cache holds while tile after tile reads them: of the right one
   a panel, which takes a line more where rows do not start with a line, of the left one two lines. */
static ptrdiff_t gradient_rows(const fnn_maker *maker, ptrdiff_t N) {
    enum { LINE = 64 };
    const ptrdiff_t whole = N * maker->kernels->size % LINE == 0;
    return maker->cpu->l1 / (maker->kernels->panel_bytes + (whole ? 2 : 3) * LINE);
}

/* Rows that are half a page apart share two or four cache sets, from which prefetched ones would push out what is in use. */
static int rows_ahead(const limits *limit, ptrdiff_t row) { return row % (PAGE / 2) == 0 ? 0 : limit->ahead; }

fnn_choice fnn_choose(const fnn_maker *maker, int product, ptrdiff_t M, ptrdiff_t K, ptrdiff_t N) {
    const limits *limit = &families[maker->cpu->row].by_isa[maker->isa];
    const ptrdiff_t columns = product == FNN_WEIGHT_GRADIENT ? M : N; /* of what is prefetched */
    fnn_choice choice = {.blas = by_blas(maker, limit, product, M, K, N)};
    if (product == FNN_FORWARD && M < LEAST_ROWS) /* no time to lose */
        return choice;
    choice.blocking.ahead = rows_ahead(limit, columns * maker->kernels->size);
    choice.blocking.far = product != FNN_WEIGHT_GRADIENT && is_far(maker, K, N);
    choice.blocking.packed = is_packed(maker, product, M, K, N);
    choice.dots = maker->alone && maker->mode == FNN_GEMM_AUTO && product == FNN_INPUT_GRADIENT && K >= DOT_LENGTH &&
                  (M == 1 || (M == 2 && K * N * maker->kernels->size <= maker->cpu->l2));
    choice.flipped = product == FNN_INPUT_GRADIENT && !choice.blas && !choice.dots && is_flipped(maker, M, K, N);
    if (choice.blocking.packed) { /* a division costs as much as a row of a small layer */
        choice.blocking.k = panel_rows(maker, product);
        choice.blocking.m = left_rows(maker, choice.blocking.k, K);
    } else if (product == FNN_WEIGHT_GRADIENT && limit->ahead)
        choice.blocking.k = gradient_rows(maker, N);
    return choice;
}
