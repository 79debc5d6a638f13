"""When something happened, as a model wrote it: a date, or words counting from the message (pure).

What is no date and no time phrase, or of a year that nobody can tell of (0001, 9999), is left out:
a fact is not lost over its date. A date more precise than the words it rests on ("a few years ago")
becomes as vague as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta

from services.extractor.dates import is_vague, resolve_date
from services.extractor.times import TimeMention, find_times
from shared.beliefs.moments import unit_end
from shared.facts.dates import parse_date

_UNKNOWN_PART = re.compile(r"^(\d{4}(?:-(?!00)\d{2})?)(?:-(?:00|[xX?]{2}|[xX?])){1,2}$")
_OTHER_ORDER = re.compile(r"^(\d{4})[/.](\d{1,2})(?:[/.](\d{1,2}))?$")
_SHORT = re.compile(r"^(\d{4})-(\d{1,2})(?:-(\d{1,2}))?$")
_SLACK = {"years": timedelta(days=3 * 366), "month": timedelta(days=31)}  # what "a few" may mean
_LEADING = re.compile(
    r"^(?:(?:ever )?since|from|until|till|by|in|on|at|during|around|about|circa|c\.|~)[- ]+",
    re.IGNORECASE,
)


def resolved(
    written: object, at: datetime, *, ahead: bool, ends: bool = False, quote: str | None = None
) -> str | None:
    """A date as precise as it was written, or None; words count from `at`, when it was said.

    `ahead` reads "in June" as the coming one; `ends` takes the end of a stretch, not its start.
    """
    if isinstance(written, int) and not isinstance(written, bool):
        written = str(written)
    if not isinstance(written, str) or not written.strip():
        return None
    text = _plain(written.strip())
    if _is_date(text):
        return _as_vague(text, find_times(quote or "", at, ahead=ahead))
    named = _from_words(text, at, ahead=ahead, ends=ends)
    return named if named and _is_date(named) else None


def _plain(text: str) -> str:
    """The spellings of a date that differ in nothing but form: 2015/6, 2015-6-1, 2015-06-XX."""
    if known := _UNKNOWN_PART.match(text):
        return known[1]
    if parts := _OTHER_ORDER.match(text) or _SHORT.match(text):
        year, *rest = (part for part in parts.groups() if part)
        return "-".join([year, *(part.zfill(2) for part in rest)])
    return text


def _is_date(text: str) -> bool:
    try:
        parse_date(text)
    except ValueError:
        return False
    return True


def _as_vague(text: str, told: Iterable[TimeMention]) -> str:
    """The date, or what the words say of it when they leave it in the vague."""
    moment, _ = parse_date(text)
    for mention in told:
        for said in filter(None, (mention.begins, mention.ends)):
            since, precision = parse_date(said)
            slack = _SLACK.get(precision, timedelta(0)) if said.endswith("~") else timedelta(0)
            if is_vague(said) and since - slack <= moment < unit_end(since, precision) + slack:
                return said
    return text


def _from_words(text: str, at: datetime, *, ahead: bool, ends: bool) -> str | None:
    try:
        point = resolve_date(_LEADING.sub("", text), at.date(), ahead=ahead)
        if point is not None:
            return point.written
        for mention in find_times(text, at, ahead=ahead):
            written = mention.ends or mention.begins if ends else mention.begins or mention.ends
            if written and mention.kind != "every":
                return written
    except (ValueError, OverflowError):  # "nine thousand years ago"
        return None
    return None
