"""The most that one thread of this machine can do: multiply-adds a second, and bytes a second that are copied."""

import ctypes
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

# Bytes of a copy's two sides together: within the first two levels of cache of a current CPU, and beyond all of them.
_COPIED = {"copy in L1 cache": 1 << 14, "copy in L2 cache": 1 << 18, "copy in memory": 1 << 28}
# Twelve independent chains of multiply-adds: more than the latency of any current unit times their number.
_SOURCE = """
#if defined(__AVX512F__)
#define BYTES 64
#elif defined(__AVX__)
#define BYTES 32
#else
#define BYTES 16
#endif
typedef float v __attribute__((vector_size(BYTES)));
float chains(long n, float a, float b)
{
    v s[12], x = {0}, y = {0}, total = {0};
    x += a; y += b;
    for (int k = 0; k < 12; k++) s[k] = y * (float)(k + 1);
    for (long i = 0; i < n; i++) {
        #pragma GCC unroll 12
        for (int k = 0; k < 12; k++) s[k] = s[k] * x + y;
    }
    for (int k = 0; k < 12; k++) total += s[k];
    return total[0];
}
void copies(long times, long n, v *to, const v *from)
{
    for (long t = 0; t < times; t++) {
        for (long i = 0; i < n; i++) to[i] = from[i];
        __asm__ volatile("" ::: "memory");
    }
}
long vector_bytes(void) { return BYTES; }
long flop_per_turn(void) { return 2L * 12 * BYTES / sizeof(float); }
"""


@cache
def _library() -> ctypes.CDLL | None:
    """The loops compiled for this machine; None, and the reason said, where that cannot be."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        print("no limits of this machine: there is no C compiler", file=sys.stderr)
        return None
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder) / "loops.c", Path(folder) / "loops.so"
        source.write_text(_SOURCE, "utf-8")
        flags = ["-O3", "-march=native", "-ffp-contract=fast", "-fno-tree-loop-distribute-patterns", "-shared", "-fPIC"]
        done = subprocess.run([compiler, *flags, str(source), "-o", str(library)], capture_output=True, check=False)
        if done.returncode:
            print(f"no limits of this machine: {compiler} failed", file=sys.stderr)
            return None
        loops = ctypes.CDLL(str(library))
    loops.chains.argtypes = (ctypes.c_long, ctypes.c_float, ctypes.c_float)
    loops.chains.restype = ctypes.c_float
    loops.copies.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
    loops.copies.restype = None
    loops.flop_per_turn.restype = loops.vector_bytes.restype = ctypes.c_long
    return loops


@cache
def fma_limit() -> float | None:
    """float32 operations a second of one thread, two a multiply-add, measured; None without a C compiler."""
    loops = _library()
    if loops is None:
        return None
    n = 1_000_000
    return n * loops.flop_per_turn() / _fastest(lambda: loops.chains(n, 0.5, 1.0))


@cache
def copy_speeds() -> dict[str, float]:
    """Bytes a second that one thread copies, read and written ones counted; empty without a C compiler."""
    loops = _library()
    if loops is None:
        return {}
    found = {}
    for name, size in _COPIED.items():
        half, times = size // 2, max(1, (1 << 26) // size)
        store = ctypes.create_string_buffer(size + 128)
        source = (ctypes.addressof(store) + 63) // 64 * 64  # a vector wants its own multiple
        turns, target = half // loops.vector_bytes(), source + half
        ctypes.memset(source, 1, size)  # memory that was never written is not there yet

        def by_loop(n: int = times, k: int = turns, to: int = target, a: int = source) -> None:
            loops.copies(n, k, to, a)

        def by_library(n: int = times, k: int = half, to: int = target, a: int = source) -> None:
            for _ in range(n):
                ctypes.memmove(to, a, k)  # past the caches, where that is faster

        found[name] = size * times / min(_fastest(by_loop), _fastest(by_library))
    return found


def _fastest(call: Callable[[], object]) -> float:
    return min(_seconds(call) for _ in range(15))


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
