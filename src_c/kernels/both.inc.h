/* The kernels for both dtypes; an isa/<isa>.c defines FNN_ISA and FNN_VBYTES and includes this. */
#include <math.h>
#include <string.h>

#include "../fnn.h"
#include "coefficients.h"

#define FNN_BITS 32
#include "table.inc.h"
#undef FNN_BITS
#define FNN_BITS 64
#include "table.inc.h"
#undef FNN_BITS
