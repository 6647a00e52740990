/* What a network's workspace holds and how its work is divided. The division follows from the network and the length of the
   batch, never from the number of threads (which only sets the room for scratch): results do not depend on it. */

#include "pass.h"

enum {
    CHUNK_ROWS = 256,        /* of activations kept at a time, if the second-level cache does not hold more, … */
    FAR_CHUNK_ROWS = 1024,   /* … and where storing and reading the gradient again once a chunk costs more … */
    FAR_PARAMETERS = 4,      /* … because it is more than so many times that cache */
    BLOCK_ROWS = 32,         /* a whole number of vectors, as narrow blocks want */
    MOST_BLOCK_ROWS = 256,   /* of a network whose weights outgrow the caches, … */
    WEIGHT_BYTES = 32 << 10, /* … and bytes of weights that pay for a row */
    TILE_ROWS = 4,           /* of the least tile that hides the latency of a multiply-add */
    STRIPE_ROWS = 48,        /* whole tiles of 4, 6 and 8 rows, whole vectors, and as columns whole tiles */
    SPAN_COLUMNS = 16,       /* whole vectors */
    SPAN_BATCH = 256,        /* rows of the batch for which a task's share of dz is to be near */
    ALIGN_BYTES = 64,
    LAYERS_ROWS = 32, /* that go layer by layer, at least */
    FAR_WEIGHTS = 2   /* times the second-level cache: with a W so large the layers take turns over all rows */
};

/* Widths up to which lanes may be rows of the batch, and batches from which that can pay; into how many shares a long batch
   goes, and how long one is at least. */
enum { NARROW_UNITS = 32, NARROW_BATCH = 48, NARROW_SHARES = 8, NARROW_ROWS = 512 };

static inline ptrdiff_t round_up(ptrdiff_t n, ptrdiff_t to) { return (n + to - 1) / to * to; }

/* What narrow.c can do: elementwise all through, but for what the loss contains. */
static int is_narrow(const fnn_net *net) {
    int narrow = net->layers[0].n_in <= NARROW_UNITS && net->beta <= 0;
    for (int l = 0; l < net->n_layers; l++) {
        const fnn_layer *layer = &net->layers[l];
        const int inside_loss = net->logits && l == net->n_layers - 1;
        narrow &= layer->n_out <= NARROW_UNITS && layer->keep >= 1 && (layer->activation != FNN_softmax || inside_loss);
    }
    return narrow;
}

/* Shares of equal length, but no longer than their activations fit the second-level cache. */
ptrdiff_t fnn_narrow_rows(const fnn_net *net, ptrdiff_t n) {
    const ptrdiff_t rows = round_up(fnn_at_least((n + NARROW_SHARES - 1) / NARROW_SHARES, NARROW_ROWS), net->block);
    return fnn_at_most(rows, net->longest);
}

/* What a row of n costs: whole vectors, and a single one leaves the tile short of independent sums. */
static ptrdiff_t row_cost(ptrdiff_t n, ptrdiff_t lanes) { return round_up(n, lanes) + (n <= lanes ? lanes / 4 : 0); }

/* Work of all products with rows that fill vectors, over the work without: forward and weight gradient have rows of n_out,
   the input gradient has rows of n_in. */
static double filled(const fnn_net *net, ptrdiff_t lanes) {
    ptrdiff_t with = 0, without = 0;
    for (int l = 0; l < net->n_layers; l++) {
        const ptrdiff_t n_in = net->layers[l].n_in, n_out = net->layers[l].n_out;
        with += 2 * n_in * row_cost(n_out, lanes) + (l > 0) * n_out * row_cost(n_in, lanes);
        without += (l > 0 ? 3 : 2) * n_in * n_out;
    }
    return (double)with / (double)without;
}

/* Use the feature-major path if filling rows up to whole vectors costs more than that path's own overhead: 5 % for transposing
   inputs and outputs, and the time of 18 rows for sums across lanes. Measured on Zen 4. */
int fnn_is_narrow(const fnn_pass *p) {
    const double rows = (double)p->batch.n;
    return p->net->narrow && p->batch.n >= NARROW_BATCH && p->machine->maker.mode != FNN_GEMM_BLAS &&
           filled(p->net, fnn_at_most(p->k->vector_bytes, 32) / p->k->size) * rows > 1.05 * rows + 18;
}

/* A W that is copied, or far larger than the caches, then comes in once and not once a block. Few rows are a block anyway, and
   read W best in rows as long as can be. */
