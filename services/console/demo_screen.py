"""How the demonstration looks: a line a message that grows as its stages finish, then tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.live import Live
from rich.padding import Padding
from rich.rule import Rule
from rich.text import Text

from services.console.screen import day, reasons, screen, table

if TYPE_CHECKING:
    from services.console.demo_story import Figures
    from services.console.instance import Instance

_MARKS = {"holds": "+", "ends": "–", "denies": "✗"}
_DONE = {"embedder": "embedded", "deduper": "compared", "superseder": "settled"}


class DemoScreen:
    """Everything the demonstration prints, in its order."""

    def __init__(self) -> None:
        self._console = screen()

    def on_line(self, label: str, line: str) -> None:
        """Only what the supervisor has to say; the logs are shown when something goes wrong."""
        if label == "supervisor":
            self._console.print(Text(f"  {line}", "yellow"))

    def opening(self) -> None:
        self._console.print(Text("Starting PostgreSQL, Valkey and the pipeline …", "dim"))

    def ready(self, instance: Instance, seconds: float) -> None:
        self._console.print(
            Text(
                f"Ready after {seconds:.1f} s at {instance.gateway_url}: gateway → extractor "
                "(rules, no model) → embedder (local) → deduper → superseder",
                "dim",
            )
        )

    def conversation(self, user: str) -> None:
        self._title(f"What {user} says, and what each stage makes of it")

    @contextmanager
    def message(self, message: Mapping[str, Any]) -> Iterator[MessageLine]:
        """A line that is drawn again while its message moves."""
        line = MessageLine(message)
        if not self._console.is_terminal:
            yield line
            self._console.print(line)
            return
        with Live(line, console=self._console, refresh_per_second=25):
            yield line

    def questions(self) -> None:
        self._title("What it knows now")

    def answer(
        self, question: Mapping[str, Any], facts: Sequence[Mapping[str, Any]], seconds: float
    ) -> None:
        asked = Text(f"“{question['query']}”", "bold")
        if as_of := question.get("as_of"):
            asked.append(f"  as of {day(as_of)}", "cyan")
        asked.append(f"  {seconds * 1000:.0f} ms", "dim")
        self._console.print(asked)
        shown = table(None, "score", "fact", "true since", "said", "why", right=["score"])
        for fact in facts:
            row = (day(fact["valid_from"]), day(fact["said_at"]), reasons(dict(fact)))
            shown.add_row(f"{fact['score']:.2f}", Text(fact["content"]), *row)
        self._console.print(Padding(shown, (0, 0, 0, 2)) if facts else Text("  nothing\n", "dim"))

    def timeline(self, slots: Sequence[Mapping[str, Any]]) -> None:
        self._title("What was true when")
        shown = table(None, "what", "value", "from", "to", "evidence", right=["evidence"])
        for slot in slots:
            whose = "" if slot["subject"] == "user" else f" of {slot['subject']}"
            for interval in slot["intervals"]:
                over = interval["valid_to"] is not None
                shown.add_row(
                    slot["slot"] + whose,
                    Text(interval["value"]),
                    day(interval["valid_from"]),
                    day(interval["valid_to"]) if over else "now",
                    str(len(interval["evidence"])),
                    style="dim" if over else "",
                )
        self._console.print(shown)

    def figures(self, figures: Figures) -> None:
        self._console.print(
            Text(
                f"{figures.messages} messages, {figures.facts} facts; from message to settled "
                f"{figures.settled * 1000:.0f} ms, recall {figures.recalled * 1000:.0f} ms "
                "(medians)",
                "bold green",
            )
        )

    def closing(self, seconds: float) -> None:
        self._console.print(
            Text(f"Everything took {seconds:.1f} s. Now yours: `memoire up`.", "bold green")
        )

    def failed(self, problem: str, tails: Mapping[str, str]) -> None:
        self._console.print(Text(f"The demonstration failed: {problem}", "bold red"))
        for name, lines in tails.items():
            self._console.print(Rule(f"{name}.log", align="left", style="dim"))
            self._console.print(Text(lines))

    def _title(self, title: str) -> None:
        self._console.print()
        self._console.print(Rule(Text(title, "bold"), align="left"))


class MessageLine:
    """One message with what has become of it so far."""

    def __init__(self, message: Mapping[str, Any]) -> None:
        said = datetime.fromisoformat(message["timestamp"])
        self._said = Text(f"{said.day:>2} {said:%b %Y}  {message['role']:<9}  ", "dim")
        self._said.append(message["content"], "not dim" if message["role"] == "user" else "dim")
        self._progress = Text("accepted", "dim")
        self._facts: list[Text] = []

    def show(self, trace: Mapping[str, Any], sent_at: float) -> None:
        """Take over how far the message has come."""
        self._progress = Text(" → ").join(_steps(trace, sent_at))
        self._facts = [_fact(fact) for fact in trace["facts"]]

    def __rich__(self) -> Group:
        indent = (0, 0, 0, 24)
        facts = [Padding(fact, indent) for fact in self._facts]
        return Group(self._said, Padding(self._progress, indent), *facts)


def _steps(trace: Mapping[str, Any], sent_at: float) -> list[Text]:
    steps = []
    for stage in trace["stages"]:
        if stage["state"] == "done" and stage["at"]:
            after = datetime.fromisoformat(stage["at"]).timestamp() - sent_at
            word = _word(stage["stage"], len(trace["facts"]))
            if word:
                steps.append(Text(word, "green").append(f" {max(after, 0) * 1000:.0f} ms", "dim"))
        elif stage["state"] == "dead":
            steps.append(Text(f"{stage['stage']}: dead", "bold red"))
    return steps or [Text("accepted", "dim")]


def _word(stage: str, facts: int) -> str | None:
    if stage == "extractor":
        return f"extracted {facts} fact{'' if facts == 1 else 's'}" if facts else "nothing to keep"
    return _DONE.get(stage) if facts else None


def _fact(fact: Mapping[str, Any]) -> Text:
    """What was learnt, and what it does to what was known."""
    mark = _MARKS.get(fact["claim"], "+")
    line = Text(f"{mark} {fact['content']}", "cyan" if mark == "+" else "magenta")
    about = [fact["slot"]] if fact["slot"] else []
    if fact["status"] == "merged":
        about.append("says the same as before: one more piece of evidence")
    elif fact["status"] in ("planned", "due"):
        about.append(fact["status"])
    return line.append(f"  {', '.join(about)}", "dim") if about else line
