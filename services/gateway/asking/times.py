"""The stretch of time a question names: "last summer", "in 2024", "il y a deux ans" (pure).

Every stretch is of whole days, in the zone of `now`. A season is the one of the northern year: its
three months. Words of four languages are read side by side, as a user who mixes them would write.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cache
from typing import Any

from services.gateway.asking.hints import Window
from services.gateway.asking.words import data, row

_Match = re.Match[str]
_Span = tuple[date | None, date | None]
_Reader = Callable[[_Match, date], _Span | None]


@dataclass(frozen=True, slots=True)
class Named:
    """A stretch; `explicit` when its words leave no doubt which one is meant."""

    window: Window
    explicit: bool


def time_named(words: tuple[str, ...], now: datetime) -> Named | None:
    """The first stretch that the words name, widest reading first; None when they name none."""
    if not any(word.isdigit() or word in _telling_words() for word in words):
        return None
    text = row(words)
    for pattern, reader, explicit in _readers():
        if (match := pattern.search(text)) and (span := _read(reader, match, now.date())):
            since, until = _bounded(span, match["bound"])
            said = match[0].strip()
            return Named(Window(_start(since, now), _start(until, now), said), explicit)
    return None


def _read(reader: _Reader, match: _Match, today: date) -> _Span | None:
    """The stretch; None where there is no such day, or the calendar ends before it."""
    try:
        return reader(match, today)
    except (ValueError, OverflowError):
        return None


def _bounded(span: _Span, bound: str | None) -> _Span:
    if bound is None:
        return span
    return (span[0], None) if bound in data()["times"]["since"] else (None, span[0])


def _start(day: date | None, now: datetime) -> datetime | None:
    return None if day is None else datetime.combine(day, time(), now.tzinfo)


# --- one reader for each way of naming a time -----------------------------------------------------


def _day(match: _Match, today: date) -> _Span:
    del today
    return _days(date(int(match["year"]), _month_of(match), int(match["day"])), 1)


def _iso_day(match: _Match, today: date) -> _Span:
    del today
    return _days(date(int(match["year"]), int(match["m"]), int(match["day"])), 1)


def _month(match: _Match, today: date) -> _Span:
    """A month of a year; without a year the last one that has begun."""
    month = _month_of(match)
    year = int(match["year"]) if "year" in match.re.groupindex else today.year
    if "year" not in match.re.groupindex and month > today.month:
        year -= 1
    return _months(year, month, 1)


def _last_month(match: _Match, today: date) -> _Span:
    month = _month_of(match)
    return _months(today.year - (month >= today.month), month, 1)


def _years(match: _Match, today: date) -> _Span:
    del today
    first, last = sorted((int(match["year"]), int(match["last"])))
    return date(first, 1, 1), date(last + 1, 1, 1)


def _year(match: _Match, today: date) -> _Span:
    del today
    return _months(int(match["year"]), 1, 12)


def _season(match: _Match, today: date) -> _Span:
    """A season of a year; without one the last that has begun, "last" the last that is over."""
    first = _SEASONS[_meaning("seasons", match["season"])]
    if "year" in match.re.groupindex:
        return _months(int(match["year"]), first, 3)
    last = "last" in match.re.groupindex
    year = today.year
    while True:
        since, until = _months(year, first, 3)
        if until <= today if last else since <= today:
            return since, until
        year -= 1


def _last_unit(match: _Match, today: date) -> _Span:
    return _unit(_meaning("units", match["unit"]), today, -1)


def _this_unit(match: _Match, today: date) -> _Span:
    return _unit(_meaning("units", match["unit"]), today, 0)


def _ago(match: _Match, today: date) -> _Span:
    return _unit(_meaning("units", match["unit"]), today, -_number(match["n"]))


def _last_units(match: _Match, today: date) -> _Span:
    since, _ = _unit(_meaning("units", match["unit"]), today, -_number(match["n"]))
    return since, today + timedelta(days=1)


def _weekday(match: _Match, today: date) -> _Span:
    days: list[list[str]] = data()["times"]["weekdays"]
    wanted = next(i for i, names in enumerate(days) if match["weekday"] in names)
    return _days(today - timedelta(days=(today.weekday() - wanted) % 7 or 7), 1)


def _days_back(first: int, last: int) -> _Reader:
    def read(match: _Match, today: date) -> _Span:
        del match
        return today - timedelta(days=first), today - timedelta(days=last) + timedelta(days=1)

    return read


_SEASONS = {"spring": 3, "summer": 6, "autumn": 9, "winter": 12}


def _days(first: date, count: int) -> tuple[date, date]:
    return first, first + timedelta(days=count)


def _months(year: int, month: int, count: int) -> tuple[date, date]:
    after = year * 12 + month - 1 + count
    return date(year, month, 1), date(after // 12, after % 12 + 1, 1)


def _unit(unit: str, today: date, step: int) -> tuple[date, date]:
    if unit == "year":
        return _months(today.year + step, 1, 12)
    if unit == "month":
        index = today.year * 12 + today.month - 1 + step
        return _months(index // 12, index % 12 + 1, 1)
    if unit == "week":
        return _days(today - timedelta(days=today.weekday() - 7 * step), 7)
    return _days(today + timedelta(days=step), 1)


def _month_of(match: _Match) -> int:
    months: list[list[str]] = data()["times"]["months"]
    return next(i for i, names in enumerate(months, 1) if match["month"] in names)


def _number(written: str) -> int:
    return int(written) if written.isdigit() else int(_meaning("numbers", written))


def _meaning(of: str, word: str) -> str:
    groups: Mapping[str, list[str]] = data()["times"][of]
    return next(name for name, words in groups.items() if word in words)


@cache
def _telling_words() -> frozenset[str]:
    """Words of which every time that can be named has one; most questions have none."""
    times: Mapping[str, Any] = data()["times"]
    groups = [*times["months"], *times["weekdays"], *times["seasons"].values()]
    groups += [*times["units"].values(), times["today"], times["yesterday"]]
    groups += [times["before_yesterday"], times["recently"]]
    return frozenset(word for group in groups for name in group for word in name.split())


# --- patterns -------------------------------------------------------------------------------------


@cache
def _readers() -> tuple[tuple[re.Pattern[str], _Reader, bool], ...]:
    """Each way of naming a time, the most precise first."""
    words = _words(data()["times"])
    return tuple((_compiled(shape, words), reader, explicit) for shape, reader, explicit in _SHAPES)


def _words(times: Mapping[str, Any]) -> dict[str, str]:
    lists = {name: some for name, some in times.items() if isinstance(some, list)}
    flat = {name: _any(some) for name, some in lists.items() if isinstance(some[0], str)}
    return flat | {
        "month": f"(?P<month>{_any(name for names in times['months'] for name in names)})",
        "weekday": f"(?P<weekday>{_any(day for days in times['weekdays'] for day in days)})",
        "season": f"(?P<season>{_any(one for some in times['seasons'].values() for one in some)})",
        "unit": f"(?P<unit>{_any(one for some in times['units'].values() for one in some)})",
        "n": rf"(?P<n>\d{{1,2}}|{_any(one for some in times['numbers'].values() for one in some)})",
        "year": r"(?P<year>(?:19|20)\d\d)",
        "day": r"(?P<day>\d{1,2})(?:st|nd|rd|th|er)?",
    }


def _any(words: Iterable[str]) -> str:
    return "(?:" + "|".join(sorted(words, key=len, reverse=True)) + ")"


def _compiled(shape: str, words: Mapping[str, str]) -> re.Pattern[str]:
    for name, pattern in words.items():
        shape = shape.replace(f"{{{name}}}", pattern)
    bound = f"(?:(?P<bound>{words['since']}|{words['before']}) )?"
    return re.compile(f"(?<= ){bound}{shape}(?= )")


_SHAPES: tuple[tuple[str, _Reader, bool], ...] = (
    (r"{year} (?P<m>\d\d) (?P<day>\d\d)", _iso_day, True),
    (r"{day} (?:of |de )?{month} (?:de |del )?{year}", _day, True),
    (r"{month} {day} {year}", _day, True),
    (r"{month} (?:of |de |del )?{year}", _month, True),
    (r"{season} (?:of |de |del )?{year}", _season, True),
    (r"{year} (?:and|to|until|et|a|y|und|bis) (?P<last>(?:19|20)\d\d)", _years, True),
    (r"{year}", _year, True),
    (r"{before_yesterday}", _days_back(2, 2), True),
    (r"{yesterday}", _days_back(1, 1), True),
    (r"{ago_before} {n} {unit}", _ago, True),
    (r"{n} {unit} {ago_after}", _ago, True),
    (r"{several_last} {n} {unit}", _last_units, False),
    (r"{n} {several_last} {unit}", _last_units, False),
    (r"(?P<last>{last_before}) {season}", _season, True),
    (r"{season} (?P<last>{last_after})", _season, True),
    (r"{last_before} {month}", _last_month, True),
    (r"{month} {last_after}", _last_month, True),
    (r"{last_before} {weekday}", _weekday, True),
    (r"{weekday} {last_after}", _weekday, True),
    (r"{last_before} {unit}", _last_unit, True),
    (r"{unit} {last_after}", _last_unit, True),
    (r"{this} {season}", _season, True),
    (r"{this} {unit}", _this_unit, False),
    (r"{within} (?:the |dem |la |le |l )?{month}", _month, True),
    (r"{within} (?:the |dem |la |le |l )?{season}", _season, False),
    (r"{today}", _days_back(0, 0), False),
    (r"{recently}", _days_back(30, 0), False),
)
