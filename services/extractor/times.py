"""Relative times in English, resolved against the moment something was said.

Decides which stretch of a clause is a time ("since 2019", "last May", "three years ago"), what it
bounds (a start, an end, both, a moment, a length, a rhythm) and which date it names, written with
exactly the precision that was said: see `dates`. Other languages are first
rewritten into these phrases by their pattern file. Pure.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from services.extractor.dates import (
    DAY,
    DAYS,
    MONTH,
    MONTH_NAMES,
    NUMBER,
    SEASON,
    UNIT,
    WEEKDAY,
    YEAR,
    Point,
    resolve_date,
)

Kind = Literal["at", "since", "until", "between", "lasting", "recent", "every"]
_Match = re.Match[str]


@dataclass(frozen=True, slots=True)
class TimeMention:
    """A time in a clause: where it stands, what it bounds and the dates it names."""

    start: int
    end: int
    kind: Kind
    begins: str | None
    ends: str | None
    wording: str


@dataclass(frozen=True, slots=True)
class Timing:
    """A statement as said, without its times, with its times written out, and the times."""

    original: str
    text: str
    dated: str
    mentions: tuple[TimeMention, ...]
    at: datetime

    def first(self, *kinds: Kind) -> TimeMention | None:
        """The first time of one of these kinds."""
        return next((each for each in self.mentions if each.kind in kinds), None)


def time_statement(text: str, at: datetime, *, ahead: bool) -> Timing:
    """The statement with its times cut out, and with its times written out."""
    mentions = find_times(text, at, ahead=ahead)
    bare, dated, position = "", "", 0
    for mention in mentions:
        bare += text[position : mention.start] + " "
        dated += text[position : mention.start] + mention.wording
        position = mention.end
    rest = text[position:]
    return Timing(text, _tidy(bare + rest), _tidy(dated + rest), tuple(mentions), at)


def _tidy(words: str) -> str:
    return re.sub(r"\s+([,.!?])", r"\1", " ".join(words.split())).strip(" ,;:.-–—!")


def find_times(clause: str, at: datetime, *, ahead: bool = False) -> list[TimeMention]:
    """The times of a clause from left to right, none overlapping; `ahead` reads "in June" as next.

    `at` is the moment of saying; its own calendar day counts, in its own zone.
    """
    found: list[TimeMention] = []
    taken = 0
    for match, kind in _scan(clause):
        if match.start() < taken:
            continue
        mention = _mention(match, kind, at.date(), ahead=ahead)
        if mention is not None:
            found.append(mention)
            taken = match.end()
    return found


def _scan(clause: str) -> Iterator[tuple[_Match, Kind]]:
    hits = [(match, kind) for kind, pattern in _FRAMES for match in pattern.finditer(clause)]
    return iter(sorted(hits, key=lambda hit: (hit[0].start(), -hit[0].end())))


def _mention(match: _Match, kind: Kind, today: date, *, ahead: bool) -> TimeMention | None:
    span = match.start(), match.end()
    if kind == "every":
        return TimeMention(*span, kind, None, None, match[0][:1].lower() + match[0][1:])
    if kind == "between":
        start = resolve_date(match["from"], today, ahead=ahead)
        end = resolve_date(match["to"], today, ahead=ahead)
        if start is None or end is None:
            return None
        words = f"from {start.wording} to {end.wording}"
        return TimeMention(*span, kind, start.written, end.written, words)
    if kind == "recent":
        unit = match["length"].strip().removesuffix("s")
        several = re.match(r"\S+$", unit) is not None
        point = resolve_date(f"{'a few ' if several else ''}{unit}s ago", today, ahead=False)
        month = f"{MONTH_NAMES[today.month - 1].title()} {today.year}"
        begins = point.written if point else None
        return TimeMention(*span, "at", begins, None, f"in the {unit}s before {month}")
    if kind == "lasting":
        length = resolve_date(match["length"].strip() + " ago", today, ahead=False)
        begins = length.written if length else None
        return TimeMention(*span, kind, begins, None, match[0].lower())
    point = resolve_date(match["point"], today, ahead=ahead if kind == "at" else kind == "until")
    if point is None:
        return None
    if kind == "until":
        return TimeMention(*span, kind, None, point.written, f"until {point.wording}")
    wording = f"since {point.wording}" if kind == "since" else _with_preposition(point)
    return TimeMention(*span, kind, point.written, None, wording)


def _with_preposition(point: Point) -> str:
    if point.written and point.written.endswith("~"):
        return point.wording
    if point.written is None or point.wording[0].isdigit() is False:
        return f"in {point.wording}" if point.written else point.wording
    return f"{'on' if len(point.written) == 10 else 'in'} {point.wording}"


def _anonymous(pattern: str) -> str:
    return re.sub(r"\(\?P<\w+>", "(?:", pattern)


_CALENDAR_DAY = _anonymous(
    rf"(?:the )?{MONTH} {DAY}\b(?:,? {YEAR})?|(?:the )?{DAY} (?:of )?{MONTH}(?:,? {YEAR})?"
    r"|\d{4}-\d{2}-\d{2}",
)
_NAMED = _anonymous(
    rf"(?:(?:early|late|mid)[- ]?)?{MONTH}(?: of)? {YEAR}|(?:early |late |mid[- ]?)?{YEAR}"
    rf"|(?:the )?(?:last|next|this) {SEASON}|(?:the )?{SEASON}(?: of)? {YEAR}"
    rf"|(?:early |late |mid[- ]?)?(?:last|next|this) {MONTH}|(?:last|next|this|on) {WEEKDAY}",
)
_BARE = _anonymous(rf"(?:early |late |mid[- ]?)?{MONTH}|{WEEKDAY}|(?:the )?{SEASON}")
_FREE = _anonymous(
    rf"the day before yesterday|yesterday|last night|tomorrow|tonight|today"
    rf"|(?:the )?(?:last|next|this|the coming) (?:weekend|week|month|year)\b"
    rf"|{NUMBER} {UNIT} (?:ago|back|from now)",
)
_SEVERAL = _anonymous(rf"(?:{NUMBER} )?(?:days|weeks|months|years)")
_AWAY = _anonymous(rf"in {NUMBER} {UNIT}")
_NEIGHBOUR = _anonymous(rf"(?:the )?(?:last|next|this) (?:{SEASON}|{MONTH}|{WEEKDAY})")
_ANY = rf"(?:{_CALENDAR_DAY}|{_NAMED}|{_BARE}|{_FREE})"
_RHYTHM = (
    r"(?:every|each) (?:(?:other|single|few|couple of|second|two|three) )?"
    rf"(?:day|morning|evening|night|week|weekend|month|year|spring|summer|autumn|fall|winter"
    rf"|christmas|holiday|{'|'.join(DAYS)}|{'|'.join(MONTH_NAMES)})s?"
    rf"|on (?:weekends|weekdays|(?:{'|'.join(DAYS)})s)|in the (?:mornings|evenings)"
    r"|(?:once|twice|(?:two|three|four|five|\d) times) (?:a|per|each|every) (?:day|week|month|year)"
    r"|daily|weekly|monthly|yearly|annually"
)
_FRAMES: tuple[tuple[Kind, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(rf"(?<![\w-])(?:{pattern})(?![\w-]|['’]s\b)", re.IGNORECASE))  # type: ignore[misc]
    for kind, pattern in (
        ("between", rf"(?:from|between) (?P<from>{_ANY}) (?:to|until|till|and|-) (?P<to>{_ANY})"),
        ("between", r"(?:from|in)? ?(?P<from>(?:19|20)\d\d) ?[-–] ?(?P<to>(?:19|20)\d\d)"),
        ("since", rf"(?:ever )?(?:since|from) (?P<point>{_ANY})(?: on(?:wards?)?)?"),
        ("until", rf"(?:until|till|til|through) (?P<point>{_ANY})"),
        (
            "lasting",
            rf"for (?:the (?:past|last) )?(?P<length>{_anonymous(NUMBER)} {_anonymous(UNIT)})",
        ),
        ("recent", rf"(?:in|over|during|within) the (?:last|past) (?P<length>{_SEVERAL})"),
        ("every", _RHYTHM),
        ("at", rf"(?:(?:back )?(?:in|on|during|around|by) )(?P<point>{_ANY})"),
        ("at", rf"(?P<point>{_CALENDAR_DAY}|{_FREE}|{_AWAY})"),
        ("at", rf"(?P<point>{_NEIGHBOUR})"),
        ("at", rf"on (?P<point>{_anonymous(WEEKDAY)})"),
    )
)
