/* Checks the C core without Python, for platforms that have a compiler and an emulator only: the kernels of every instruction
   set that runs here against plain loops in double, a network's gradient against central differences on one thread and
   on several, and the random numbers, which must be the same bits everywhere. Run by
   tools/cross_check.py. Returns 0 if all is well. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net.h"

static int isa, dtype, failures;
static const fnn_kernels *k;
static double tolerance; /* relative to the sum of the magnitudes of what is added up */

static double at(const void *p, ptrdiff_t i) {
    return dtype == FNN_F32 ? (double)((const float *)p)[i] : ((const double *)p)[i];
}

static void put(void *p, ptrdiff_t i, double x) {
    if (dtype == FNN_F32)
        ((float *)p)[i] = (float)x;
    else
        ((double *)p)[i] = x;
}

static void expect(const char *what, ptrdiff_t i, double got, double wanted, double scale) {
    if (fabs(got - wanted) <= tolerance * scale) /* false for NaN */
        return;
    if (failures++ < 20)
        fprintf(stderr, "%s %s f%d [%td]: got %.17g, wanted %.17g\n", what, fnn_isa_name(isa), 8 * k->size, i, got,
                wanted);
}

/* n reals between -3 and 3, the same in every run. */
static void *numbers(ptrdiff_t n) {
    static uint64_t state = 88172645463325252u;
    char *p = malloc((size_t)n * (size_t)k->size);
    if (!p)
        abort();
    for (ptrdiff_t i = 0; i < n; i++) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        put(p, i, 6.0 * (double)(state >> 11) / 9007199254740992.0 - 3.0);
    }
    return p;
}

/* c (M, N) = a b + bias, where element (i, l) of a is at i * ai + l * al, (l, j) of b at l * bl + j * bj. */
static void expect_product(const char *what, const void *c, const void *a, ptrdiff_t ai, ptrdiff_t al, const void *b,
                           ptrdiff_t bl, ptrdiff_t bj, const void *bias, ptrdiff_t M, ptrdiff_t K, ptrdiff_t N) {
    for (ptrdiff_t i = 0; i < M; i++)
        for (ptrdiff_t j = 0; j < N; j++) {
            double sum = bias ? at(bias, j) : 0, size = fabs(sum);
            for (ptrdiff_t l = 0; l < K; l++) {
                const double term = at(a, i * ai + l * al) * at(b, l * bl + j * bj);
                sum += term, size += fabs(term);
            }
            expect(what, i * N + j, at(c, i * N + j), sum, size);
        }
}

/* Every way to read the operands, the left one's rows where they are or brought in reverse, with the first one called for
   behind them; a packed weight gradient needs room, in which parts of K of two rows are cut off too. */
