#include <immintrin.h>

#define FNN_ISA avx512
#define FNN_VBYTES 64
#include "../kernels/both.inc.h"
