#if defined(__x86_64__) /* a build for two machines comes here for both */
#include <immintrin.h>

#define FNN_ISA avx2
#define FNN_VBYTES 32
#include "../kernels/both.inc.h"
#endif
