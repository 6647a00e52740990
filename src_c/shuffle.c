/* Shuffling: row numbers in the order of random words, so that a permutation, like a mask, is a function of seed and epoch.
   A radix sort, because the sort is all there is to it: 60,000 rows in a quarter of a millisecond. */

#include "fnn.h"

enum { DIGIT_BITS = 11, DIGITS = 1 << DIGIT_BITS };

/* Stable: by the digit at `shift` of the upper half of each element. */
static void sort_by_digit(uint64_t *to, const uint64_t *from, ptrdiff_t n, int shift) {
    ptrdiff_t place[DIGITS] = {0};
    for (ptrdiff_t i = 0; i < n; i++)
        place[from[i] >> 32 >> shift & (DIGITS - 1)]++;
    ptrdiff_t sum = 0;
    for (int digit = 0; digit < DIGITS; digit++) {
        const ptrdiff_t count = place[digit];
        place[digit] = sum;
        sum += count;
    }
    for (ptrdiff_t i = 0; i < n; i++)
        to[place[from[i] >> 32 >> shift & (DIGITS - 1)]++] = from[i];
}

void fnn_permutation(const fnn_kernels *kernels, const fnn_stream *stream, ptrdiff_t n, ptrdiff_t *out,
                     uint64_t *scratch) {
    uint64_t *a = scratch, *b = scratch + n;
    uint32_t *words = (uint32_t *)b;
    kernels->random_words(words, 0, 1, n, stream);
    for (ptrdiff_t i = 0; i < n; i++)
        a[i] = (uint64_t)words[i] << 32 | (uint64_t)i;
    sort_by_digit(b, a, n, 0);
    sort_by_digit(a, b, n, DIGIT_BITS);
    sort_by_digit(b, a, n, 2 * DIGIT_BITS);
    for (ptrdiff_t i = 0; i < n; i++)
        out[i] = (ptrdiff_t)(b[i] & 0xffffffffu);
}