static void check_products(ptrdiff_t M, ptrdiff_t K, ptrdiff_t N) {
    static const fnn_blocking ways[] = {{0}, {.ahead = 2, .far = 1}, {.packed = 1}, {.packed = 1, .k = 2, .m = 9}};
    static const ptrdiff_t first[] = {0};
    ptrdiff_t *reverse = malloc((size_t)M * sizeof *reverse);
    for (ptrdiff_t i = 0; i < M; i++)
        reverse[i] = M - 1 - i;
    void *x = numbers(M * K), *a = numbers(M * K), *b = numbers(K * N), *bias = numbers(N), *c = numbers(M * N),
         *turned = numbers(M * K);
    void *room = numbers(fnn_weight_gradient_room(M, K)), *panels = numbers(M * K);
    for (size_t way = 0; way < sizeof ways / sizeof *ways; way++) {
        fnn_product p = {.c = c, .a = a, .b = b, .M = M, .K = K, .N = N, .lda = K, .ldb = N, .ldc = N};
        p.blocking = ways[way];
        const fnn_rows rows = {.x = x, .rows = reverse, .later = first, .n = M, .n_later = (ptrdiff_t)way % 2};
        p.bias = bias;
        k->gemm_nn(&p);
        expect_product("gemm_nn", c, a, K, 1, b, N, 1, bias, M, K, N);
        memset(a, 0, (size_t)(M * K) * (size_t)k->size);
        p.rows = &rows;
        k->gemm_nn(&p);
        expect_product("gemm_nn, rows brought", c, a, K, 1, b, N, 1, bias, M, K, N);
        for (ptrdiff_t i = 0; i < M * K; i++)
            expect("rows brought", i, at(a, i), at(x, (M - 1 - i / K) * K + i % K), 0);
        p.bias = NULL;
        p.rows = NULL;
        p.ldb = K;
        k->gemm_nt(&p); /* b as (N, K) */
        expect_product("gemm_nt", c, a, K, 1, b, 1, K, NULL, M, K, N);
        memset(c, 0, (size_t)(M * N) * (size_t)k->size);
        k->panels(panels, a, M, K);
        p.room = panels;
        p.blocking.m = 48 * (ptrdiff_t)(way % 2 + 1);
        k->gemm_nt(&p);
        expect_product("gemm_nt by panels", c, a, K, 1, b, 1, K, NULL, M, K, N);
        p.blocking.m = ways[way].m;
        p.ldb = N;
        p.lda = M;
        p.room = room;
        k->gemm_tn(&p); /* a as (K, M) */
        expect_product("gemm_tn", c, a, 1, M, b, N, 1, NULL, M, K, N);
    }
    k->transpose(turned, a, M, K);
    for (ptrdiff_t i = 0; i < M * K; i++)
        expect("transpose", i, at(turned, i % K * M + i / K), at(a, i), 0);
    free(x), free(a), free(b), free(bias), free(c), free(turned), free(room), free(panels), free(reverse);
}

static double sigmoid(double z) { return 1 / (1 + exp(-z)); }

static double activation(int name, double z, double alpha) {
    switch (name) {
    case FNN_sigmoid:
        return sigmoid(z);
    case FNN_tanh:
        return tanh(z);
    case FNN_relu:
        return z > 0 ? z : 0;
    case FNN_leaky_relu:
        return z > 0 ? z : alpha * z;
    case FNN_elu:
        return z > 0 ? z : alpha * expm1(z);
    case FNN_softplus:
        return log1p(exp(z));
    case FNN_gelu:
        return 0.5 * z * erfc(-z / sqrt(2));
    case FNN_silu:
        return z * sigmoid(z);
    case FNN_step:
        return z > 0;
    default:
        return z;
    }
}

/* Slopes are compared with central differences of the functions above, so within their error. */
static void check_activation(int name, ptrdiff_t n) {
    const fnn_activation_info *info = &fnn_activations[name];
    void *z = numbers(n), *y = numbers(n), *dy = numbers(n), *dz = numbers(n);
    k->activation_forward[name](y, z, info->alpha, 1, n);
    for (ptrdiff_t i = 0; i < n; i++)
        expect(info->name, i, at(y, i), activation(name, at(z, i), info->alpha), 1);
    if (info->differentiable) {
        const double h = 1e-5, precision = tolerance;
        tolerance = fmax(tolerance, 1e-8);
        k->activation_backward[name](dz, dy, y, info->needs_z ? z : y, info->alpha, 1, n);
        for (ptrdiff_t i = 0; i < n; i++) {
            const double up = activation(name, at(z, i) + h, info->alpha);
            const double slope = (up - activation(name, at(z, i) - h, info->alpha)) / (2 * h);
            expect("its slope", i, at(dz, i), at(dy, i) * slope, 3);
        }
        tolerance = precision;
    }
    free(z), free(y), free(dy), free(dz);
}

