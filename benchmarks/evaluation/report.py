"""How a run's figures are shown: a table for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.evaluation.figures import Figure

_PIPED_WIDTH = 150
_VERDICTS = {True: Text("met", "green"), False: Text("MISSED", "bold red"), None: Text("")}


def as_json(figures: Sequence[Figure], about: dict[str, Any]) -> str:
    document = {**about, "figures": [figure.as_json() for figure in figures]}
    return json.dumps(document, indent=2, ensure_ascii=False)


def print_figures(figures: Sequence[Figure], about: dict[str, Any]) -> None:
    """One table, then what went wrong where an aim is missed, then notes."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_PIPED_WIDTH)
    console.print(_table(figures))
    for figure in figures:
        if figure.met is False and figure.failing:
            console.print(Text(f"{figure.evaluation}, {figure.mode}: {figure.name}", "bold"))
            for example in figure.failing:
                console.print(Text(f"  {example}"))
    for note in about["notes"]:
        console.print(Text(f"! {note}", "yellow"))
    console.print(Text(_footer(figures, about), "dim"))


def _table(figures: Iterable[Figure]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("evaluation", "mode", "figure"):
        table.add_column(name, overflow="fold")
    for name in ("cases", "measured", "aim", ""):
        table.add_column(name, justify="right")
    before = ""
    for figure in figures:
        if before and figure.evaluation != before:
            table.add_section()
        before = figure.evaluation
        aim = str(figure.aim) if figure.aim else ""
        row = (figure.evaluation, figure.mode, figure.name, f"{figure.cases:,}", _shown(figure))
        table.add_row(*row, aim, _VERDICTS[figure.met])
    return table


def _shown(figure: Figure) -> str:
    if figure.value is None:
        return "no case"
    return f"{figure.value:.0f}" if figure.value > 1 or figure.is_count else f"{figure.value:.4f}"


def _footer(figures: Sequence[Figure], about: dict[str, Any]) -> str:
    missed = sum(figure.met is False for figure in figures)
    aims = sum(figure.met is not None for figure in figures)
    return (
        f"seed {about['seed']}, embeddings {about['embeddings']}, data: {about['data']}; "
        f"{aims - missed} of {aims} aims met, {about['seconds']:.0f} s. None of this measures a "
        "model's extraction (docs/evaluation.md)."
    )
