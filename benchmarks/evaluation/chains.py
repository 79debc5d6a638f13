"""One attribute of a made-up life (pure): what was true when, and messages that tell it.

The truth is drawn first and told second, in the ways people tell: as it happens, later with a day
or a month, as a plan and its confirmation, years later as a past stay, again in other words. A
memory that reads every message right can rebuild the truth exactly.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from benchmarks.evaluation.people import GoldFact
from benchmarks.evaluation.values import Value

Form = Literal["now", "day", "month", "plan", "past"]
_FORMS: tuple[Form, ...] = ("now", "now", "day", "month", "plan", "past")
_LENGTH_DAYS = (150, 500)
_GAP_DAYS = (60, 120)
INSTANT, DAY, MONTH = timedelta(seconds=1), timedelta(days=1), timedelta(days=31)


@dataclass(frozen=True, slots=True)
class Edge:
    """A beginning or an end, and how precisely it was told."""

    at: datetime
    within: timedelta


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch in which the attribute had a value; `end` is None while it lasts."""

    value: Value
    form: Form
    start: Edge
    end: Edge | None


@dataclass(frozen=True, slots=True)
class Telling:
    """When something is said and the fact in it."""

    at: datetime
    fact: GoldFact


@dataclass(frozen=True, slots=True)
class Chain:
    """One attribute's truth and tellings; spans are in order and never overlap."""

    slot: str
    spans: tuple[Span, ...]
    tellings: tuple[Telling, ...] = field(default=())

    @property
    def now(self) -> Value | None:
        return self.spans[-1].value if self.spans[-1].end is None else None

    def changes(self) -> Iterator[tuple[Span, Span]]:
        """Each span with the one that took its place at once."""
        for old, new in zip(self.spans, self.spans[1:], strict=False):
            if old.end == new.start:
                yield old, new


def draw(chance: random.Random, slot: str, values: Sequence[Value], begin: datetime) -> Chain:
    """Draw a chain of three to six spans that begins about `begin`."""
    spans = _spans(chance, values, begin)
    told = [telling for span in spans for telling in _tell(chance, slot, span)]
    told += _ending(chance, slot, spans)
    return Chain(slot, tuple(spans), tuple(sorted(told, key=lambda telling: telling.at)))


# ---- the truth


def _spans(chance: random.Random, values: Sequence[Value], begin: datetime) -> list[Span]:
    count = chance.randint(3, 6)
    forms = _forms(chance, count)
    drawn = _values(chance, values, count)
    spans: list[Span] = []
    at, closed = begin, False
    for value, form in zip(drawn, forms, strict=True):
        start = _start(chance, at, form)
        if spans and not closed:
            spans[-1] = _ended(spans[-1], start)
        length = timedelta(days=chance.randint(*_LENGTH_DAYS))
        spans.append(Span(value, form, start, None))
        at = start.at + length
        closed = form != "past" and len(spans) < count and chance.random() < 0.15
        if closed:
            spans[-1] = _ended(spans[-1], _moment(chance, at))
            at += timedelta(days=chance.randint(*_GAP_DAYS))
    if chance.random() < 0.25:
        spans[-1] = _ended(spans[-1], _moment(chance, at))
    return spans


def _forms(chance: random.Random, count: int) -> list[Form]:
    """The last span is told while it lasts; what follows a past stay begins on a day."""
    forms = [chance.choice(_FORMS) for _ in range(count)]
    for index, form in enumerate(forms):
        last = index == count - 1
        if form == "past" and last:
            forms[index] = "now"
        if index and forms[index - 1] == "past":
            forms[index] = "day"
    return forms


def _values(chance: random.Random, values: Sequence[Value], count: int) -> list[Value]:
    """Neighbours differ; now and then somebody goes back to what was before."""
    drawn: list[Value] = []
    for _ in range(count):
        if len(drawn) >= 2 and chance.random() < 0.3:
            drawn.append(drawn[-2])
        else:
            drawn.append(chance.choice([each for each in values if each not in drawn[-1:]]))
    return drawn


def _start(chance: random.Random, at: datetime, form: Form) -> Edge:
    if form == "now":
        return _moment(chance, at)
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
    if form == "month":
        return Edge((midnight.replace(day=1) + timedelta(days=32)).replace(day=1), MONTH)
    return Edge(midnight, DAY)


def _moment(chance: random.Random, at: datetime) -> Edge:
    spoken = at.replace(hour=chance.randint(7, 22), minute=chance.randint(0, 59))
    return Edge(spoken.replace(second=chance.randint(0, 59), microsecond=0), INSTANT)


def _ended(span: Span, end: Edge) -> Span:
    return Span(span.value, span.form, span.start, end)


# ---- its telling


def _tell(chance: random.Random, slot: str, span: Span) -> Iterator[Telling]:
    start, said = span.start.at, span.value.plain
    match span.form:
        case "now":
            yield _said(slot, said, start)
        case "day":
            at = _spoken(chance, start, 2, 40)
            yield _said(slot, said, at, occurred_at=f"{start:%Y-%m-%d}")
        case "month":
            at = _spoken(chance, start, 35, 60)
            yield _said(slot, said, at, occurred_at=f"{start:%Y-%m}")
        case "plan":
            day = f"{start:%Y-%m-%d}"
            at = _spoken(chance, start, -60, -20)
            yield _said(slot, said, at, temporal_state="future", occurred_at=day)
            yield _said(slot, said, _spoken(chance, start, 1, 30))
        case "past":
            assert span.end is not None
            yield _said(
                slot, said, _spoken(chance, span.end.at, 60, 100), temporal_state="past",
                occurred_at=f"{start:%Y-%m-%d}", ended_at=f"{span.end.at:%Y-%m-%d}",
            )  # fmt: skip
    if span.form != "past" and chance.random() < 0.5:
        yield _said(slot, chance.choice(span.value.spellings), _spoken(chance, start, 62, 80))


def _ending(chance: random.Random, slot: str, spans: Sequence[Span]) -> Iterator[Telling]:
    """Say that it is over where nothing follows at once."""
    followers = [span.start for span in spans[1:]] + [None]
    for span, follower in zip(spans, followers, strict=True):
        if span.end is None or span.end == follower or span.form == "past":
            continue
        if chance.random() < 0.5:
            yield _said(slot, span.value.plain, span.end.at, claim="ends")
        else:
            at = span.end.at + timedelta(days=chance.randint(2, 40))
            ended = span.end.at.isoformat()
            yield _said(slot, span.value.plain, at, claim="ends", ended_at=ended)


def _spoken(chance: random.Random, day: datetime, earliest: int, latest: int) -> datetime:
    at = day + timedelta(days=chance.randint(earliest, latest))
    return _moment(chance, at).at


def _said(slot: str, value: str, at: datetime, **fields: Any) -> Telling:
    label = slot.replace("_", " ")
    claim = fields.get("claim", "holds")
    content = f"{label.capitalize()} is {value}" if claim == "holds" else f"No longer {value}"
    if fields.get("temporal_state") in {"past", "future"}:
        content = f"{label.capitalize()} ({fields['temporal_state']}): {value}"
    known = {"slot": slot, "value": value, "cardinality": "one", "confidence": 0.95}
    return Telling(at, GoldFact(content, {**known, **fields}))
