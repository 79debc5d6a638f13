"""The help teaches: every command has examples, and every example is a command line that parses."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from services.cli import app

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
MEMOIRE: Any = typer.main.get_command(app)
HEAVY = {"psycopg", "redis", "httpx", "faststream", "fastapi", "numpy", "onnxruntime", "openai"}


def commands(group: Any = MEMOIRE, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


def examples(command: Any) -> list[str]:
    lines = re.sub(r"\[/?bold\]", "", command.epilog or "").splitlines()
    return [line.strip() for line in lines if "memoire " in line]


ALL = dict(commands())


@pytest.mark.parametrize("name", ALL)
def test_every_command_says_what_it_does_and_gives_an_example(name: str):
    assert ALL[name].help
    assert any(f"memoire {name}" in line for line in examples(ALL[name]))


@pytest.mark.parametrize("line", [line for command in ALL.values() for line in examples(command)])
def test_every_example_parses(line: str):
    parse(line)


def parse(line: str) -> None:
    words = shlex.split(line, comments=True)
    command, arguments = MEMOIRE, words[words.index("memoire") + 1 :]
    while hasattr(command, "commands") and arguments:
        command, arguments = command.commands[arguments[0]], arguments[1:]
    context = command.make_context(command.name, list(arguments))
    assert not context.args


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_of_the_documentation_exists(page: Path):
    """With the options it is shown with; a command that is only named lacks its arguments."""
    for line in shown(page.read_text("utf-8")):
        try:
            parse(re.sub(r"\bN\b", "1", line))
        except Exception as error:
            if type(error).__name__ not in ("MissingParameter", "BadOptionUsage"):
                raise


def shown(text: str) -> list[str]:
    """What stands between backticks, and whole lines of blocks; but for lists of alternatives."""
    found = re.findall(r"(?<!`)`(memoire [a-z][^`\n]*)`", text)
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        if language in ("", "sh", "shell"):
            found += [line for line in block.splitlines() if line.startswith("memoire ")]
    return [line for line in found if "|" not in line and "…" not in line]


def test_help_imports_nothing_heavy():
    """`memoire --help` and the start of `memoire run` wait for no library."""
    script = "import sys, services.cli; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert not HEAVY & set(loaded.stdout.split())
