"""Relative times in English, resolved against the moment something was said.

Decides which stretch of a clause is a time ("since 2019", "last May", "three years ago"), what it
bounds (a start, an end, both, a moment, a length, a rhythm) and which date it names, written with
exactly the precision that was said: `2015`, `2015-06` or `2015-06-01`. Other languages are first
rewritten into these phrases by their pattern file. Pure.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

Kind = Literal["at", "since", "until", "between", "lasting", "every"]
_Match = re.Match[str]

_MONTH_NAMES = (
    "january february march april may june july august september october november december".split()
)
_MONTHS = {name: i for i, name in enumerate(_MONTH_NAMES, 1)} | {
    name[:3]: i for i, name in enumerate(_MONTH_NAMES, 1)
}
_MONTHS["sept"] = 9
_DAYS = {
    name: i
    for i, name in enumerate(
        "monday tuesday wednesday thursday friday saturday sunday".split(),
    )
}
_NUMBERS = {
    word: i
    for i, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve".split(),
    )
} | {"a": 1, "an": 1, "fifteen": 15, "twenty": 20, "thirty": 30}
_ABOUT = r"(?:(?:about|around|almost|nearly|over|more than|roughly|some|exactly) )?"
_N = rf"{_ABOUT}(?P<n>\d{{1,2}}|{'|'.join(_NUMBERS)}|a couple(?: of)?|a few|several|many)"
_UNIT = r"(?P<unit>day|week|month|year|decade)s?"
_M = rf"(?P<month>{'|'.join(sorted(_MONTHS, key=len, reverse=True))})\.?"
_Y = r"(?P<year>(?:19|20)\d\d)"
_D = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_W = rf"(?P<weekday>{'|'.join(_DAYS)})"
_SEASON = r"(?P<season>spring|summer|autumn|fall|winter)"
_OPEN_END = {"a couple", "a couple of", "a few", "several", "many"}


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
class _Point:
    """A date with the precision that was said, and how to write it in a sentence."""

    written: str | None
    wording: str


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
        return TimeMention(*span, kind, None, None, match[0].lower())
    if kind == "between":
        start = _resolve(match["from"], today, ahead=ahead)
        end = _resolve(match["to"], today, ahead=ahead)
        if start is None or end is None:
            return None
        words = f"from {start.wording} to {end.wording}"
        return TimeMention(*span, kind, start.written, end.written, words)
    if kind == "lasting":
        length = _resolve(match["length"].strip() + " ago", today, ahead=False)
        begins = length.written if length else None
        return TimeMention(*span, kind, begins, None, match[0].lower())
    point = _resolve(match["point"], today, ahead=ahead if kind == "at" else kind == "until")
    if point is None:
        return None
    if kind == "until":
        return TimeMention(*span, kind, None, point.written, f"until {point.wording}")
    wording = f"since {point.wording}" if kind == "since" else _with_preposition(point)
    return TimeMention(*span, kind, point.written, None, wording)


def _with_preposition(point: _Point) -> str:
    if point.written is None or point.wording[0].isdigit() is False:
        return f"in {point.wording}" if point.written else point.wording
    return f"{'on' if len(point.written) == 10 else 'in'} {point.wording}"


def _resolve(phrase: str, today: date, *, ahead: bool) -> _Point | None:
    plain = " ".join(phrase.lower().replace(",", " ").split())
    for pattern, reader in _READERS:
        if match := pattern.fullmatch(plain):
            return reader(match, today, ahead)
    return None


# --- writing dates ----------------------------------------------------------------------------


def _day(day: date) -> _Point:
    month = _MONTH_NAMES[day.month - 1].title()
    return _Point(day.isoformat(), f"{day.day} {month} {day.year}")


def _month(year: int, month: int) -> _Point:
    return _Point(f"{year}-{month:02}", f"{_MONTH_NAMES[month - 1].title()} {year}")


def _year(year: int, prefix: str = "") -> _Point:
    return _Point(str(year), f"{prefix}{year}")


# --- one reader for each way of naming a time ---------------------------------------------------


def _read_iso(match: _Match, today: date, ahead: bool) -> _Point | None:  # noqa: ARG001
    return _checked_day(int(match["year"]), int(match["m"]), int(match["day"]))


def _read_calendar_day(match: _Match, today: date, ahead: bool) -> _Point | None:
    month, day = _MONTHS[match["month"]], int(match["day"])
    if match["year"]:
        return _checked_day(int(match["year"]), month, day)
    year = today.year
    if ahead and (month, day) < (today.month, today.day):
        year += 1
    if not ahead and (month, day) > (today.month, today.day):
        year -= 1
    return _checked_day(year, month, day)


def _checked_day(year: int, month: int, day: int) -> _Point | None:
    try:
        return _day(date(year, month, day))
    except ValueError:
        return None


def _read_month(match: _Match, today: date, ahead: bool) -> _Point:
    month = _MONTHS[match["month"]]
    if match["year"]:
        return _month(int(match["year"]), month)
    which = match["which"]
    if which == "last":
        return _month(today.year - (month >= today.month), month)
    if which == "next":
        return _month(today.year + (month <= today.month), month)
    if which == "this":
        return _month(today.year, month)
    if ahead:
        return _month(today.year + (month < today.month), month)
    return _month(today.year - (month > today.month), month)


def _read_year(match: _Match, today: date, ahead: bool) -> _Point:  # noqa: ARG001
    return _year(int(match["year"]))


def _read_season(match: _Match, today: date, ahead: bool) -> _Point:
    """A season has no precision of its own: it is written as its year."""
    season = match["season"]
    first = {"spring": 3, "summer": 6, "autumn": 9, "fall": 9, "winter": 12}[season]
    year = int(match["year"]) if match["year"] else today.year
    which = match["which"]
    if not match["year"]:
        if which == "last" and today.month < first + 3:
            year -= 1
        elif which == "next" and today.month >= first:
            year += 1
        elif which not in ("last", "next", "this"):
            year += (today.month >= first + 3) if ahead else -(today.month < first)
    return _year(year, f"{season} ")


def _read_relative_day(match: _Match, today: date, ahead: bool) -> _Point:  # noqa: ARG001
    offsets = {"the day before yesterday": -2, "yesterday": -1, "last night": -1, "tomorrow": 1}
    return _day(today + timedelta(days=offsets.get(match[0], 0)))


def _read_weekday(match: _Match, today: date, ahead: bool) -> _Point:
    away = (_DAYS[match["weekday"]] - today.weekday()) % 7
    which = match["which"]
    if which == "last" or (which not in ("next", "this") and not ahead):
        return _day(today - timedelta(days=7 - away))
    return _day(today + timedelta(days=away or (7 if which == "next" else 0)))


def _read_neighbour(match: _Match, today: date, ahead: bool) -> _Point:  # noqa: ARG001
    step = {"last": -1, "past": -1, "this": 0, "next": 1, "the coming": 1}[match["which"]]
    unit = match["unit"]
    if unit == "year":
        return _year(today.year + step)
    if unit == "month":
        return _months_away(today, step)
    middle = today + timedelta(days=7 * step)
    return _month(middle.year, middle.month)


def _read_away(match: _Match, today: date, ahead: bool) -> _Point | None:  # noqa: ARG001
    """`three years ago`, `in two weeks`; "a few" names no date."""
    if match["n"] in _OPEN_END:
        return _Point(None, match[0])
    count = int(match["n"]) if match["n"].isdigit() else _NUMBERS[match["n"]]
    count *= 1 if match[0].startswith("in ") or match[0].endswith("from now") else -1
    unit = match["unit"]
    if unit in ("year", "decade"):
        return _year(today.year + count * (10 if unit == "decade" else 1))
    if unit == "month":
        return _months_away(today, count)
    if unit == "week":
        there = today + timedelta(weeks=count)
        return _month(there.year, there.month)
    return _day(today + timedelta(days=count))


def _months_away(today: date, months: int) -> _Point:
    index = today.year * 12 + today.month - 1 + months
    return _month(index // 12, index % 12 + 1)


_Reader = Callable[[_Match, date, bool], "_Point | None"]
_WHICH = r"(?:(?P<which>last|next|this|the coming) )?"
_READER_OF: Mapping[str, _Reader] = {
    r"(?P<year>\d{4})-(?P<m>\d{2})-(?P<day>\d{2})": _read_iso,
    rf"(?:the )?{_M} {_D}(?: {_Y})?": _read_calendar_day,
    rf"(?:the )?{_D} (?:of )?{_M}(?: {_Y})?": _read_calendar_day,
    rf"(?:early |late |mid[- ]?)?{_WHICH}{_M}(?: of)?(?: {_Y})?": _read_month,
    rf"(?:early |late |mid[- ]?)?{_Y}": _read_year,
    rf"(?:the )?{_WHICH}{_SEASON}(?: of)?(?: {_Y})?": _read_season,
    r"the day before yesterday|yesterday|last night|tomorrow|today|tonight": _read_relative_day,
    rf"{_WHICH}{_W}": _read_weekday,
    r"(?:the )?(?P<which>last|past|this|next|the coming) (?P<unit>week|weekend|month|year)": (
        _read_neighbour
    ),
    rf"{_N} {_UNIT} (?:ago|back|from now)": _read_away,
    rf"in {_N} {_UNIT}": _read_away,
}
_READERS = [(re.compile(pattern), reader) for pattern, reader in _READER_OF.items()]


def _anonymous(pattern: str) -> str:
    return re.sub(r"\(\?P<\w+>", "(?:", pattern)


_CALENDAR_DAY = _anonymous(
    rf"(?:the )?{_M} {_D}\b(?:,? {_Y})?|(?:the )?{_D} (?:of )?{_M}(?:,? {_Y})?"
    r"|\d{4}-\d{2}-\d{2}",
)
_NAMED = _anonymous(
    rf"(?:(?:early|late|mid)[- ]?)?{_M}(?: of)? {_Y}|(?:early |late |mid[- ]?)?{_Y}"
    rf"|(?:the )?(?:last|next|this) {_SEASON}|(?:the )?{_SEASON}(?: of)? {_Y}"
    rf"|(?:early |late |mid[- ]?)?(?:last|next|this) {_M}|(?:last|next|this|on) {_W}",
)
_BARE = _anonymous(rf"(?:early |late |mid[- ]?)?{_M}|{_W}|(?:the )?{_SEASON}")
_FREE = _anonymous(
    rf"the day before yesterday|yesterday|last night|tomorrow|tonight|today"
    rf"|(?:the )?(?:last|next|this|the coming) (?:weekend|week|month|year)\b"
    rf"|{_N} {_UNIT} (?:ago|back|from now)",
)
_AWAY = _anonymous(rf"in {_N} {_UNIT}")
_ANY = rf"(?:{_CALENDAR_DAY}|{_NAMED}|{_BARE}|{_FREE})"
_RHYTHM = (
    r"(?:every|each) (?:(?:other|single|few|couple of|second|two|three) )?"
    rf"(?:day|morning|evening|night|week|weekend|month|year|spring|summer|autumn|fall|winter"
    rf"|christmas|holiday|{'|'.join(_DAYS)}|{'|'.join(_MONTH_NAMES)})s?"
    rf"|on (?:weekends|weekdays|(?:{'|'.join(_DAYS)})s)|in the (?:mornings|evenings)"
    r"|(?:once|twice|(?:two|three|four|five|\d) times) (?:a|per|each|every) (?:day|week|month|year)"
    r"|daily|weekly|monthly|yearly|annually"
)
_FRAMES: tuple[tuple[Kind, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(rf"(?<![\w-])(?:{pattern})(?![\w-])", re.IGNORECASE))  # type: ignore[misc]
    for kind, pattern in (
        ("between", rf"(?:from|between) (?P<from>{_ANY}) (?:to|until|till|and|-) (?P<to>{_ANY})"),
        ("between", r"(?:from|in)? ?(?P<from>(?:19|20)\d\d) ?[-–] ?(?P<to>(?:19|20)\d\d)"),
        ("since", rf"(?:ever )?(?:since|from) (?P<point>{_ANY})(?: on(?:wards?)?)?"),
        ("until", rf"(?:until|till|til|through) (?P<point>{_ANY})"),
        (
            "lasting",
            rf"for (?:the (?:past|last) )?(?P<length>{_anonymous(_N)} {_anonymous(_UNIT)})",
        ),
        ("every", _RHYTHM),
        ("at", rf"(?:(?:back )?(?:in|on|during|around|by) )(?P<point>{_ANY})"),
        ("at", rf"(?P<point>{_CALENDAR_DAY}|{_FREE}|{_AWAY})"),
        (
            "at",
            rf"(?P<point>{_anonymous(rf'(?:the )?(?:last|next|this) (?:{_SEASON}|{_M}|{_W})')})",
        ),
        ("at", rf"on (?P<point>{_anonymous(_W)})"),
    )
)