int fnn_by_layers(const fnn_net *net, const fnn_maker *maker, ptrdiff_t rows) {
    int layers = net->far;
    if (rows < LAYERS_ROWS)
        return 0;
    for (int l = 0; l < net->n_layers && !layers; l++)
        layers = fnn_choose(maker, FNN_FORWARD, rows, net->layers[l].n_in, net->layers[l].n_out).blocking.packed;
    return layers;
}

/* Equal blocks, and two threads get as many each. */
ptrdiff_t fnn_block_rows(const fnn_net *net, ptrdiff_t rows) {
    const ptrdiff_t pairs = (rows + 2 * net->block - 1) / (2 * net->block);
    return rows <= net->least_block ? rows : round_up((rows + 2 * pairs - 1) / (2 * pairs), TILE_ROWS);
}

/* Equal chunks of a batch of n. */
ptrdiff_t fnn_chunk_rows(const fnn_net *net, ptrdiff_t n) {
    const ptrdiff_t chunks = (n + net->chunk - 1) / net->chunk;
    return chunks <= 1 ? n : round_up((n + chunks - 1) / chunks, BLOCK_ROWS);
}

/* Where part i of n of so many rows or columns begins: equal parts, but a multiple of `whole`. */
static ptrdiff_t part_start(ptrdiff_t i, ptrdiff_t n, ptrdiff_t length, ptrdiff_t whole) {
    return i == n ? length : (i * length / n + whole / 2) / whole * whole;
}

ptrdiff_t fnn_stripe_start(const fnn_layer *layer, ptrdiff_t i) {
    return part_start(i, layer->n_stripes, layer->n_in, STRIPE_ROWS / 2);
}

ptrdiff_t fnn_span_start(const fnn_layer *layer, ptrdiff_t i) {
    return part_start(i, layer->n_spans, layer->n_out, SPAN_COLUMNS);
}

/* Parts of W for the tasks of the parameter phase. Each reads its columns of dz and its rows of x over the whole batch: where
   those of a whole row of W outgrow the second-level cache, W is divided both ways. */
static void divide(fnn_layer *layer, const fnn_cpu *cpu, int real_size) {
    const ptrdiff_t column = SPAN_BATCH * real_size, O = layer->n_out;
    ptrdiff_t bytes = cpu->l1 / 2;
    layer->n_spans = 1;
    if (O * column > cpu->l2 / 4)
        bytes = cpu->l2 / 4;
    if (O * column > cpu->l2 / 2)
        layer->n_spans = fnn_at_most((O * column + cpu->l2 / 4 - 1) / (cpu->l2 / 4), fnn_at_least(O / STRIPE_ROWS, 1));
    layer->span = 0;
    for (ptrdiff_t i = 0; i < layer->n_spans; i++)
        layer->span = fnn_at_least(layer->span, fnn_span_start(layer, i + 1) - fnn_span_start(layer, i));
    enum { MOST = FNN_GRADIENT_ROWS - STRIPE_ROWS / 2 - 1 }; /* rounding may add half of STRIPE_ROWS */
    const ptrdiff_t stripe = fnn_at_most(fnn_at_least(bytes / (layer->span * real_size), STRIPE_ROWS), MOST);
    layer->n_stripes = fnn_at_least((layer->n_in + stripe / 2) / stripe, (layer->n_in + MOST - 1) / MOST);
    layer->stripe = 0;
    for (ptrdiff_t i = 0; i < layer->n_stripes; i++)
        layer->stripe = fnn_at_least(layer->stripe, fnn_stripe_start(layer, i + 1) - fnn_stripe_start(layer, i));
}

