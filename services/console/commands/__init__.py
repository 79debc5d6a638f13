"""How a command is declared: its options, its examples, its place in the help.

Imports nothing heavy: this is read before every `memoire run`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from shared.topology import STAGES

CONTEXT = {"help_option_names": ["-h", "--help"]}

Data = Annotated[
    Path | None,
    typer.Option("--data", help="Data folder; default: MEMOIRE_DATA_DIR, else .memoire."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Stage = Annotated[str | None, typer.Option(help=f"Of this stage only: {', '.join(STAGES)}.")]

Function = TypeVar("Function", bound=Callable[..., Any])


def group(name: str, about: str) -> typer.Typer:
    """A command that has commands."""
    return typer.Typer(
        name=name, help=about, no_args_is_help=True, add_completion=False,
        rich_markup_mode="rich", pretty_exceptions_enable=False, context_settings=CONTEXT,
    )  # fmt: skip


def command(
    of: typer.Typer, *examples: str, panel: str | None = None, name: str | None = None
) -> Callable[[Function], Function]:
    """Register a function: its docstring is the help, `examples` are lines to copy."""

    def register(function: Function) -> Function:
        of.command(
            name or function.__name__,
            help=_reflowed(function.__doc__ or ""),
            epilog="[bold]Example:[/bold]\n\n" + "\n\n".join(f"  {line}" for line in examples),
            rich_help_panel=panel,
        )(function)
        return function

    return register


def _reflowed(docstring: str) -> str:
    """One line a paragraph: the terminal's width breaks it, not ours."""
    paragraphs = inspect.cleandoc(docstring).split("\n\n")
    return "\n\n".join(paragraph.replace("\n", " ") for paragraph in paragraphs)
