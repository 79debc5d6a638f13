"""Another's words that stand in no quotation marks (pure).

"My boss goes, I hate Mondays" says nothing of the user. A word of speech is found first, since most
messages have none; then whether somebody else speaks, and whether what follows speaks of them. What
is told of the user ("my doctor says I'm diabetic", "she told me that I snore") stays the user's.
The words are the `reported` table of `junk.toml`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

_BEFORE = 80  # characters in which the one who speaks is named
_SHARED = re.compile(r"(?:my|we)\b", re.IGNORECASE)


def reported_spans(text: str) -> Iterator[tuple[int, int]]:
    """Where another's words begin and end."""
    words = _words()
    for said in words["said"].finditer(text):
        before = text[max(0, said.start() - _BEFORE) : said.start()]
        shared = said["mark"] is None and _SHARED.match(text, said.end())
        if not shared and _is_anothers(said, before, words):
            rest = words["ends_marked" if ":" in (said["mark"] or "") else "ends"]
            ends = rest.search(text, said.end())
            yield said.end(), ends.start() if ends else len(text)
    for name in ("recited", "quoting"):
        for recited in words[name].finditer(text):
            yield recited.span("scope")


def _is_anothers(said: re.Match[str], before: str, words: dict[str, re.Pattern[str]]) -> bool:
    """Whether somebody else speaks, and of themselves."""
    speaker = words["speaker"].search(before)
    if speaker is None or words["own"].search(before):
        return False
    if said["asked"] or words["recital"].search(speaker[0]):
        return True
    if said["mark"] or said["direct"]:
        return not words["agreed"].search(before[: speaker.start()])
    return not words["knows"].search(speaker[0])


@cache
def _words() -> dict[str, re.Pattern[str]]:
    data = tomllib.loads(files("services.extractor").joinpath("junk.toml").read_text("utf-8"))
    return {
        name: re.compile(pattern, re.IGNORECASE | re.MULTILINE | re.DOTALL)
        for name, pattern in data["reported"].items()
    }
