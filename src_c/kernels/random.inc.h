/* Philox 4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel random numbers, as easy as 1, 2, 3; SC 2011): a word is a function
   of its place, so masks need no storage and come out the same whoever makes them. Counter (column / 4, row, layer, step),
   key the seed. Generates random_words, dropout. */

enum { KERNEL(counters) = 16, KERNEL(words) = 4 * KERNEL(counters) };

/* The words of columns 4 first … 4 first + 63 of one row. Plain loops over 16 counters, which compilers vectorise with the
   widening multiply. */
static void KERNEL(philox_block)(uint32_t *words, uint32_t first, uint32_t row, const fnn_stream *stream) {
    uint32_t c0[KERNEL(counters)], c1[KERNEL(counters)], c2[KERNEL(counters)], c3[KERNEL(counters)];
    uint32_t key0 = (uint32_t)stream->seed, key1 = (uint32_t)(stream->seed >> 32);
    for (uint32_t i = 0; i < KERNEL(counters); i++) {
        c0[i] = first + i;
        c1[i] = row;
        c2[i] = stream->layer;
        c3[i] = stream->step;
    }
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < KERNEL(counters); i++) {
            const uint64_t product0 = (uint64_t)0xD2511F53u * c0[i], product1 = (uint64_t)0xCD9E8D57u * c2[i];
            c0[i] = (uint32_t)(product1 >> 32) ^ c1[i] ^ key0;
            c1[i] = (uint32_t)product1;
            c2[i] = (uint32_t)(product0 >> 32) ^ c3[i] ^ key1;
            c3[i] = (uint32_t)product0;
        }
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    for (int i = 0; i < KERNEL(counters); i++) {
        words[4 * i] = c0[i];
        words[4 * i + 1] = c1[i];
        words[4 * i + 2] = c2[i];
        words[4 * i + 3] = c3[i];
    }
}

static void KERNEL(random_words)(uint32_t *out, ptrdiff_t row0, ptrdiff_t B, ptrdiff_t cols, const fnn_stream *stream) {
    uint32_t words[KERNEL(words)];
    for (ptrdiff_t i = 0; cols > 0 && i < B; i++)
        for (ptrdiff_t j = 0; j < cols; j += KERNEL(words)) {
            const ptrdiff_t count = cols - j < KERNEL(words) ? cols - j : KERNEL(words);
            KERNEL(philox_block)(words, (uint32_t)(j / 4), (uint32_t)(row0 + i), stream);
            memcpy(out + i * cols + j, words, (size_t)count * sizeof(uint32_t));
        }
}

static void KERNEL(dropout)(void *y_, const void *x_, double keep, ptrdiff_t row0, ptrdiff_t B, ptrdiff_t N,
                            const fnn_stream *stream) {
    const uint64_t threshold = (uint64_t)(keep * 4294967296.0);
    const real scale = (real)(1.0 / keep);
    uint32_t words[KERNEL(words)];
    for (ptrdiff_t i = 0; N > 0 && i < B; i++)
        for (ptrdiff_t j = 0; j < N; j += KERNEL(words)) {
            const ptrdiff_t count = N - j < KERNEL(words) ? N - j : KERNEL(words);
            real *y = (real *)y_ + i * N + j;
            const real *x = (const real *)x_ + i * N + j;
            KERNEL(philox_block)(words, (uint32_t)(j / 4), (uint32_t)(row0 + i), stream);
            for (ptrdiff_t c = 0; c < count; c++)
                y[c] = words[c] < threshold ? x[c] * scale : C(0.0);
        }
}
