"""How a replay looks on a terminal: what it will cost, how far it is, what differs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from services.console.errors import CommandError
from services.console.screen import print_json, screen, table

if TYPE_CHECKING:
    from services.extractor.replay.diff import Belief, Diff
    from services.extractor.replay.plan import Estimate
    from services.extractor.replay.reading import Outcome

_MOST_LINES = 100


def print_reports(reports: Sequence[dict[str, Any]]) -> None:
    """One object for one user, a list of them for several."""
    print_json(reports[0] if len(reports) == 1 else {"replays": list(reports)})


def print_failures(failures: Sequence[dict[str, Any]]) -> None:
    console = screen(stderr=True)
    for failure in failures:
        console.print(Text(f"{failure['user_id']}: {failure['error']}", "red"))


def print_estimate(user: str, estimate: Estimate) -> None:
    console = screen()
    console.print(
        Text(f"{user}: {estimate.messages} messages of {estimate.sessions} sessions read again")
    )
    console.print(f"  {estimate.reused_answers} stored answers serve again, without a call")
    console.print(f"  {estimate.calls} calls, about {estimate.input_tokens} tokens of input")
    console.print(f"  {estimate.carried_messages} other messages keep their facts")
    console.print("Nothing was written, nobody was asked.")


def print_state(user: str, state: str, generation: int | None, kept: int | None) -> None:
    """Say what became of a generation, and how to change one's mind."""
    console = screen()
    if kept is not None:
        console.print(
            Text(
                f"{user}: generation {kept} is kept beside the one in use. Decide with "
                f"--promote-generation {kept} or --drop-generation {kept}"
            )
        )
        return
    console.print(Text(f"{user}: generation {generation} {state}", "green"))


def confirm(question: str) -> None:
    if not typer.confirm(question):
        raise CommandError("nothing was done")


def ask_decision() -> Literal["promote", "drop", "keep"]:
    answer: str = typer.prompt("Promote, drop or keep it?", default="keep").strip().lower()
    for choice in ("promote", "drop", "keep"):
        if answer and choice.startswith(answer):
            return choice
    return "keep"


@contextmanager
def progress(user: str, *, quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """A bar on standard error, one after the other for each thing that is done."""
    console = screen(stderr=True)
    if quiet or not console.is_terminal:
        yield lambda _what, _done, _of: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        tasks: dict[str, Any] = {}

        def advance(what: str, done: int, of: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(f"{user}: {what}")
            bar.update(tasks[what], completed=done, total=of)

        yield advance


# ---- the diff


def print_diff(user: str, outcome: Outcome, diff: Diff) -> None:
    console = screen()
    console.print(
        Text(
            f"{user}: generation {outcome.generation} beside {outcome.previous}, "
            f"{outcome.calls} calls, {outcome.reused_answers} stored answers, "
            f"{sum(outcome.tokens)} tokens"
        )
    )
    if outcome.unread:
        console.print(
            Text(f"{len(outcome.unread)} messages could not be read and keep their facts", "yellow")
        )
    if outcome.dead:
        console.print(Text(f"{outcome.dead} facts are dead letters: memoire dead list", "red"))
    rows = _lines(diff)
    if rows:
        shown = table(None, "", "about", "was", "becomes", "differs")
        for style, *cells in rows[:_MOST_LINES]:
            shown.add_row(*(Text(cell) for cell in cells), style=style)
        console.print(shown)
    if len(rows) > _MOST_LINES:
        console.print(f"… and {len(rows) - _MOST_LINES} more: --json shows all")
    console.print(
        f"{len(diff.added)} added, {len(diff.lost)} lost, {len(diff.changed)} changed, "
        f"{len(diff.unchanged)} unchanged"
    )


def _lines(diff: Diff) -> list[tuple[str, ...]]:
    return [
        *(("green", "added", _about(b), "", _said(b), "") for b in diff.added),
        *(("red", "lost", _about(b), _said(b), "", "") for b in diff.lost),
        *(
            ("yellow", "changed", _about(p.new), _said(p.old), _said(p.new), ", ".join(p.differs))
            for p in diff.changed
        ),
    ]


def _about(belief: Belief) -> str:
    slot = belief.slot or "–"
    return slot if belief.subject == "user" else f"{belief.subject}: {slot}"


def _said(belief: Belief) -> str:
    if belief.is_plan:
        when = f"planned {_day(belief.planned_for) or 'some day'}"
    else:
        when = "; ".join(f"{_day(start)}–{_day(end)}" for start, end in belief.valid)
    return f"{belief.content} ({when})"


def _day(at: datetime | None) -> str:
    return at.date().isoformat() if at else ""


def diff_as_json(diff: Diff) -> dict[str, Any]:
    return {
        "added": [_belief_as_json(belief) for belief in diff.added],
        "lost": [_belief_as_json(belief) for belief in diff.lost],
        "changed": [
            {
                "old": _belief_as_json(pair.old),
                "new": _belief_as_json(pair.new),
                "differs": list(pair.differs),
            }
            for pair in diff.changed
        ],
        "unchanged": len(diff.unchanged),
    }


def _belief_as_json(belief: Belief) -> dict[str, Any]:
    return {
        "fact_id": str(belief.fact_id),
        "subject": belief.subject,
        "slot": belief.slot,
        "value": belief.value,
        "content": belief.content,
        "planned": belief.is_plan,
        "planned_for": belief.planned_for.isoformat() if belief.planned_for else None,
        "valid": [
            [moment.isoformat() if moment else None for moment in stretch]
            for stretch in belief.valid
        ],
        "source_message_ids": sorted(str(message) for message in belief.messages),
    }


# ---- generations


def print_generations(user: str, rows: Sequence[dict[str, Any]]) -> None:
    shown = table(user, "generation", "", "facts", "model", "prompt", "made", right=("facts",))
    for row in rows:
        state = "in use" if row["in_use"] else row["state"] or ""
        shown.add_row(
            str(row["generation"]), state, str(row["facts"]), row["model"] or "as messages came",
            row["prompt"] or "", _day(row["created_at"]),
        )  # fmt: skip
    screen().print(shown)
