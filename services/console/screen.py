"""How answers look on a terminal: tables people read, JSON for programs."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

_PASSWORD = re.compile(r"(?<=:)[^:@/]+(?=@)")
_PIPED_WIDTH = 140


def screen(*, stderr: bool = False) -> Console:
    """A console as wide as the terminal; wide enough for a table where there is none."""
    console = Console(highlight=False, stderr=stderr)
    return (
        console
        if console.is_terminal
        else Console(highlight=False, stderr=stderr, width=_PIPED_WIDTH)
    )


def print_json(answer: Any) -> None:
    """Plain JSON, never coloured or wrapped."""
    print(json.dumps(answer, indent=2, ensure_ascii=False, default=str))


def print_json_line(answer: Any) -> None:
    """One line of JSON, at once: for programs that read as it comes."""
    print(json.dumps(answer, ensure_ascii=False, default=str), flush=True)


def print_event(event: dict[str, Any]) -> None:
    """One line of what happened: when, to whom, what, and which fact."""
    fact = event["fact"] or {}
    what = Text.assemble(
        (event["at"][:19].replace("T", " "), "dim"),
        "  ",
        (f"{event['event']:<16}", "bold"),
        f"  {event['user_id']}  {fact.get('content') or event['fact_id']}",
        (f"  [{fact['slot']}]" if fact.get("slot") else "", "dim"),
    )
    screen().print(what, soft_wrap=True)


def table(title: str | None, *columns: str, right: Sequence[str] = ()) -> Table:
    """A light table; columns named in `right` hold numbers."""
    made = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return made


def day(moment: str | None) -> str:
    """`2025-06-01` of an ISO time; a dash for none."""
    if not moment:
        return "–"
    try:
        return datetime.fromisoformat(moment).date().isoformat()
    except ValueError:  # `2015` and `2015-06` are as precise as what was said
        return moment


def without_password(url: str | None) -> str:
    return _PASSWORD.sub("…", url) if url else "–"


# ---- one table for each command


def print_status(report: dict[str, Any]) -> None:
    console = screen()
    for name in ("gateway_url", "database_url", "redis_url"):
        console.print(Text(f"{name.removesuffix('_url'):<9} {without_password(report[name])}"))
    columns = ("stage", "backlog", "pending", "open", "oldest", "dead", "pids")
    stages = table(None, *columns, right=columns[1:6])
    for name, stage in report["stages"].items():
        numbers = [_shown(stage[key]) for key in ("length", "pending", "open")]
        age = stage["oldest_seconds"]
        oldest = "–" if age is None else f"{age:.1f} s"
        dead = Text(_shown(stage["dead"]), "bold red" if stage["dead"] else "")
        stages.add_row(name, *numbers, oldest, dead, _pids(stage))
    for name, process in report["processes"].items():
        stages.add_row(name, "", "", "", "", "", _pids(process), style="dim")
    console.print(stages)
    embeddings = report.get("embeddings") or {}
    if embeddings.get("migrating_to"):
        console.print(Text(f"vectors of {embeddings['migrating_to']} are being made", "dim"))
    if embeddings.get("warning"):
        console.print(Text(f"! {embeddings['warning']}", "yellow"))
    isolation = report.get("isolation")
    if isolation and not isolation["row_security"]:
        line = "! row-level security is off: only the statements keep tenants apart"
        console.print(Text(line, "yellow"))
    for problem in report["problems"]:
        console.print(Text(f"! {problem}", "yellow"))
    console.print(Text(report["status"], "green" if not report["problems"] else "bold yellow"))


def _shown(number: int | None) -> str:
    return "?" if number is None else f"{number:,}"


def _pids(process: dict[str, Any]) -> str:
    return " ".join(str(pid) for pid in process["pids"]) or "–"


def print_dead(letters: Sequence[dict[str, Any]]) -> None:
    console = screen()
    if not letters:
        console.print("No dead letters.")
        return
    shown = table(
        None, "id", "stage", "class", "attempts", "dead since", "error", right=["attempts"]
    )
    for letter in letters:
        since = letter["dead_at"][:19].replace("T", " ")
        shown.add_row(
            letter["id"],
            letter["stage"],
            letter["error_class"],
            str(letter["attempts"]),
            since,
            Text(letter["error"]),
        )
    console.print(shown)
    console.print("Try them again: memoire dead redrive --all   Give up: memoire dead drop --id ID")


def print_dead_groups(groups: Sequence[dict[str, Any]]) -> None:
    console = screen()
    if not groups:
        console.print("No dead letters.")
        return
    numbers = ["dead", "last hour"]
    shown = table(None, "stage", "class", *numbers, "oldest", "one of them", right=numbers)
    for one in groups:
        counts = (str(one["dead"]), str(one["last_hour"]))
        oldest = one["oldest"][:19].replace("T", " ")
        shown.add_row(one["stage"], one["error_class"], *counts, oldest, Text(one["example"]))
    console.print(shown)


def print_recall(answer: dict[str, Any], *, explain: bool) -> None:
    console = screen()
    facts = answer["relevant_facts"]
    if facts:
        console.print(recall_table(facts, explain=explain))
    else:
        console.print("Nothing that matters for this question.")
    if explain:
        for line in heard(answer["explain"]):
            console.print(Text(line, "dim"))
    pending = answer["freshness"]["pending"]
    if pending:
        console.print(Text(f"{pending} more on their way through the pipeline", "dim"))


def recall_table(facts: Sequence[dict[str, Any]], *, explain: bool) -> Table:
    columns = ["score", "fact", "slot", "since", "said at", *(["why"] if explain else [])]
    shown = table(None, *columns, right=["score"])
    for fact in facts:
        row = [
            f"{fact['score']:.2f}",
            Text(fact["content"]),
            fact.get("slot") or "–",
            day(fact.get("valid_from")),
            day(fact.get("said_at")),
        ]
        shown.add_row(*row, *([Text(reasons(fact))] if explain else []))
    return shown


def reasons(fact: dict[str, Any]) -> str:
    """What made a place: nearness in meaning, share of words, each with its place, and boosts."""
    explained = fact.get("explain") or {}
    meaning = explained.get("vector", {}).get("raw")
    words = explained.get("lexical", {}).get("matched_share")
    place = explained.get("timeline")
    parts = [
        f"meaning {meaning:.2f}{_place(explained['vector'])}" if meaning is not None else "",
        f"words {words:.0%}{_place(explained['lexical'])}" if words else "",
        *(
            f"{name} ×{factor:.2f}{_cause(explained.get('hints', {}).get(name))}"
            for name, factor in explained.get("boosts", {}).items()
            if abs(factor - 1) >= 0.005
        ),
        f"{place['place']} of {place['of']} in its timeline" if place else "",
    ]
    return " · ".join(part for part in parts if part)


def _place(arm: dict[str, Any]) -> str:
    """Where an arm put it, and by what score where that is not the number shown."""
    return f" (#{arm['rank']})" if arm.get("rank") else ""


def _cause(hint: Any) -> str:
    """The words that a hint was read from."""
    said = list(hint.values()) if isinstance(hint, dict) else hint
    words = ", ".join(said) if isinstance(said, list) else said
    return f" (“{words}”)" if words else ""


def heard(explained: dict[str, Any]) -> list[str]:
    """How the question was read, a line each: hints, filters, words taken for others."""
    lines = []
    for name, hint in explained.get("hints", {}).items():
        lines.append(f"asked for {name.replace('_', ' ')}: {_shown_hint(hint)}")
    filters = explained.get("filters", {})
    if filters:
        lines.append("filters: " + ", ".join(f"{name}={value}" for name, value in filters.items()))
    for said, meant in explained.get("read_as", {}).items():
        lines.append(f"“{said}” read as “{meant}”")
    return lines


def _shown_hint(hint: Any) -> str:
    if not isinstance(hint, dict):
        return ", ".join(hint) if isinstance(hint, list) else "yes"
    if "words" in hint:
        return f"{day(hint.get('since'))} to {day(hint.get('until'))} (“{hint['words']}”)"
    return ", ".join(f"{name} (“{words}”)" for name, words in hint.items())


def print_keys(keys: Sequence[dict[str, Any]]) -> None:
    shown = table(None, "id", "name", "scope", "user", "made", "expires", "revoked", "last used")
    for key in keys:
        shown.add_row(
            str(key["id"]),
            Text(str(key.get("name", ""))),
            str(key.get("scope", "")),
            Text(str(key.get("user_id") or "")),
            day(key.get("created_at")),
            day(key.get("expires_at")),
            day(key.get("revoked_at")),
            day(key.get("last_used_at")),
        )
    screen().print(shown)


def print_secret(key: dict[str, Any]) -> None:
    """The only time a secret is seen: on standard output alone, the advice beside it."""
    screen(stderr=True).print(Text(f"key {key['id']}: shown once, keep it", "dim"))
    print(key["key"])
