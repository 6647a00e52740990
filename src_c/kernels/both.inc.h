/* The kernels for both dtypes; an isa/<isa>.c defines FNN_ISA and FNN_VBYTES and includes this. */
#include <math.h>
#include <string.h>

#include "../elements.h"
#include "../fnn.h"
#include "coefficients.h"

/* Elements of two vectors by number, the second's behind the first's; gcc before 12 has it under its own name. */
#if defined(__clang__) || __GNUC__ >= 12
#define FNN_PICK __builtin_shufflevector
#else
#define FNN_PICK(a, b, ...) __builtin_shuffle(a, b, (__typeof__((a) == (b))){__VA_ARGS__})
#endif

#define FNN_BITS 32
#include "table.inc.h"
#undef FNN_BITS
#define FNN_BITS 64
#include "table.inc.h"
#undef FNN_BITS
