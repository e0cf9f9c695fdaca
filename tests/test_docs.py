"""What the documentation promises: commands that exist, Python that runs, links that lead on."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from bench.cli import app as bench
from bench.nas_cli import app as nas
from nas.space import load_space

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^(?:    |\$ )((?:bench|nas) .*?)(?: +#.*)?$", README, flags=re.MULTILINE)
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def command_of(words: list[str]) -> Any:
    """The command, or the command below a command, that a line begins with."""
    found: Any = get_command({"bench": bench, "nas": nas}[words[0]])
    for word in words[1:]:
        if word.startswith("-") or not hasattr(found, "commands"):
            break
        found = found.commands[word]
    return found


def options_of(words: list[str]) -> set[str]:
    command = command_of(words)
    return {o for p in command.params for o in (*p.opts, *p.secondary_opts)} | {"--help"}


def test_the_readme_has_commands() -> None:
    assert len(COMMANDS) > 12


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_of_the_readme_exists_with_its_options(line: str) -> None:
    words = shlex.split(line)

    assert {word for word in words if word.startswith("--")} <= options_of(words)


def verbs_of(name: str, app: Any) -> list[str]:
    """All commands, and commands of commands, as one types them."""
    if not hasattr(app, "commands"):
        return [name]
    below = [verb for word, x in app.commands.items() for verb in verbs_of(f"{name} {word}", x)]
    own = [name] if app.invoke_without_command else []
    return own + below


VERBS = verbs_of("bench", get_command(bench)) + verbs_of("nas", get_command(nas))


@pytest.mark.parametrize("verb", VERBS)
def test_every_command_is_in_the_readme(verb: str) -> None:
    assert any(f"{line} ".startswith(f"{verb} ") for line in COMMANDS)


@pytest.mark.parametrize("words", VERBS)
def test_every_command_and_every_option_has_help(words: str) -> None:
    command = command_of(words.split())

    assert words.rpartition(" ")[2] == command.name
    assert command.help
    assert [] == [
        p.name for p in command.params if not getattr(p, "help", None) and p.name != "help"
    ]


def test_the_python_of_the_readme_runs(tmp_path: Path) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)

    subprocess.run([sys.executable, "-c", block], cwd=tmp_path, check=True)

    assert (tmp_path / "network.onnx").stat().st_size > 1_000_000


def test_the_space_of_the_readme_can_be_read(tmp_path: Path) -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", README, flags=re.DOTALL)
    (tmp_path / "mine.yaml").write_text(block, encoding="utf-8")

    assert load_space(str(tmp_path / "mine.yaml")).count > 100


def test_the_counts_of_spaces_in_the_readme_are_right() -> None:
    told = re.findall(r"^\| `([a-z-]+)` \| ([\d,]+|[\d.]+e\d+) \|", README, flags=re.MULTILINE)

    assert 7 == len(told)
    for name, count in told:
        exact = load_space(name).count
        assert count in {f"{exact:,}", f"{exact:.1e}".replace("e+", "e")}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text(encoding="utf-8"))

    assert [] == [link for link in links if not (page.parent / link).exists()]
