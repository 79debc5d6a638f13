"""When something happened, as a model wrote it: a date, or words counting from the message (pure).

What is no date and no time phrase is left out; a fact is not lost over its date.
"""

from __future__ import annotations

import re
from datetime import datetime

from services.extractor.dates import resolve_date
from services.extractor.times import find_times
from shared.facts.dates import parse_date

_UNKNOWN_PART = re.compile(r"^(\d{4}(?:-(?!00)\d{2})?)(?:-(?:00|[xX?]{2}|[xX?])){1,2}$")
_OTHER_ORDER = re.compile(r"^(\d{4})[/.](\d{1,2})(?:[/.](\d{1,2}))?$")
_SHORT = re.compile(r"^(\d{4})-(\d{1,2})(?:-(\d{1,2}))?$")
_LEADING = re.compile(
    r"^(?:(?:ever )?since|from|until|till|by|in|on|at|during|around|about|circa|c\.|~)[- ]+",
    re.IGNORECASE,
)


def resolved(written: object, at: datetime, *, ahead: bool, ends: bool = False) -> str | None:
    """A date as precise as it was written, or None; words count from `at`, when it was said.

    `ahead` reads "in June" as the coming one; `ends` takes the end of a stretch, not its start.
    """
    if isinstance(written, int) and not isinstance(written, bool):
        written = str(written)
    if not isinstance(written, str) or not written.strip():
        return None
    text = _plain(written.strip())
    if _is_date(text):
        return text
    return _from_words(text, at, ahead=ahead, ends=ends)


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