static void check_softmax(ptrdiff_t B, ptrdiff_t O) {
    void *z = numbers(B * O), *y = numbers(B * O), *dz = numbers(B * O);
    ptrdiff_t labels[64];
    double loss = 0;
    k->activation_forward[FNN_softmax](y, z, 0, B, O);
    for (ptrdiff_t i = 0; i < B; i++)
        labels[i] = i * 7 % O;
    const fnn_targets targets = {.labels = labels, .scale = 1.0 / (double)B};
    const double got = k->loss[FNN_softmax_cross_entropy](dz, z, &targets, B, O);
    for (ptrdiff_t i = 0; i < B; i++) {
        double sum = 0;
        for (ptrdiff_t j = 0; j < O; j++)
            sum += exp(at(z, i * O + j));
        for (ptrdiff_t j = 0; j < O; j++) {
            const double p = exp(at(z, i * O + j)) / sum;
            expect("softmax", i * O + j, at(y, i * O + j), p, 1);
            expect("softmax_cross_entropy", i * O + j, at(dz, i * O + j), (p - (j == labels[i])) / (double)B, 1);
        }
        loss += (log(sum) - at(z, i * O + labels[i])) / (double)B;
    }
    expect("its loss", 0, got, loss, 10);
    free(z), free(y), free(dz);
}

static void check_adam(ptrdiff_t n) {
    fnn_hyper h = {.lr = 0.1, .beta1 = 0.9, .beta2 = 0.99, .epsilon = 1e-8, .scale = 1};
    fnn_hyper_fold(&h, 1); /* after the first update both moments, corrected, are those of g itself */
    void *p = numbers(n), *g = numbers(n), *m = numbers(n), *v = numbers(n), *before = numbers(n);
    memcpy(before, p, (size_t)(n * k->size));
    memset(m, 0, (size_t)(n * k->size)), memset(v, 0, (size_t)(n * k->size));
    k->update[FNN_adam_update](p, g, m, v, &h, n);
    for (ptrdiff_t i = 0; i < n; i++) {
        const double slope = at(g, i);
        expect("adam", i, at(p, i), at(before, i) - 0.1 * slope / (fabs(slope) + 1e-8), 4);
    }
    free(p), free(g), free(m), free(v), free(before);
}

/* I-H-O with tanh and a softmax cross-entropy, whose gradient must be the slope of its cost, and the same to the bit on every
   number of threads. */
static void check_network(const fnn_cpu *cpu, ptrdiff_t I, ptrdiff_t H, ptrdiff_t O, ptrdiff_t B) {
    enum { THREADS = 4 };
    fnn_layer layers[2] = {
        {.n_in = I, .n_out = H, .w = 0, .b = I * H, .activation = FNN_tanh, .keep = 1},
        {.n_in = H, .n_out = O, .w = I * H + H, .b = I * H + H + H * O, .activation = FNN_softmax, .keep = 1},
    };
    fnn_net net = {.dtype = dtype, .n_layers = 2, .loss = FNN_softmax_cross_entropy, .logits = 1, .loss_scale = 1};
    net.layers = layers;
    fnn_net_plan(&net, cpu, k->size, THREADS, B);
    const ptrdiff_t n = layers[1].b + O;
    void *workspace = malloc((size_t)fnn_net_bytes(&net, k->size)), *p = numbers(n), *x = numbers(B * I);
    void *gradients[2] = {numbers(n), numbers(n)};
    ptrdiff_t *labels = malloc((size_t)B * sizeof *labels);
    if (!workspace || !labels)
        abort();
    for (ptrdiff_t i = 0; i < n; i++)
        put(p, i, 0.2 * at(p, i));
    for (ptrdiff_t i = 0; i < B; i++)
        labels[i] = i * 5 % O;
    const fnn_batch batch = {.x = x, .labels = labels, .n = B};
    fnn_machine machine = {.parallel = fnn_parallel};
    machine.maker = (fnn_maker){.kernels = k, .cpu = cpu, .dtype = dtype, .isa = isa, .mode = FNN_GEMM_OWN};
    for (int i = 0; i < 2; i++) {
        machine.n_threads = i ? THREADS : 1;
        fnn_step(&net, &machine, p, gradients[i], NULL, &batch, FNN_NO_DROPOUT, workspace);
    }
    const double h = dtype == FNN_F32 ? 1e-2 : 1e-4, precision = tolerance;
    for (ptrdiff_t i = 0; i < n; i++) {
        tolerance = 0;
        expect("gradient on several threads", i, at(gradients[1], i), at(gradients[0], i), 0);
        if (i % (n / 50 + 1)) /* each difference costs two passes */
            continue;
        const double here = at(p, i);
        put(p, i, here + h);
        const double up = fnn_step(&net, &machine, p, NULL, NULL, &batch, FNN_NO_DROPOUT, workspace);
        put(p, i, here - h);
        const double down = fnn_step(&net, &machine, p, NULL, NULL, &batch, FNN_NO_DROPOUT, workspace);
        put(p, i, here);
        tolerance = dtype == FNN_F32 ? 3e-4 : 1e-7;
        expect("gradient of a network", i, at(gradients[0], i), (up - down) / (2 * h), 1);
    }
    tolerance = precision;
    free(workspace), free(p), free(x), free(gradients[0]), free(gradients[1]), free(labels);
}

