/* What this machine is: vendor, family and caches, as the CPU or the operating system tells. Blocking and the choice between
   ways of multiplying follow from it (gemm/choice.c); nothing else asks the machine. Instruction sets: dispatch.c. */
#ifndef FNN_CPU_FACTS_H
#define FNN_CPU_FACTS_H

#include <stddef.h>

enum { FNN_VENDOR_UNKNOWN, FNN_VENDOR_INTEL, FNN_VENDOR_AMD, FNN_N_VENDORS };

typedef struct fnn_cpu {
    int vendor, family, model; /* family and model as x86's CPUID counts them; 0 elsewhere */
    ptrdiff_t l1, l2, l3;      /* bytes of the data caches that one core sees; l3 may be shared with others, or 0 */
    int row;                   /* which limits of products serve it: fnn_find_limits of gemm/gemm.h */
} fnn_cpu;

extern const char *const fnn_vendors[FNN_N_VENDORS];

/* What is not told is filled in with what small CPUs have. */
void fnn_cpu_read(fnn_cpu *cpu);

#endif
