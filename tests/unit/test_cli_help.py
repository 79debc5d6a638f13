"""The help teaches: every command has examples, and every example is a command line that parses."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from services.cli import app

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
    words = shlex.split(line)
    command, arguments = MEMOIRE, words[words.index("memoire") + 1 :]
    while hasattr(command, "commands"):
        command, arguments = command.commands[arguments[0]], arguments[1:]
    context = command.make_context(command.name, list(arguments))
    assert not context.args


def test_help_imports_nothing_heavy():
    """`memoire --help` and the start of `memoire run` wait for no library."""
    script = "import sys, services.cli; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert not HEAVY & set(loaded.stdout.split())
