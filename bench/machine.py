"""The most that one thread of this machine can do: multiply-adds a second, of which the tables give shares."""

import ctypes
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

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
long flop_per_turn(void) { return 2L * 12 * BYTES / sizeof(float); }
"""


def fma_limit() -> float | None:
    """float32 operations a second of one thread, two a multiply-add, measured; None without a C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder) / "chains.c", Path(folder) / "chains.so"
        source.write_text(_SOURCE, "utf-8")
        flags = ["-O3", "-march=native", "-ffp-contract=fast", "-shared", "-fPIC"]
        done = subprocess.run([compiler, *flags, str(source), "-o", str(library)], capture_output=True, check=False)
        if done.returncode:
            print(f"no limit of multiply-adds: {compiler} failed", file=sys.stderr)
            return None
        chains = ctypes.CDLL(str(library))
    chains.chains.argtypes = (ctypes.c_long, ctypes.c_float, ctypes.c_float)
    chains.chains.restype = ctypes.c_float
    chains.flop_per_turn.restype = ctypes.c_long
    n = 1_000_000
    best = min(_seconds(lambda: chains.chains(n, 0.5, 1.0)) for _ in range(15))
    return n * chains.flop_per_turn() / best


def _seconds(call: object) -> float:
    start = time.perf_counter()
    call()  # type: ignore[operator]
    return time.perf_counter() - start
