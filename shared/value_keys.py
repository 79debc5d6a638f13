"""When two spellings of a value say the same.

One function per kind of value; each maps a value as said to a key. Equal keys are one belief, so a
key drops only what never changes the meaning: case, accents of Latin letters, articles, the legal
form of a company, the state behind a well-known city. It never guesses that two words are synonyms.
"""

import re
import tomllib
import unicodedata
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

_UNDECOMPOSED = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "æ": "ae", "œ": "oe"})
_ARTICLES = re.compile(
    r"^(?:(?:a|an|the|my|our|some|le|la|les|un|une|el|los|las|una|der|die|das) )+"
)
_ELISION = re.compile(r"^(?:l|d)['’](?=\w)")
_KEPT_SIGNS = re.compile(r"[^\w+#&% ]+")
_LEGAL_FORM = re.compile(
    r"(?: (?:inc|incorporated|corp|corporation|co|company|llc|llp|lp|ltd|limited|plc|gmbh|ag|kg|se"
    r"|sa|sas|sarl|srl|spa|bv|nv|ab|as|oy|oyj|pty|pte|kk|holdings?|group))+$"
)
_ORDINAL = re.compile(r"\b(\d{1,2})(?:st|nd|rd|th|er)\b")


def key(kind: str, value: str) -> str:
    """The key of a value of that kind; a value without letters or digits is its own key."""
    made = _KINDS.get(kind, text)(value)
    return made or " ".join(value.casefold().split())


def fold(value: str) -> str:
    """Casefolded, the accents of Latin letters removed, whitespace collapsed."""
    letters: list[str] = []
    for char in unicodedata.normalize("NFKD", value.casefold()):
        if unicodedata.combining(char) and letters and letters[-1].isascii():
            continue
        letters.append(char)
    folded = unicodedata.normalize("NFC", "".join(letters)).translate(_UNDECOMPOSED)
    return " ".join(folded.replace("’", "'").split())


def text(value: str) -> str:
    """Folded words without punctuation and leading articles; `+`, `#`, `&` stay (C is not C++)."""
    words = plain(_ELISION.sub("", fold(value)))
    return _ARTICLES.sub("", words) or words


def plain(value: str) -> str:
    """Folded words without punctuation; articles stay, as in Los Angeles."""
    bare = fold(value).replace("'", "")
    return " ".join(_KEPT_SIGNS.sub(" ", bare).replace("_", " ").split())


def name(value: str) -> str:
    """A person's or animal's name, without title; its parts are never dropped."""
    return re.sub(r"^(?:mr|mrs|ms|miss|dr|prof|professor|sir|madam) ", "", plain(value))


def org(value: str) -> str:
    """A company with and without its legal form; a name that is only a legal form stays."""
    words = plain(value.replace(".", "").replace("&", " and ")).removeprefix("the ")
    words = words.removesuffix(" com")
    return _LEGAL_FORM.sub("", words) or words


def place(value: str) -> str:
    """A city without its state or country, unless the name is shared by well-known others."""
    head, *rest = _place_parts(value)
    data = _places()
    head = data["alias"].get(head, head)
    region = data["region"].get(rest[0], rest[0]) if rest else ""
    usual = data["shared_name"].get(head)
    if usual is None or not region or region in usual:
        return str(head)
    return f"{head} {region}"


def _place_parts(value: str) -> list[str]:
    parts = [plain(part.replace(".", "")) for part in value.split(",") if part.strip()]
    return [part.removeprefix("the ") for part in parts] or [""]


def country(value: str) -> str:
    """A country or the adjective of its people."""
    words = text(value.replace(".", ""))
    return str(_places()["country"].get(words, words))


def thing(value: str) -> str:
    """A common noun, singular and plural alike."""
    words = text(value)
    if words.endswith("ies") and len(words) > 4:
        return words[:-3] + "y"
    return words[:-1] if words.endswith("s") and not words.endswith("ss") else words


def activity(value: str) -> str:
    """Something one does: `hiking`, `to hike` and `hike` are one."""
    first, _, rest = text(value).removeprefix("to ").partition(" ")
    return f"{_verb_stem(first)} {rest}".strip()


def language(value: str) -> str:
    """A language under its English name."""
    words = text(value).removesuffix(" language")
    return str(_places()["language"].get(words, words))


def email(value: str) -> str:
    return value.strip().strip("<>").casefold()


def phone(value: str) -> str:
    """The digits, `+` kept and a leading 00 read as one."""
    digits = re.sub(r"[^\d+]", "", value)
    return "+" + digits[2:] if digits.startswith("00") else digits


def year(value: str) -> str:
    found = re.search(r"\b(?:1[89]|20)\d\d\b", value)
    return found[0] if found else text(value)


def date(value: str) -> str:
    """ISO 8601 as far as said: `1990-03-03`, `1990-03`, `03-03`, `1990`; else the folded words."""
    found_year, month, day = _date_parts(value)
    if month and day:
        return f"{found_year}-{month:02}-{day:02}" if found_year else f"{month:02}-{day:02}"
    if found_year and month:
        return f"{found_year}-{month:02}"
    return str(found_year) if found_year else text(value)


def birthday(value: str) -> str:
    """The day in the year: with and without the year it is the same birthday."""
    _, month, day = _date_parts(value)
    return f"{month:02}-{day:02}" if month and day else date(value)


def _date_parts(value: str) -> tuple[int | None, int | None, int | None]:
    """(year, month, day) as far as they are certain; 03/04/1990 is nobody's certain date."""
    words = _ORDINAL.sub(r"\1", fold(value))
    if iso := re.search(r"\b(\d{4})-(\d{1,2})(?:-(\d{1,2}))?\b", words):
        return int(iso[1]), int(iso[2]), int(iso[3]) if iso[3] else None
    if numeric := re.search(r"\b(\d{1,2})[./-](\d{1,2})(?:[./-](\d{4}))?\b", words):
        return _numeric_parts(int(numeric[1]), int(numeric[2]), numeric[3])
    months = _places()["month"]
    month = next((months[word] for word in re.findall(r"[^\W\d]+", words) if word in months), None)
    found_year = re.search(r"\b(?:1[89]|20)\d\d\b", words)
    day = re.search(r"\b(\d{1,2})\b", words)
    return (
        int(found_year[0]) if found_year else None,
        month,
        int(day[1]) if day and month else None,
    )


def _numeric_parts(
    first: int, second: int, year_text: str | None
) -> tuple[int | None, int | None, int | None]:
    found_year = int(year_text) if year_text else None
    if first > 12 >= second:
        return found_year, second, first
    if second > 12 >= first or first == second:
        return found_year, first, second
    return None, None, None


def _verb_stem(word: str) -> str:
    if word.endswith("ing") and len(word) > 5:
        word = word[:-3]
        if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "lsz":
            word = word[:-1]
    elif word.endswith("s") and not word.endswith("ss") and len(word) > 3:
        word = word[:-1]
    return word[:-1] if word.endswith("e") and len(word) > 3 else word


@cache
def _places() -> Mapping[str, Mapping[str, Any]]:
    content = files("shared").joinpath("value_names.toml").read_text(encoding="utf-8")
    return tomllib.loads(content)


_KINDS: Mapping[str, Callable[[str], str]] = {
    "text": text,
    "name": name,
    "org": org,
    "place": place,
    "country": country,
    "thing": thing,
    "activity": activity,
    "language": language,
    "email": email,
    "phone": phone,
    "year": year,
    "date": date,
    "birthday": birthday,
}