void fnn_net_plan(fnn_net *net, const fnn_cpu *cpu, int real_size, int n_threads, ptrdiff_t n) {
    const ptrdiff_t align = ALIGN_BYTES / real_size;
    ptrdiff_t units = 0, used = 0, widest = 0, largest = 0, n_parameters = 0;
    net->n_tasks = net->scratch_size = net->gradient_room = 0;
    for (int l = 0; l < net->n_layers; l++) {
        units += net->layers[l].n_out;
        widest = fnn_at_least(widest, net->layers[l].n_out);
        largest = fnn_at_least(largest, net->layers[l].n_in * net->layers[l].n_out * real_size);
        n_parameters += (net->layers[l].n_in + 1) * net->layers[l].n_out;
    }
    net->widest = widest;
    net->narrow = is_narrow(net);
    net->far = largest >= FAR_WEIGHTS * cpu->l2;
    const ptrdiff_t row_bytes = 2 * units * real_size, with_inputs = row_bytes + net->layers[0].n_in * real_size;
    net->least_block = fnn_at_most(fnn_at_least(cpu->l1 / row_bytes / BLOCK_ROWS, 1), 8) * BLOCK_ROWS;
    /* Every block reads all weights: where those come from the third-level cache, fewer blocks are faster. */
    net->block = fnn_at_least(fnn_at_least(net->least_block, 2 * BLOCK_ROWS),
                              fnn_at_most(round_up(largest / WEIGHT_BYTES, BLOCK_ROWS), MOST_BLOCK_ROWS));
    const int few_chunks = net->narrow || n_parameters * real_size > FAR_PARAMETERS * cpu->l2;
    net->longest = round_up(fnn_at_least(cpu->l2 / with_inputs, few_chunks ? FAR_CHUNK_ROWS : CHUNK_ROWS), net->block);
    /* Sparsity needs the mean activation of the whole batch before it goes back. */
    net->chunk = net->beta > 0 ? fnn_at_least(n, 1) : fnn_at_most(net->longest, fnn_at_least(n, 1));

    for (int l = 0; l < net->n_layers; l++) {
        fnn_layer *layer = &net->layers[l];
        const ptrdiff_t rows = round_up(round_up(net->chunk, FNN_LANES) * layer->n_out, align);
        layer->y = layer->z = layer->a = used;
        used += rows;
        if (fnn_activations[layer->activation].needs_z) {
            layer->z = used;
            used += rows;
        }
        if (layer->keep < 1) {
            layer->a = used;
            used += rows;
        }
        layer->dz = used;
        used += rows;
        layer->wt = used;
        used += l > 0 ? round_up(layer->n_in * layer->n_out, align) : 0;
        layer->sparse = used;
        used += round_up(layer->n_out, align);
        divide(layer, cpu, real_size);
        net->n_tasks += layer->n_stripes * layer->n_spans;
        /* dw of a task, and db of a whole layer. */
        net->scratch_size =
            fnn_at_least(net->scratch_size, round_up(layer->stripe * layer->span + layer->n_out, align));
        net->gradient_room =
            fnn_at_least(net->gradient_room, round_up(fnn_weight_gradient_room(layer->stripe, net->chunk), align));
    }
    if (net->narrow) /* outputs and their gradient with a row a line, for the loss */
        net->scratch_size = fnn_at_least(net->scratch_size, 2 * net->block * net->layers[net->n_layers - 1].n_out);
    net->scratch_size += net->gradient_room;
    /* Written once with its final value, like widest and block: another thread may be predicting. */
    net->n_parameters = n_parameters;
    net->turned = used; /* dz of a layer */
    used += round_up(round_up(net->chunk, FNN_LANES) * widest, align);
    net->gathered = used;
    used += round_up(round_up(net->chunk, FNN_LANES) * net->layers[0].n_in, align);
    /* Narrow layers: each thread has activations of its own, each share of the batch a gradient. */
    net->room = used;
    used *= net->narrow ? n_threads : 1;
    const ptrdiff_t shares = net->narrow ? fnn_at_least(NARROW_SHARES, n / net->longest) + 1 : 0;
    net->partial = used;
    used += shares * round_up(n_parameters, align);
    net->scratch = used;
    used += n_threads * net->scratch_size;
    net->sums = used * real_size;
    net->n_sums = fnn_at_least(fnn_at_least(net->n_tasks, shares), net->chunk / net->block + 2);
    net->workspace = used;
}

ptrdiff_t fnn_net_bytes(const fnn_net *net, int real_size) {
    return net->workspace * real_size + net->n_sums * (ptrdiff_t)sizeof(double);
}

ptrdiff_t fnn_predict_scratch(const fnn_net *net, const fnn_machine *machine, ptrdiff_t n) {
    ptrdiff_t rows = n;
    if (n > net->least_block) {
        rows = fnn_at_most(net->block * machine->n_threads, n + net->block);
        const ptrdiff_t chunk = fnn_at_most(n, FNN_PREDICT_CHUNK);
        if (machine->maker.mode != FNN_GEMM_OWN || fnn_by_layers(net, &machine->maker, chunk)) /* it is one block */
            rows = fnn_at_least(rows, chunk);
    }
    return 2 * rows * net->widest;
}
