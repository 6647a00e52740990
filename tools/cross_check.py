"""Compile the C core for other platforms, all warnings being errors, and run its checks where they can be run.

``python tools/cross_check.py`` does it for every row of TARGETS, or for those that are named. tests/c/check_kernels.c
and tools/races.c are linked with the core as setup.py compiles it, and run natively, by qemu-user or by Wine. Needs
Debian's gcc-aarch64-linux-gnu, qemu-user and wine64, and the group ``cross`` of pyproject.toml: clang with every libc.
"""

import argparse
import ast
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
# Threads of musl have a stack of 128 KiB.
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-Wframe-larger-than=98304"]
PROGRAMS = {"check_kernels": "tests/c/check_kernels.c", "races": "tools/races.c"}
SECONDS = 120  # for one program, which takes a few
# Debian keeps it off the PATH.
WINE = [shutil.which("wine64") or shutil.which("wine") or "/usr/lib/wine/wine64"]


class Target(NamedTuple):
    """A compiler, what links, how to run what that makes, and why not."""

    cc: list[str]
    link: list[str]  # empty: not linked
    run: list[str] | None = None  # None: not run
    without: str = ""
    programs: tuple[str, ...] = ("check_kernels", "races")


def zig(target: str) -> list[str]:
    """Clang for a target. Zig would turn undefined behaviour into traps, which no build of ours does."""
    return [sys.executable, "-m", "ziglang", "cc", "-target", target, "-fno-sanitize=undefined"]


GCC = "aarch64-linux-gnu-gcc"
WINDOWS, MUSL = zig("x86_64-windows-gnu"), zig("x86_64-linux-musl")
# 10.15 is the oldest that has timespec_get; pyproject.toml asks for it.
X86_MACOS, ARM_MACOS = zig("x86_64-macos.10.15"), zig("aarch64-macos.11.0")
# qemu-user fails in a fork of several threads: no races there.
AARCH64: dict[str, Any] = {"link": [GCC, "-static"], "run": ["qemu-aarch64"], "programs": ("check_kernels",)}
# The slowest first: zig compiles the libc of what it links.
TARGETS = {
    "x86_64-windows": Target(WINDOWS, WINDOWS, WINE),
    "x86_64-musl": Target(MUSL, [*MUSL, "-static"], []),
    "x86_64-macos": Target(X86_MACOS, X86_MACOS, without="macOS has no emulator"),
    "aarch64-macos": Target(ARM_MACOS, ARM_MACOS, without="macOS has no emulator"),
    "aarch64-windows": Target(zig("aarch64-windows-gnu"), [], without="Wine runs programs of its own machine"),
    "aarch64-musl": Target(zig("aarch64-linux-musl"), [], without="of that machine aarch64-clang runs, of musl x86_64"),
    "aarch64-clang": Target(zig("aarch64-linux-gnu.2.36"), **AARCH64),
    "aarch64-gcc": Target([GCC], **AARCH64),
}


def from_setup(name: str) -> Any:
    """A constant of setup.py, which cannot be imported without building."""
    for node in ast.parse((ROOT / "setup.py").read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == name:
            return ast.literal_eval(node.value)
    raise SystemExit(f"setup.py: no {name}")


def check(name: str, work: Path) -> None:
    """Compile, link, run, and say what was done. What fails says its command and what that wrote."""
    target, start = TARGETS[name], time.monotonic()
    folder = work / name
    folder.mkdir()
    environment = {
        "ZIG_GLOBAL_CACHE_DIR": f"{work}/zig",
        "ZIG_LOCAL_CACHE_DIR": f"{work}/zig",
        "WINEPREFIX": f"{work}/wine",
        "WINEDEBUG": "-all",
        **os.environ,
    }

    def call(command: list[str], seconds: int = 600) -> None:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, timeout=seconds, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        if done.returncode:
            raise SystemExit(f"{name}: {' '.join(command)}: {done.returncode}\n{done.stdout.decode(errors='replace')}")

    def compile_all(sources: dict[str, list[str]]) -> list[str]:
        compiled = []
        for source, flags in sources.items():
            compiled.append(f"{folder / Path(source).stem}.o")
            common = [*from_setup("C_FLAGS"), "-O3", "-g0", *WARNINGS, "-Isrc_c"]
            call([*target.cc, *common, *flags, "-c", source, "-o", compiled[-1]])
        return compiled

    isas = {"base": []} | (from_setup("X86_FLAGS") if name.startswith("x86_64") else {})
    sources = {f"src_c/isa/{isa}.c": flags for isa, flags in isas.items()}
    core = compile_all(sources | {f"src_c/{s}.c": [] for part in from_setup("PARTS").values() for s in part})
    libraries = [] if name.endswith("windows") else ["-lm", "-lpthread"]  # as setup.py's SYSTEM_LIBRARIES
    for program, source in PROGRAMS.items():
        if program not in target.programs:
            continue
        objects = compile_all({source: []})
        if target.link:
            binary = str(folder / f"{program}.exe")
            call([*target.link, *objects, *core, *libraries, "-o", binary])
            if target.run is not None:
                call([*target.run, binary], SECONDS)
    did = "its checks are right"
    if target.run is None:
        did = f"{'compiled and linked' if target.link else 'compiled'} only: {target.without}"
    print(f"{name}: {did} ({time.monotonic() - start:.0f} s)", flush=True)


def main() -> None:
    """All targets, or those that are named, as many at a time as there are CPUs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("targets", nargs="*", help=", ".join(TARGETS))
    names = parser.parse_args().targets or list(TARGETS)
    if unknown := set(names) - set(TARGETS):
        parser.error(f"no target {', '.join(unknown)}: wanted {', '.join(TARGETS)}")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as work, ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda name: check(name, Path(work)), names))


if __name__ == "__main__":
    main()
