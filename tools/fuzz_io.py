"""Fuzzes the loader of model files, led by coverage: python tools/fuzz_io.py [-runs=1000000] [options of libFuzzer]

Wants atheris (pip install atheris). Starts from saved models and changes them as tests/mutations.py does; whatever is
neither refused by a `ModelFileError` nor a sound network is a crash, and so are more than MOST_SECONDS and MOST_MEMORY.
A file that crashes is kept in the current folder as crash-…: python tools/fuzz_io.py crash-… tries it again.
"""

import random
import resource
import sys
import tempfile
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
with atheris.instrument_imports(include=["fastnn.io", "fastnn.spec", "json"]):
    import mutations

import fastnn

MOST_MEMORY = 512 << 20
MOST_SECONDS = 5  # on a machine that does much else


def changed(content: bytes, most: int, seed: int, sound: list[bytes]) -> bytes:
    """Our changes, or libFuzzer's; of a sound file half of the time, since of most others little can be read."""
    rng = random.Random(seed)
    if rng.random() < 0.3:
        return atheris.Mutate(content, most)
    return mutations.mutate(rng, rng.choice(sound) if rng.random() < 0.5 else content)[:most]


def limit_memory() -> None:
    """From here on MOST_MEMORY more: beyond, an allocation is a MemoryError, which is no ModelFileError."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MOST_MEMORY, resource.RLIM_INFINITY))


def main() -> None:
    # The folder is in memory where there is such a place: every run writes a file.
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        corpus, path = Path(folder) / "corpus", Path(folder) / "file"
        corpus.mkdir()
        sound = mutations.seeds(Path(folder))
        for number, content in enumerate(sound):
            (corpus / str(number)).write_bytes(content)
        options = [f"-timeout={MOST_SECONDS}", "-rss_limit_mb=0", "-max_len=8192", *sys.argv[1:]]
        files = [] if any(not option.startswith("-") for option in sys.argv[1:]) else [str(corpus)]

        def mutator(data: bytes, most: int, seed: int) -> bytes:
            return changed(data, most, seed, sound)

        with fastnn.threads(1):
            atheris.Setup(
                [sys.argv[0], *options, *files], lambda data: mutations.load(path, data), custom_mutator=mutator
            )
            limit_memory()
            atheris.Fuzz()


if __name__ == "__main__":
    main()
