"""Build logic only; the metadata is in pyproject.toml.

One static library for each instruction set, compiled from the same sources with other flags, one for each part of the
C core that knows no instruction set, then the Cython extensions that link them.
"""

import os
import platform
import re
import sys
import sysconfig
from pathlib import Path

import numpy as np
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_py import build_py

# FASTNN_DEBUG=1: Cython checks every index and every None, and CFLAGS choose the optimisation. Otherwise ours stands
# behind them: environments that set an -O2 for everything would slow the kernels down.
DEBUG = os.environ.get("FASTNN_DEBUG") == "1"
OPTIMISED = {"kernels": [] if DEBUG else ["-O3"], "cython": [] if DEBUG else ["-O2"]}
# Errors of arithmetic are neither trapped nor reported in errno; everything else of IEEE 754 stays (no -ffast-math: it
# would also set flush-to-zero for the whole process).
C_FLAGS = ["-std=c11", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast", "-fvisibility=hidden"]
# Debug information would be four fifths of the wheel, and Python's own flags ask for it; CFLAGS="-g" brings it back.
DEBUG_FLAGS = [] if re.search(r"(^|\s)-g", os.environ.get("CFLAGS", "")) else ["-g0"]
# Named, although every Python has them loaded: otherwise a symbol is bound to whichever version comes first, and before
# glibc 2.34 that is a pthread_cond_wait of another age.
SYSTEM_LIBRARIES = [] if sys.platform == "win32" else ["m", "pthread"]
# Instruction set -> its compiler flags; src_c/isa/<name>.c includes the kernels. `base` is the platform's own.
X86_FLAGS = {
    "avx2": ["-mavx2", "-mfma"],
    "avx512": ["-mavx512f", "-mavx512dq", "-mavx512vl", "-mavx512bw", "-mfma", "-mprefer-vector-width=512"],
}
# On macOS one call of the compiler may be for another machine than this one, or for two.
archs = os.environ.get("ARCHFLAGS") or sysconfig.get_config_var("CFLAGS") or "" if sys.platform == "darwin" else ""
MACHINES = set(re.findall(r"-arch\s+(\S+)", archs)) or {platform.machine().lower()}
ISA_FLAGS = {"base": []}
if MACHINES & {"x86_64", "amd64"}:
    ISA_FLAGS |= X86_FLAGS
if len(MACHINES) > 1:  # flags of one machine; for the other the source is empty
    ISA_FLAGS = {isa: [part for flag in flags for part in ("-Xarch_x86_64", flag)] for isa, flags in ISA_FLAGS.items()}
# Parts that know no instruction set -> their sources. `pool` and `gate` have state, so one extension alone links each.
PARTS = {
    "engine": ["plan", "narrow", "rows", "layers", "step", "arguments"],
    "info": ["info", "shuffle"],
    "gemm": ["gemm/choice", "gemm/product"],
    "facts": ["cpu/facts"],
    "dispatch": ["dispatch"],
    "pool": ["pool"],
    "gate": ["gate"],
}
# Extension -> libraries, dependants first.
EXTENSIONS = {
    "_core": ["dispatch", "facts", "gemm", "pool", *ISA_FLAGS, "info"],
    "_blas": ["gate"],
    "kernels": ["gemm", "info"],
    "engine": ["engine", "gemm", "info"],
}
HEADERS = sorted(str(path) for pattern in ("*.h", "*.def", "*/*.h") for path in Path("src_c").glob(pattern))


class BuildPackage(build_py):
    """Puts the header that `cimport fastnn.kernels` needs into the package, as fastnn/include."""

    def run(self):
        """Copy the modules, then the header; an editable install finds it in src_c."""
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib) / "fastnn" / "include"
            target.mkdir(parents=True, exist_ok=True)
            for name in ("fnn.h", "fnn_ops.def"):
                self.copy_file(f"src_c/{name}", str(target / name))


def library(name, sources, flags):
    """One entry for setuptools' build_clib, rebuilt when any header changes."""
    cflags = [*C_FLAGS, *OPTIMISED["kernels"], *flags, *DEBUG_FLAGS]
    settings = {"sources": sources, "cflags": cflags, "include_dirs": ["src_c"], "obj_deps": {"": HEADERS}}
    return f"fnn_{name}", settings


def write_blas_int():
    """SciPy's BLAS integers: `blas_int` where cython_blas.pxd names it (from 1.18 on, maybe 64-bit), else int."""
    import scipy.linalg

    declarations = (Path(scipy.linalg.__file__).parent / "cython_blas.pxd").read_text()
    named = "blas_int" in declarations
    line = "from scipy.linalg.cython_blas cimport blas_int" if named else "ctypedef int blas_int"
    target, text = Path("fastnn/_blas_int.pxd"), f"# Written by setup.py for the SciPy of this build.\n{line}\n"
    if not target.exists() or target.read_text() != text:  # a newer file would compile _blas.pyx again
        target.write_text(text)


write_blas_int()
libraries = [library(name, [f"src_c/isa/{name}.c"], flags) for name, flags in ISA_FLAGS.items()]
libraries += [library(name, [f"src_c/{source}.c" for source in sources], []) for name, sources in PARTS.items()]
extensions = [
    Extension(
        f"fastnn.{name}",
        [f"fastnn/{name}.pyx"],
        include_dirs=["src_c", np.get_include()],
        extra_compile_args=[*OPTIMISED["cython"], "-fvisibility=hidden", "-Wno-unused-function", *DEBUG_FLAGS],
        libraries=[*(f"fnn_{part}" for part in parts), *SYSTEM_LIBRARIES],
        define_macros=[
            ("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION"),
            ("NPY_TARGET_VERSION", "NPY_2_0_API_VERSION"),
        ],
        # The libraries' sources too: a new library must be linked again.
        depends=HEADERS + sorted(str(path) for path in Path("src_c").glob("**/*.c")),
    )
    for name, parts in EXTENSIONS.items()
]

setup(
    cmdclass={"build_py": BuildPackage},
    libraries=libraries,
    ext_modules=cythonize(
        extensions,
        build_dir="build/cython",
        compiler_directives={
            "language_level": "3",
            **dict.fromkeys(("boundscheck", "wraparound", "nonecheck", "initializedcheck"), DEBUG),
            "cdivision": True,
            "binding": True,
            # Nothing relies on the GIL: networks are taken atomically (net.h), and settings are single words.
            "freethreading_compatible": True,
        },
    ),
)
