/* Which kernels this machine can run. Holds no state: _core.pyx keeps the choice. */

#include "fnn.h"

extern const fnn_kernels kernels_f32_base, kernels_f64_base;
#if defined(__x86_64__) || defined(_M_X64)
#define FNN_X86 1
extern const fnn_kernels kernels_f32_avx2, kernels_f64_avx2, kernels_f32_avx512, kernels_f64_avx512;
#endif

const char *fnn_isa_name(int isa) {
    static const char *const names[FNN_N_ISAS] = {"base", "avx2", "avx512"};
    return isa >= 0 && isa < FNN_N_ISAS ? names[isa] : "";
}

/* The builtins ask the operating system too whether it saves the wide registers. */
int fnn_isa_available(int isa) {
    switch (isa) {
    case FNN_ISA_BASE:
        return 1;
#ifdef FNN_X86
    case FNN_ISA_AVX2:
        __builtin_cpu_init();
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case FNN_ISA_AVX512:
        __builtin_cpu_init();
        return fnn_isa_available(FNN_ISA_AVX2) && __builtin_cpu_supports("avx512f") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("avx512bw");
#endif
    default:
        return 0;
    }
}

int fnn_isa_best(void) {
    int isa = FNN_N_ISAS - 1;
    while (!fnn_isa_available(isa))
        isa--;
    return isa;
}

const fnn_kernels *fnn_kernels_for(int isa, int dtype) {
    switch (isa) {
#ifdef FNN_X86
    case FNN_ISA_AVX2:
        return dtype == FNN_F32 ? &kernels_f32_avx2 : &kernels_f64_avx2;
    case FNN_ISA_AVX512:
        return dtype == FNN_F32 ? &kernels_f32_avx512 : &kernels_f64_avx512;
#endif
    default:
        return dtype == FNN_F32 ? &kernels_f32_base : &kernels_f64_base;
    }
}
