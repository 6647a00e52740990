"""README's claims that can be run: its Python examples, and the commands and names that it mentions."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"

pytestmark = pytest.mark.skipif(not README.is_file(), reason="README.md is not beside the tests")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def test_python_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # what they write stays here
    blocks = _blocks("python")
    assert blocks
    for block in blocks:
        names: dict[str, object] = {}
        exec(compile(block, str(README), "exec"), names)
        if "accuracy" in names:
            assert float(str(names["accuracy"])) >= 0.96


def test_first_example_is_ten_lines() -> None:
    assert len(_blocks("python")[0].strip().splitlines()) == 10


def test_the_two_commands_are_there() -> None:
    commands = [line for block in _blocks("sh") for line in block.splitlines()]
    assert any(line.startswith("pip install -e ") and line.endswith("-m fastnn demo") for line in commands)
    assert sum(line.startswith("pip install -e ") and line.endswith("-m pytest") for line in commands) == 1


def test_links_to_files_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", README.read_text("utf-8"))
    assert links
    if (ROOT / "CONTRIBUTING.md").is_file():  # beside an installed package only README and the tests may stand
        assert [link for link in links if not (ROOT / link).exists()] == []
