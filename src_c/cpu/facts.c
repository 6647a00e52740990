/* Facts of this machine (facts.h). On x86 from the CPU itself, which also tells a guest of a virtual machine; elsewhere from
   the operating system. */

#if !defined(_WIN32)
#define _DARWIN_C_SOURCE
#define _GNU_SOURCE
#endif

#include "facts.h"

#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#elif defined(__unix__)
#include <unistd.h>
#endif

const char *const fnn_vendors[FNN_N_VENDORS] = {"unknown", "intel", "amd"};

enum { LEAST_L1 = 32 << 10, LEAST_L2 = 256 << 10 };

#if defined(__x86_64__)
enum { FNN_DATA_CACHE = 1, FNN_UNIFIED_CACHE = 3 };

static void read_caches(fnn_cpu *cpu, unsigned leaf) {
    unsigned a, b, c, d;
    for (unsigned i = 0; i < 16 && __get_cpuid_count(leaf, i, &a, &b, &c, &d) && (a & 31) != 0; i++) {
        const int type = a & 31, level = a >> 5 & 7;
        const ptrdiff_t ways = (b >> 22) + 1, partitions = (b >> 12 & 1023) + 1, line = (b & 4095) + 1;
        const ptrdiff_t bytes = ways * partitions * line * ((ptrdiff_t)c + 1);
        if (type != FNN_DATA_CACHE && type != FNN_UNIFIED_CACHE)
            continue;
        if (level == 1)
            cpu->l1 = bytes;
        else if (level == 2)
            cpu->l2 = bytes;
        else if (level == 3)
            cpu->l3 = bytes;
    }
}

static void read_machine(fnn_cpu *cpu) {
    enum { INTEL_CACHES = 4, AMD_CACHES = 0x8000001d };
    unsigned a, b, c, d;
    char vendor[12];
    if (!__get_cpuid(0, &a, &b, &c, &d))
        return;
    memcpy(vendor, &b, 4), memcpy(vendor + 4, &d, 4), memcpy(vendor + 8, &c, 4);
    if (memcmp(vendor, "GenuineIntel", 12) == 0)
        cpu->vendor = FNN_VENDOR_INTEL;
    else if (memcmp(vendor, "AuthenticAMD", 12) == 0)
        cpu->vendor = FNN_VENDOR_AMD;
    if (__get_cpuid(1, &a, &b, &c, &d)) {
        const int family = a >> 8 & 15, model = a >> 4 & 15, more_model = a >> 16 & 15;
        cpu->family = family == 15 ? family + (int)(a >> 20 & 255) : family;
        cpu->model = family == 6 || family == 15 ? more_model << 4 | model : model;
    }
    read_caches(cpu, cpu->vendor == FNN_VENDOR_AMD ? AMD_CACHES : INTEL_CACHES);
}

#elif defined(__APPLE__)

static ptrdiff_t told(const char *name) {
    long long bytes = 0;
    size_t size = sizeof bytes;
    return sysctlbyname(name, &bytes, &size, NULL, 0) == 0 ? (ptrdiff_t)bytes : 0;
}

static void read_machine(fnn_cpu *cpu) {
    cpu->l1 = told("hw.l1dcachesize");
    cpu->l2 = told("hw.l2cachesize");
    cpu->l3 = told("hw.l3cachesize");
}

#elif defined(_SC_LEVEL1_DCACHE_SIZE) /* glibc */

static void read_machine(fnn_cpu *cpu) {
    cpu->l1 = sysconf(_SC_LEVEL1_DCACHE_SIZE);
    cpu->l2 = sysconf(_SC_LEVEL2_CACHE_SIZE);
    cpu->l3 = sysconf(_SC_LEVEL3_CACHE_SIZE);
}

#else

static void read_machine(fnn_cpu *cpu) { (void)cpu; }

#endif

void fnn_cpu_read(fnn_cpu *cpu) {
    memset(cpu, 0, sizeof *cpu);
    read_machine(cpu);
    /* Emulators and some hosts tell nothing, or nonsense. */
    if (cpu->l1 < 4 << 10)
        cpu->l1 = LEAST_L1;
    if (cpu->l2 < cpu->l1)
        cpu->l2 = LEAST_L2 > cpu->l1 ? LEAST_L2 : cpu->l1;
    if (cpu->l3 < 0)
        cpu->l3 = 0;
}
