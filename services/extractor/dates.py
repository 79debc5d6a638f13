"""The date a phrase names, seen from the day it was said.

"last May", "three years ago", "March 3rd": each becomes a date written with exactly the precision
that was said (`2015`, `2015-06` or `2015-06-01`; a week is `2026-W18`). "A few years ago" is about
a year (`2023~`), "some weeks ago" about a month (`2026-04~`); of "a few" days or months no date is
known. A weekend is written as its month and a season as its year: neither has a precision of its
own. Pure.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

_Match = re.Match[str]

MONTH_NAMES = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
_MONTHS = {name: i for i, name in enumerate(MONTH_NAMES, 1)} | {
    name[:3]: i for i, name in enumerate(MONTH_NAMES, 1)
}
_MONTHS["sept"] = 9
DAYS = {
    name: i
    for i, name in enumerate(
        ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"],
    )
} | {"mon": 0, "tue": 1, "tues": 1, "wed": 2, "thu": 3, "thur": 3, "thurs": 3, "fri": 4}
_NUMBERS = {
    word: i
    for i, word in enumerate(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
        ],
    )
} | {"a": 1, "an": 1, "fifteen": 15, "twenty": 20, "thirty": 30}
_ABOUT = r"(?:(?:about|around|almost|nearly|over|more than|roughly|some|exactly) )?"
NUMBER = (
    rf"{_ABOUT}(?P<n>\d{{1,2}}|{'|'.join(_NUMBERS)}|a couple(?: of)?|a few|several|many|few|some)"
)
UNIT = r"(?P<unit>day|weekend|week|month|year|decade)s?"
MONTH = rf"(?P<month>{'|'.join(sorted(_MONTHS, key=len, reverse=True))})\.?"
YEAR = r"(?P<year>(?:19|20)\d\d)"
DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
WEEKDAY = rf"(?P<weekday>{'|'.join(DAYS)})"
SEASON = r"(?P<season>spring|summer|autumn|fall|winter)"
_OPEN_END = {"a couple", "a couple of", "a few", "several", "many", "few", "some"}
_A_FEW = {"a couple": 2, "a couple of": 2, "a few": 3, "few": 3, "some": 3}


@dataclass(frozen=True, slots=True)
class Point:
    """A date with the precision that was said, and how to write it in a sentence."""

    written: str | None
    wording: str


def is_vague(written: str) -> bool:
    """Whether it is known only about, or to a week, which no plain date can say."""
    return written.endswith("~") or "-W" in written


def resolve_date(phrase: str, today: date, *, ahead: bool) -> Point | None:
    plain = " ".join(phrase.lower().replace(",", " ").split())
    for pattern, reader in _READERS:
        if match := pattern.fullmatch(plain):
            return reader(match, today, ahead)
    return None


# --- writing dates ----------------------------------------------------------------------------


def _day(day: date) -> Point:
    month = MONTH_NAMES[day.month - 1].title()
    return Point(day.isoformat(), f"{day.day} {month} {day.year}")


def _month(year: int, month: int) -> Point:
    return Point(f"{year}-{month:02}", f"{MONTH_NAMES[month - 1].title()} {year}")


def _year(year: int, prefix: str = "") -> Point:
    return Point(str(year), f"{prefix}{year}")


# --- one reader for each way of naming a time ---------------------------------------------------


def _read_iso(match: _Match, today: date, ahead: bool) -> Point | None:  # noqa: ARG001
    return _checked_day(int(match["year"]), int(match["m"]), int(match["day"]))


def _read_calendar_day(match: _Match, today: date, ahead: bool) -> Point | None:
    month, day = _MONTHS[match["month"]], int(match["day"])
    if match["year"]:
        return _checked_day(int(match["year"]), month, day)
    year = today.year
    if ahead and (month, day) < (today.month, today.day):
        year += 1
    if not ahead and (month, day) > (today.month, today.day):
        year -= 1
    return _checked_day(year, month, day)


def _checked_day(year: int, month: int, day: int) -> Point | None:
    try:
        return _day(date(year, month, day))
    except ValueError:
        return None


def _read_month(match: _Match, today: date, ahead: bool) -> Point:
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


def _read_year(match: _Match, today: date, ahead: bool) -> Point:  # noqa: ARG001
    return _year(int(match["year"]))


def _read_season(match: _Match, today: date, ahead: bool) -> Point:
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


def _read_relative_day(match: _Match, today: date, ahead: bool) -> Point:  # noqa: ARG001
    offsets = {"the day before yesterday": -2, "yesterday": -1, "last night": -1, "tomorrow": 1}
    return _day(today + timedelta(days=offsets.get(match[0], 0)))


def _read_weekday(match: _Match, today: date, ahead: bool) -> Point:
    away = (DAYS[match["weekday"]] - today.weekday()) % 7
    which = match["which"]
    if which == "last" or (which not in ("next", "this") and not ahead):
        return _day(today - timedelta(days=7 - away))
    return _day(today + timedelta(days=away or (7 if which == "next" else 0)))


def _read_neighbour(match: _Match, today: date, ahead: bool) -> Point:  # noqa: ARG001
    step = {"last": -1, "past": -1, "this": 0, "next": 1, "the coming": 1}[match["which"]]
    unit = match["unit"]
    if unit == "year":
        return _year(today.year + step)
    if unit == "month":
        return _months_away(today, step)
    return _weeks_away(today, step) if unit == "week" else _weekend(today, step)


def _read_away(match: _Match, today: date, ahead: bool) -> Point | None:  # noqa: ARG001
    """`three years ago`, `in two weeks`; "a few" of them are about some date, or none."""
    if match["n"] in _OPEN_END:
        side = "before" if match[0].endswith(("ago", "back")) else "after"
        about = _about(match, today) if side == "before" else None
        return Point(
            about, f"{match['n']} {match['unit']}s {side} {_month(today.year, today.month).wording}"
        )
    count = int(match["n"]) if match["n"].isdigit() else _NUMBERS[match["n"]]
    count *= 1 if match[0].startswith("in ") or match[0].endswith("from now") else -1
    unit = match["unit"]
    if unit in ("year", "decade"):
        return _year(today.year + count * (10 if unit == "decade" else 1))
    if unit == "month":
        return _months_away(today, count)
    if unit in ("week", "weekend"):
        return (_weeks_away if unit == "week" else _weekend)(today, count)
    return _day(today + timedelta(days=count))


def _about(match: _Match, today: date) -> str | None:
    """A few years ago is about some year, a few weeks ago about some month."""
    few = _A_FEW.get(match["n"])
    if few and match["unit"] == "year":
        return f"{today.year - few}~"
    if few and match["unit"] == "week":
        there = today - timedelta(weeks=few)
        return f"{there.year}-{there.month:02}~"
    return None


def _weeks_away(today: date, weeks: int) -> Point:
    there = today + timedelta(weeks=weeks)
    year, week, _ = there.isocalendar()
    return Point(f"{year}-W{week:02}", f"the week of {_day(there).wording}")


def _weekend(today: date, weeks: int) -> Point:
    there = today + timedelta(weeks=weeks)
    return _month(there.year, there.month)


def _months_away(today: date, months: int) -> Point:
    index = today.year * 12 + today.month - 1 + months
    return _month(index // 12, index % 12 + 1)


_Reader = Callable[[_Match, date, bool], "Point | None"]
_WHICH = r"(?:(?P<which>last|next|this|the coming) )?"
_READER_OF: Mapping[str, _Reader] = {
    r"(?P<year>\d{4})-(?P<m>\d{2})-(?P<day>\d{2})": _read_iso,
    rf"(?:the )?{MONTH} {DAY}(?: {YEAR})?": _read_calendar_day,
    rf"(?:the )?{DAY} (?:of )?{MONTH}(?: {YEAR})?": _read_calendar_day,
    rf"(?:early |late |mid[- ]?)?{_WHICH}{MONTH}(?: of)?(?: {YEAR})?": _read_month,
    rf"(?:early |late |mid[- ]?)?{YEAR}": _read_year,
    rf"(?:the )?{_WHICH}{SEASON}(?: of)?(?: {YEAR})?": _read_season,
    r"the day before yesterday|yesterday|last night|tomorrow|today|tonight": _read_relative_day,
    rf"{_WHICH}{WEEKDAY}": _read_weekday,
    r"(?:the )?(?P<which>last|past|this|next|the coming) (?P<unit>week|weekend|month|year)": (
        _read_neighbour
    ),
    rf"{NUMBER} {UNIT} (?:ago|back|from now)": _read_away,
    rf"in {NUMBER} {UNIT}": _read_away,
}
_READERS = [(re.compile(pattern), reader) for pattern, reader in _READER_OF.items()]
