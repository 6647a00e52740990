"""Compile the C core for another platform, all warnings being errors, and run tests/c/check_kernels.c in an emulator.

``python tools/cross_check.py`` does it for aarch64 (needs Debian's gcc-aarch64-linux-gnu and qemu-user); others are
named by ``--cc`` and ``--emulator``. For platforms with no instruction set but their own, so not for x86-64.
"""

import argparse
import ast
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
WARNINGS = ["-Wall", "-Wextra", "-Werror"]


def from_setup(name: str) -> Any:
    """A constant of setup.py, which cannot be imported without building."""
    for node in ast.parse((ROOT / "setup.py").read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == name:
            return ast.literal_eval(node.value)
    raise SystemExit(f"setup.py: no {name}")


def main() -> None:
    """Compile, link, run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cc", default="aarch64-linux-gnu-gcc", help="default %(default)s")
    parser.add_argument("--emulator", default="qemu-aarch64", help="default %(default)s")
    arguments = parser.parse_args()
    sources = [f"src_c/{source}.c" for part in from_setup("PARTS").values() for source in part]
    sources += ["src_c/isa/base.c", "tests/c/check_kernels.c"]
    with tempfile.TemporaryDirectory() as work:
        program = f"{work}/check_kernels"

        def compile_one(source: str) -> str:
            target = f"{work}/{Path(source).stem}.o"
            flags = [*from_setup("C_FLAGS"), "-O3", *WARNINGS, "-Isrc_c"]
            subprocess.run([arguments.cc, *flags, "-c", source, "-o", target], cwd=ROOT, check=True)
            return target

        with ThreadPoolExecutor() as pool:
            objects = list(pool.map(compile_one, sources))
        subprocess.run([arguments.cc, "-static", "-pthread", *objects, "-lm", "-o", program], check=True)
        subprocess.run([arguments.emulator, program], check=True)
    print(f"{len(sources)} sources compiled by {arguments.cc}, and their kernels are right")


if __name__ == "__main__":
    main()
