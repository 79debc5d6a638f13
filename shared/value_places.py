"""Keys of places: a city with and without its state or country, unless the name is shared."""

import re

from shared.value_names import named, tables
from shared.value_words import plain, text

_BEFORE = re.compile(r"^(?:in|near the city of|city of|the city of|the) (?=\S)")
_CODE_BEHIND = re.compile(r"^(.+?)[ ,]+([A-Z]{2}|D\.?C\.?)$")


def place(value: str) -> str:
    """A city without its state or country, unless the name is shared by well-known others."""
    head, *rest = _parts(value)
    head = named("alias", head)
    if not rest:
        head, rest = _split_words(head)
    regions = [_region(part) for part in rest]
    usual = tables()["shared_name"].get(head)
    if usual is None or not regions or any(region in usual for region in regions):
        return head
    return f"{head} {regions[0]}"


def region(value: str) -> str:
    """A state or province, with its abbreviation read, and without the country behind it."""
    head, *rest = _parts(value)
    for behind in map(_region, rest):  # "Austin, TX" said of a region means the state
        if behind in tables()["region"].values() and behind not in _countries():
            return behind
    return _region(head.removesuffix(" state").removeprefix("state of "))


def country(value: str) -> str:
    """A country or the adjective of its people."""
    words = text(value.replace(".", ""))
    return named("country", re.sub(r" (?:citizen|national|citizenship|passport)$", "", words))


def _countries() -> frozenset[str]:
    return frozenset(tables()["country"].values())


def _parts(value: str) -> list[str]:
    """What stands between commas or in brackets; `Austin TX` has two parts too."""
    stripped = value.strip()
    if (code := _CODE_BEHIND.match(stripped)) and "," not in stripped:
        whole, state = plain(stripped.replace(".", "")), plain(code[2].replace(".", ""))
        if whole not in tables()["alias"] and state in tables()["region"]:
            return [_bare(code[1]), state]
    found = re.split(r"[,;()/|]", stripped)
    return [part for part in map(_bare, found) if part] or [""]


def _bare(part: str) -> str:
    words = plain(part.replace(".", ""))
    return _BEFORE.sub("", words)


def _split_words(words: str) -> tuple[str, list[str]]:
    """`dallas texas` as a city and its state; `new mexico` and `port washington` are whole."""
    table = tables()
    if words in table["region_name"] or words in table["whole_name"]:
        return words, []
    for known in table["region_name"]:
        head = words.removesuffix(f" {known}")
        if head != words and head not in table["never_alone"] and named("alias", head):
            return named("alias", head), [known]
    return words, []


def _region(part: str) -> str:
    return named("region", part)
