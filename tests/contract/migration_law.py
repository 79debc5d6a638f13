"""What a migration may do while the version before it still runs (pure).

Only what is known to add is let through; anything else, and whatever cannot be read, is named. What
a release may *take away* is what a `-- contract:` line says nothing has used since an earlier one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

CONTRACT = re.compile(r"^-- contract: unused since (\d+)\.(\d+)\.(\d+): \S.*$", re.MULTILINE)
Version = tuple[int, int, int]

_TOKEN = re.compile(
    r"""(?P<comment>--[^\n]*|/\*.*?\*/)
      | (?P<text>[eE]?'(?:[^']|'')*' | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$)
      | (?P<name>"(?:[^"]|"")*")
      | (?P<word>[\w.]+)
      | (?P<sign>[^\s\w])""",
    re.VERBOSE | re.DOTALL,
)
_ALWAYS = (
    r"create (extension|schema|type|domain|sequence|table|view|function|text search)\b",
    r"create or replace (view|function)\b",
    r"create index\b",
    r"alter type \S+ add value\b",
    r"alter text search configuration\b",
    r"(insert into|update|select|comment on|grant|set local)\b",
)
"""PostgreSQL itself refuses a view or function whose columns, arguments or result change."""

_ADDS = (
    r"validate constraint\b",
    r"alter (column )?\S+ set (default|statistics|storage)\b",
    r"set \(",
)


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement as words in lower case, texts blanked: `alter table facts add column x text`."""

    words: str

    @property
    def names(self) -> str:
        """The table it is about, if any."""
        found = re.match(
            r"(?:create (?:unique )?(?:table|index)|alter table|create (?:constraint )?trigger)"
            r"(?: if (?:not )?exists)?(?: only)? (.*)",
            self.words,
        )
        if found is None:
            return ""
        said = found[1]
        if re.match(r"create .*(index|trigger)", self.words):
            said = re.sub(r"^.*?\bon (only )?", "", said)
        return said.split()[0].removeprefix("public.")


def contracts(migration: str) -> list[Version]:
    """The versions since which what this migration takes away has not been used."""
    return [(int(a), int(b), int(c)) for a, b, c in CONTRACT.findall(migration)]


def breaks(migration: str) -> list[str]:
    """The statements that the version before may not survive; [] for one that only adds."""
    made = {each.names for each in statements(migration) if each.words.startswith("create table")}
    return [each.words for each in statements(migration) if not _adds(each, made)]


def statements(migration: str) -> Iterator[Statement]:
    """The statements in order."""
    words: list[str] = []
    for token in _TOKEN.finditer(migration):
        if token["comment"]:
            continue
        if token["sign"] == ";" and not _in_a_body(words):
            yield from _whole(words)
            words = []
        else:
            words.append(_plain(token))
    yield from _whole(words)


def _in_a_body(words: list[str]) -> bool:
    """Whether a function's `BEGIN ATOMIC … ; END` has not ended yet."""
    begun = any(pair == ("begin", "atomic") for pair in pairwise(words))
    return begun and words[-2:] != [";", "end"]


def _whole(words: list[str]) -> Iterator[Statement]:
    if words:
        yield Statement(" ".join(words))


def _plain(token: re.Match[str]) -> str:
    if token["text"]:
        return "''"
    if token["name"]:
        return token["name"].strip('"').lower().replace(" ", "_")
    return token[0].lower()


def _adds(statement: Statement, made: set[str]) -> bool:
    """Whether it only adds; to a table that the same migration made anything but a drop does."""
    words = statement.words
    if re.match(r"alter table\b", words):
        return statement.names in made or _changes_add(list(_actions(words)))
    if statement.names in made and not words.startswith("drop"):
        return True
    return any(re.match(pattern, words) for pattern in _ALWAYS)


def _actions(words: str) -> Iterator[str]:
    """What stands between the commas of an ALTER TABLE, those inside brackets not counted."""
    told = re.sub(r"^alter table (if exists )?(only )?\S+ (\* )?", "", words)
    depth, action = 0, ""
    for word in told.split():
        depth += {"(": 1, ")": -1}.get(word, 0)
        if word == "," and depth == 0:
            yield action.strip()
            action = ""
        else:
            action += f" {word}"
    yield action.strip()


def _changes_add(actions: list[str]) -> bool:
    """Whether all of them add; a check may be put anew under its own name, which is how one grows."""
    anew = {
        found[1]
        for action in actions
        if (found := re.match(r"add constraint (\S+) check\b", action)) and _action_adds(action)
    }
    return all(
        _action_adds(action)
        for action in actions
        if not any(action == f"drop constraint {name}" for name in anew)
    )


def _action_adds(action: str) -> bool:
    if re.match(r"add (constraint \S+ )?(check|foreign key)\b", action):
        return action.endswith("not valid")
    if re.match(r"add (constraint|unique|primary|exclude)\b", action):
        return False
    if action.startswith("add "):
        return _column_adds(action)
    return any(re.match(pattern, action) for pattern in _ADDS)


def _column_adds(action: str) -> bool:
    """A column that who does not know it leaves out without being refused."""
    if re.search(r"\b(unique|primary key|references)\b", action):
        return False
    filled = re.search(r"\b(default|generated)\b", action)
    return "not null" not in action or bool(filled)
