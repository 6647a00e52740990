/* The floating-point environment of the calling thread as one number: rounding, what happens to denormals, and which exceptions
   have been noted. The only file that reads or writes it.

     x86-64    MXCSR
     aarch64   FPCR in the lower 32 bits, FPSR in the upper ones
     others    0: nothing is known and nothing is set

   A call of a whole network computes in fnn_fpenv_within(before, FNN_DENORMALS_FLUSH), in which a denormal operand counts as
   zero and a denormal result becomes zero: an Intel CPU takes about 150 cycles for each operation on one otherwise. Then it
   sets `before` again, with which the exceptions that were noted meanwhile are gone too. Compilers may move arithmetic over
   these functions, but not calls of kernels, which are in other files. */
#ifndef FNN_FPENV_H
#define FNN_FPENV_H

#include <stdint.h>

enum { FNN_DENORMALS_FLUSH, FNN_DENORMALS_KEEP };

typedef uint64_t fnn_fpenv;

#if defined(__x86_64__)
#define FNN_FPENV_NOTED UINT64_C(0x3f)
#define FNN_FPENV_FLUSH UINT64_C(0x8040) /* flush to zero, denormals are zero */
static inline fnn_fpenv fnn_fpenv_now(void) { return __builtin_ia32_stmxcsr(); }
static inline void fnn_fpenv_write(fnn_fpenv to) { __builtin_ia32_ldmxcsr((unsigned)to); }
#elif defined(__aarch64__)
#define FNN_FPENV_NOTED (UINT64_C(0xffffffff) << 32)
#define FNN_FPENV_FLUSH (UINT64_C(1) << 24) /* FZ: operands and results */
static inline fnn_fpenv fnn_fpenv_now(void) {
    uint64_t control, status;
    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    __asm__ volatile("mrs %0, fpsr" : "=r"(status));
    return (control & UINT64_C(0xffffffff)) | status << 32;
}
static inline void fnn_fpenv_write(fnn_fpenv to) {
    __asm__ volatile("msr fpcr, %0" : : "r"(to & UINT64_C(0xffffffff)));
    __asm__ volatile("msr fpsr, %0" : : "r"(to >> 32));
}
#else
#define FNN_FPENV_NOTED UINT64_C(0)
#define FNN_FPENV_FLUSH UINT64_C(0)
static inline fnn_fpenv fnn_fpenv_now(void) { return 0; }
static inline void fnn_fpenv_write(fnn_fpenv to) { (void)to; }
#endif

/* From one to the other and back, as often as need be. Where they differ nothing is read, which takes some nanoseconds; where
   they do not, only what was noted may have changed. */
static inline void fnn_fpenv_go(fnn_fpenv to, fnn_fpenv from) {
    if (to != from || fnn_fpenv_now() != to)
        fnn_fpenv_write(to);
}

/* Back to what it was, with nothing else changed than what has been noted. */
static inline void fnn_fpenv_set(fnn_fpenv to) { fnn_fpenv_go(to, to); }

/* Rounding and treatment of denormals of `like`, another thread's; what this one has noted stays. */
static inline void fnn_fpenv_follow(fnn_fpenv like) {
    const fnn_fpenv now = fnn_fpenv_now();
    if ((now ^ like) & ~FNN_FPENV_NOTED)
        fnn_fpenv_write((like & ~FNN_FPENV_NOTED) | (now & FNN_FPENV_NOTED));
}

/* Where a call computes whose caller is in `outside`. To keep denormals is to treat them as the caller does. */
static inline fnn_fpenv fnn_fpenv_within(fnn_fpenv outside, int denormals) {
    return denormals == FNN_DENORMALS_KEEP ? outside : outside | FNN_FPENV_FLUSH;
}

#endif
