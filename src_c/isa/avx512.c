#if defined(__x86_64__) /* a build for two machines comes here for both */
#include <immintrin.h>

#define FNN_ISA avx512
#define FNN_VBYTES 64
#include "../kernels/both.inc.h"
#endif
