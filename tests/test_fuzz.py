"""Damaged model files, a few thousand: refused by a `ModelFileError` or sound. tools/fuzz_io.py tries millions."""

import random
import tracemalloc
from pathlib import Path

import mutations
import pytest

N_FILES = 4000
# A few kilobytes in a file need no more than this to be refused.
MOST_BYTES = 4_000_000


@pytest.mark.parametrize("seed", range(3))
def test_damaged_files(seed: int, tmp_path: Path) -> None:
    rng, files = random.Random(seed), mutations.seeds(tmp_path)
    assert all(mutations.load(tmp_path / "file", content) for content in files)
    taken = 0
    tracemalloc.start()
    try:
        for number in range(N_FILES // 3):
            content = mutations.mutate(rng, rng.choice(files))
            tracemalloc.reset_peak()
            try:
                taken += mutations.load(tmp_path / "file", content)
            except Exception as error:
                error.add_note(f"file {number} of seed {seed}: {content!r}")
                raise
            peak = tracemalloc.get_traced_memory()[1]
            assert peak < MOST_BYTES, f"file {number} of seed {seed} takes {peak} bytes: {content!r}"
    finally:
        tracemalloc.stop()
    # Neither all unreadable nor all the same.
    assert 0.02 * N_FILES / 3 < taken < 0.9 * N_FILES / 3
