"""Keys of dates in any spelling, and what an age says about a birth."""

import datetime as dt
import re

from shared.value_names import tables
from shared.value_words import fold, text

_ORDINAL = re.compile(r"\b(\d{1,2})(?:st|nd|rd|th|er|\.)(?= |$)")
_YEAR = re.compile(r"(?<!\d)(?:1[89]|20)\d\d(?!\d)")
_ISO = re.compile(r"(?<!\d)(\d{4})[-/.](\d{1,2})(?:[-/.](\d{1,2}))?(?!\d)")
_NUMERIC = re.compile(r"(?<!\d)(\d{1,2})[./-](\d{1,2})(?:[./-](\d{4}|\d{2}))?(?!\d)")
_MONTH_YEAR = re.compile(r"(?<![\d./-])(\d{1,2})[./-](\d{4})(?!\d)")
_AGE = re.compile(
    r"^(?:(?:i ?am|im|age|aged|turned|just turned|is|about|around)\s+)*(\d{1,3})"
    r"(?:\s*[- ]?(?:years?|yrs?|y/?o|yo)(?:[- ]old| of age)?)?$"
)
_EITHER_YEAR = re.compile(r"(?<!\d)((?:1[89]|20)\d\d)\s*(?:/|-|–|or)\s*((?:1[89]|20)\d\d)(?!\d)")
_OLDEST = 130

Parts = tuple[int | None, int | None, int | None]
"""Year, month and day, as far as they are certain."""


def year(value: str) -> str:
    """A year; `1991 or 1992` is both."""
    if either := _EITHER_YEAR.search(fold(value)):
        return f"{either[1]}/{either[2]}"
    found = _YEAR.search(value)
    return found[0] if found else text(value)


def date(value: str) -> str:
    """ISO 8601 as far as said: `1990-03-03`, `1990-03`, `03-03`, `1990`; else the folded words."""
    found_year, month, day = _parts(value)
    if month and day:
        return f"{found_year}-{month:02}-{day:02}" if found_year else f"{month:02}-{day:02}"
    if found_year and month:
        return f"{found_year}-{month:02}"
    return str(found_year) if found_year else text(value)


def birthday(value: str) -> str:
    """The day in the year: with and without the year it is the same birthday."""
    _, month, day = _parts(value)
    return f"{month:02}-{day:02}" if month and day else date(value)


def age(value: str) -> str:
    """A number of years, in digits or words; `mid thirties` keeps its words."""
    years = read_age(value)
    return text(value) if years is None else str(years)


def read_age(value: str) -> int | None:
    """Read `34`, `34 years old`, `thirty-four`; None for what is no exact age."""
    words = fold(value).strip(" .!").replace("'", "")
    if match := _AGE.match(words):
        years = int(match[1])
        return years if years <= _OLDEST else None
    numbers = tables()["number"]
    spelled = re.sub(r" (?:years?|yrs?)(?: old| of age)?$", "", words).replace("-", " ").split()
    if 1 <= len(spelled) <= 2 and all(word in numbers for word in spelled):
        tens = [int(numbers[word]) for word in spelled]
        if len(tens) == 1 or (tens[0] >= 20 and tens[0] % 10 == 0 and 0 < tens[1] < 10):
            return sum(tens)
    return None


def born_within(years: int, said_at: dt.datetime) -> tuple[dt.date, dt.date]:
    """The first and last day on which somebody of this age at that time can be born.

    "I'm 34", said on 4 May 2026: from 5 May 1991 to 4 May 1992.
    """
    on = said_at.date()
    last = _years_before(on, years)
    first = dt.date.fromordinal(_years_before(on, years + 1).toordinal() + 1)
    return first, last


def _years_before(on: dt.date, years: int) -> dt.date:
    earlier = max(on.year - years, 1)
    try:
        return on.replace(year=earlier)
    except ValueError:  # 29 February
        return on.replace(year=earlier, day=28)


def birth_stretch(value: str, said_at: dt.datetime) -> tuple[dt.date, dt.date] | None:
    """The days on which a birth can lie, from a birth date, one or two years, or an age."""
    found_year, month, day = _parts(value)
    if found_year and month and day:
        on = dt.date(found_year, month, day)
        return on, on
    years = [int(each) for each in re.findall(r"\d{4}", year(value))]
    if years and _YEAR.search(value):
        return dt.date(min(years), 1, 1), dt.date(max(years), 12, 31)
    told = read_age(value)
    return born_within(told, said_at) if told is not None else None


def _parts(value: str) -> Parts:
    """Year, month, day as far as they are certain; 03/04/1990 is nobody's certain date."""
    words = _ORDINAL.sub(r"\1", fold(value))
    if iso := _ISO.search(words):
        return _checked(int(iso[1]), int(iso[2]), int(iso[3]) if iso[3] else None)
    if month_year := _MONTH_YEAR.search(words):
        return _checked(int(month_year[2]), int(month_year[1]), None)
    if numeric := _NUMERIC.search(words):
        return _numeric_parts(int(numeric[1]), int(numeric[2]), numeric[3])
    return _worded_parts(words)


def _worded_parts(words: str) -> Parts:
    months = tables()["month"]
    month = next((months[word] for word in re.findall(r"[^\W\d]+", words) if word in months), None)
    found_year = _YEAR.search(words)
    day = re.search(r"(?<!\d)(\d{1,2})(?!\d)", words)
    if day and not month:
        return None, None, None  # numbers that nothing tells apart
    return _checked(
        int(found_year[0]) if found_year else None,
        month,
        int(day[1]) if day and month else None,
    )


def _numeric_parts(first: int, second: int, year_text: str | None) -> Parts:
    if year_text and len(year_text) == 2:
        return None, None, None
    found_year = int(year_text) if year_text else None
    if first > 12 >= second:
        return _checked(found_year, second, first)
    if second > 12 >= first or first == second:
        return _checked(found_year, first, second)
    return None, None, None


def _checked(found_year: int | None, month: int | None, day: int | None) -> Parts:
    """No 45th and no 13th month; such numbers mean something else."""
    try:
        dt.date(found_year or 2000, month or 1, day or 1)
    except ValueError:
        return None, None, None
    return found_year, month, day
