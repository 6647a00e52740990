"""The most that one thread of this machine can do: multiply-adds a second, and bytes a second that are copied."""

import ctypes
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

# Bytes of a copy's two sides together: within the first two levels of cache of a current CPU, and beyond all of them.
_COPIED = {"copy in L1 cache": 1 << 14, "copy in L2 cache": 1 << 18, "copy in memory": 1 << 28}
# Twelve independent chains of multiply-adds: at least as many as the latency of any current unit times their number,
# and with the two constants no more than the sixteen registers that there are without AVX-512.
_SOURCE = """
#if defined(__AVX512F__)
#define BYTES 64
#elif defined(__AVX__)
#define BYTES 32
#else
#define BYTES 16
#endif
#define CHAINS(real) \\
typedef real real##_vector __attribute__((vector_size(BYTES))); \\
real chains_##real(long n, real a, real b) \\
{ \\
    real##_vector s[12], x = {0}, y = {0}, total = {0}; \\
    x += a; y += b; \\
    for (int k = 0; k < 12; k++) s[k] = y * (real)(k + 1); \\
    for (long i = 0; i < n; i++) { \\
        _Pragma("GCC unroll 12") \\
        for (int k = 0; k < 12; k++) s[k] = s[k] * x + y; \\
    } \\
    for (int k = 0; k < 12; k++) total += s[k]; \\
    return total[0]; \\
}
CHAINS(float)
CHAINS(double)
void copies(long times, long n, float_vector *to, const float_vector *from)
{
    for (long t = 0; t < times; t++) {
        for (long i = 0; i < n; i++) to[i] = from[i];
        __asm__ volatile("" ::: "memory");
    }
}
long vector_bytes(void) { return BYTES; }
"""
_FLAGS = ("-O3", "-ffp-contract=fast", "-fno-tree-loop-distribute-patterns", "-shared", "-fPIC")
# What the compiler may use, by the name of an instruction set of the library; "native" is all that this CPU has.
_ISAS = {
    "avx512": ("-mavx512f", "-mfma", "-mprefer-vector-width=512"),
    "avx2": ("-mavx2", "-mfma"),
    "base": (),
    "native": ("-march=native",),
}
_REALS = {"float32": ("chains_float", ctypes.c_float, 4), "float64": ("chains_double", ctypes.c_double, 8)}
_TURNS = 20_000  # about a tenth of a millisecond


@cache
def _library(isa: str) -> ctypes.CDLL | None:
    """The loops compiled for an instruction set of this machine; None, and the reason said, where that cannot be."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        print("no limits of this machine: there is no C compiler", file=sys.stderr)
        return None
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder) / "loops.c", Path(folder) / "loops.so"
        source.write_text(_SOURCE, "utf-8")
        command = [compiler, *_FLAGS, *_ISAS[isa], str(source), "-o", str(library)]
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode:
            print(f"no limits of this machine: {compiler} failed for {isa}", file=sys.stderr)
            return None
        loops = ctypes.CDLL(str(library))
    for name, real, _ in _REALS.values():
        function = getattr(loops, name)
        function.argtypes, function.restype = (ctypes.c_long, real, real), real
    loops.copies.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
    loops.copies.restype = None
    loops.vector_bytes.restype = ctypes.c_long
    return loops


class Limit:
    """What the multiply-add units of one core can do with the vectors of an instruction set that this CPU has.

    Clocks drift, and differ between instruction sets, so it is measured where it is needed: `sample` between the rounds
    of what it is compared with, in bursts so short that some of them are left alone by other processes. Where there is
    no fused multiply-add ("base" on x86), it is what multiplications and additions by turns reach.
    """

    def __init__(self, isa: str, dtype: str = "float32") -> None:
        loops = _library(isa)
        name, _, size = _REALS[dtype]
        self._burst = partial(getattr(loops, name), _TURNS, 0.5, 1.0) if loops else None
        self._flop = _TURNS * 2 * 12 * loops.vector_bytes() // size if loops else 0
        self._best: float | None = None

    def sample(self, bursts: int = 8) -> None:
        """Measures some times more; about a tenth of a millisecond each."""
        if self._burst:
            seconds = _fastest(self._burst, bursts)
            self._best = seconds if self._best is None else min(seconds, self._best)

    @property
    def speed(self) -> float | None:
        """Operations a second, two a multiply-add, in the fastest burst; None without a C compiler or a sample."""
        return self._flop / self._best if self._best else None

    def share(self, flop: float | None, seconds: float, threads: int = 1) -> float | None:
        """Of what so many cores could do in that time; None where either is unknown."""
        return flop / seconds / (self.speed * threads) if flop and self.speed else None


def fma_limit(isa: str, dtype: str = "float32") -> float | None:
    """Operations a second of one thread, measured now; None without a C compiler."""
    limit = Limit(isa, dtype)
    limit.sample(60)
    return limit.speed


@cache
def copy_speeds() -> dict[str, float]:
    """Bytes a second that one thread copies, read and written ones counted; empty without a C compiler."""
    loops = _library("native")
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


def _fastest(call: Callable[[], object], rounds: int = 15) -> float:
    return min(_seconds(call) for _ in range(rounds))


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
