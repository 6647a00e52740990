#define FNN_ISA base
#define FNN_VBYTES 16
#include "../kernels/both.inc.h"
