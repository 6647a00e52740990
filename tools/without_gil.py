"""Runs the tests on a Python without the GIL.

python tools/without_gil.py [wheel or source folder] [arguments of pytest]

The interpreter is what FASTNN_PYTHON_T names, or python3.14t or python3.13t where there is one; otherwise it is built
from source, in five minutes or so, and kept in .python-t until somebody deletes it. Where safetensors has no wheel for
it, tests of model files are skipped. Without interpreter and source the exit status is 77.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / ".python-t"
# CPython's sources and their SHA-256. Debian keeps the older one for as long as its stable release lives.
SOURCES = {
    "3.14.7": "3b48dac8fb59f62eaa67ac83c1eb12bda1b7a08406dd286e252c11a66be27f81",
    "3.13.5": "93e583f243454e6e9e4588ca2c2662206ad961659863277afcdb96801647d640",
}
PLACES = (
    "https://www.python.org/ftp/python/{version}/Python-{version}.tar.xz",
    "http://deb.debian.org/debian/pool/main/p/python{minor}/python{minor}_{version}.orig.tar.xz",
)
NOT_HERE = 77  # what the exit status says by custom when a test could not be run
NEEDED = ["numpy", "scipy", "tqdm"]
TESTED_WITH = ["pytest>=8", "hypothesis>=6", "mpmath>=1.3", "autograd>=1.7", "scikit-learn>=1.5", "matplotlib>=3.8"]
BUILT_WITH = ["setuptools>=77", "cython>=3.1"]
CHECK = "import fastnn, fastnn.engine, fastnn.kernels, fastnn.sklearn, sys; assert not sys._is_gil_enabled()"


def download() -> bytes:
    """The source of CPython, the newest that can be had."""
    reasons = []
    for version, digest in SOURCES.items():
        for place in PLACES:
            address = place.format(version=version, minor=version.rpartition(".")[0])
            try:
                with urllib.request.urlopen(address, timeout=60) as answer:
                    content: bytes = answer.read()
            except OSError as error:
                reasons.append(f"{address}: {error}")
                continue
            if hashlib.sha256(content).hexdigest() == digest:
                print(f"building CPython {version} without the GIL", flush=True)
                return content
            reasons.append(f"{address}: another file than expected")
    print("no Python without the GIL, and no source of one:", *reasons, sep="\n")
    sys.exit(NOT_HERE)


def build(folder: Path) -> None:
    """CPython, as it comes but for the GIL."""
    archive = folder / "source.tar.xz"
    archive.write_bytes(download())
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="data")
    (source,) = (path for path in folder.iterdir() if path.is_dir())
    log = folder / "log"
    with open(log, "w") as output:
        for command in (
            ["./configure", "--disable-gil", f"--prefix={KEPT}", "--with-ensurepip=install"],
            ["make", f"-j{os.cpu_count()}"],
            ["make", "install"],
        ):
            if subprocess.run(command, cwd=source, stdout=output, stderr=subprocess.STDOUT).returncode:
                shutil.rmtree(KEPT, ignore_errors=True)
                sys.exit(f"{' '.join(command)} failed:\n" + log.read_text()[-2000:])


def interpreter(folder: Path) -> str:
    """A Python without the GIL: one that is there, or one that is built."""
    named = os.environ.get("FASTNN_PYTHON_T") or shutil.which("python3.14t") or shutil.which("python3.13t")
    if named:
        return named
    if not KEPT.exists():
        build(folder)
    return str(next(KEPT.glob("bin/python3.*t")))


def main() -> int:
    what, *arguments = sys.argv[1:] or [str(ROOT)]
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHON_GIL")}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run([interpreter(folder), "-m", "venv", folder / "venv"], check=True)
        python = str(folder / "venv/bin/python")
        pip = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*pip, "--only-binary", ":all:", *NEEDED, *TESTED_WITH, *BUILT_WITH], check=True)
        # Its first wheels without the GIL are of a version to come.
        if subprocess.run([*pip, "--only-binary", ":all:", "safetensors>=0.9.0rc0"]).returncode:
            print("without safetensors", flush=True)
        subprocess.run([*pip, "--no-deps", "--no-build-isolation", os.path.abspath(what)], check=True)
        # Away from the source, so that what is installed is what is tested.
        for part in ("tests", "docs", "README.md", "pyproject.toml", "src_c/fnn_ops.def"):
            to = folder / "away" / part
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(ROOT / part, to) if (ROOT / part).is_dir() else shutil.copy(ROOT / part, to)
        away = {"cwd": folder / "away", "env": environment}
        subprocess.run([python, "-W", "error", "-c", CHECK], check=True, **away)
        return subprocess.run([python, "-m", "pytest", *(arguments or ["-m", "not slow"])], **away).returncode


if __name__ == "__main__":
    sys.exit(main())
