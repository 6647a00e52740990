/* Types that the elements of an argument may have: rows FNN_INTEGER and FNN_FLOAT of fnn_ops.def, and how each is a number. */
#ifndef FNN_ELEMENTS_H
#define FNN_ELEMENTS_H

#include <stdint.h>
#include <string.h>

enum {
#define FNN_INTEGER(name, kind, number) FNN_ELEMENT_##name,
#define FNN_FLOAT(name, kind, number) FNN_ELEMENT_##name,
#include "fnn_ops.def"
    FNN_N_ELEMENTS
};

#define fnn_itself(x) (x)
/* Of another array's bytes seen as truth values each may be any byte. */
#define fnn_truth(x) ((x) != 0)

/* IEEE's half precision, exactly. The exponent is moved by a multiplication, but of numbers so small that it would come out
   as that of a denormal: these are their digits behind a leading one, which is subtracted. */
static inline float fnn_half(uint16_t h) {
    const uint32_t sign = (uint32_t)(h & 0x8000u) << 16, rest = h & 0x7fffu;
    const uint32_t high = (rest << 13) + (0xe0u << 23), low = rest | 126u << 23;
    float large, small;
    memcpy(&large, &high, sizeof large);
    memcpy(&small, &low, sizeof small);
    large *= 0x1p-112f;
    small -= 0.5f;
    float number = rest < 0x0400u ? small : large;
    uint32_t bits;
    memcpy(&bits, &number, sizeof bits);
    bits |= sign;
    memcpy(&number, &bits, sizeof number);
    return number;
}

#endif
