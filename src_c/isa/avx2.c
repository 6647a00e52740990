#include <immintrin.h>

#define FNN_ISA avx2
#define FNN_VBYTES 32
#include "../kernels/both.inc.h"