/* FNV-1a of what must be the same bits everywhere; wanted is that of x86-64, where the tests in Python compare all of it. */
static void expect_hash(const char *what, const void *bytes, size_t n, uint64_t wanted) {
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ ((const unsigned char *)bytes)[i]) * 1099511628211u;
    if (hash != wanted) {
        failures++;
        fprintf(stderr, "%s %s f%d: other bits than on x86-64\n", what, fnn_isa_name(isa), 8 * k->size);
    }
}

static void check_random(void) {
    enum { B = 7, N = 13, ORDER = 1000 };
    const fnn_stream stream = {.seed = 12345678901234567u, .layer = 2, .step = 3};
    uint32_t words[B * N];
    static int64_t order[ORDER];
    static ptrdiff_t permuted[ORDER];
    static uint64_t scratch[2 * ORDER];
    k->random_words(words, 5, B, N, &stream);
    expect_hash("random_words", words, sizeof words, 0xdef7963f42fde2b1u);
    fnn_permutation(k, &stream, ORDER, permuted, scratch);
    for (int i = 0; i < ORDER; i++)
        order[i] = permuted[i];
    expect_hash("permutation", order, sizeof order, 0x54e406ed69273219u);
}

static void check_all(void) {
    fnn_cpu here, small = {.l1 = 4 << 10, .l2 = 4 << 10};
    fnn_cpu_read(&here);
    fnn_find_limits(&here);
    fnn_find_limits(&small);
    static const ptrdiff_t lengths[] = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33};
    enum { N_LENGTHS = sizeof lengths / sizeof *lengths };
    for (dtype = 0; dtype < FNN_N_DTYPES; dtype++) {
        k = fnn_kernels_for(isa, dtype);
        tolerance = dtype == FNN_F32 ? 2e-6 : 1e-14;
        for (int i = 0; i < N_LENGTHS; i++) {
            for (int j = 0; j < N_LENGTHS; j++)
                check_products(lengths[i], lengths[(i + j) % N_LENGTHS], lengths[j]);
            for (int name = 0; name < FNN_softmax; name++)
                check_activation(name, lengths[i]);
            check_activation(FNN_step, lengths[i]);
            check_softmax(5, lengths[i]);
            check_adam(lengths[i]);
        }
        check_network(&here, 3, 5, 2, 400);     /* features in line */
        check_network(&here, 20, 130, 11, 70);  /* rows in line */
        check_network(&small, 20, 250, 11, 70); /* layer by layer, everything copied */
        check_random();
    }
}

int main(void) {
    for (isa = 0; isa < FNN_N_ISAS; isa++)
        if (fnn_isa_available(isa))
            check_all();
    if (failures)
        fprintf(stderr, "%d wrong\n", failures);
    return failures != 0;
}
