"""What of a message may be looked at: the user's own words, without echoes and secrets (pure).

Applications paste what was recalled into the prompt of the next turn. Read as the user's words it
would become its own evidence, for ever. The headings, tags and instructions that mark such text are
`echoes.toml`. Under them a list is recalled; other text that speaks in the first person stays.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any, Literal

from shared.redaction import redact

_ITEM = re.compile(r"[ \t]*(?:[-*•–]|\(?\d{1,3}[.)]|\[[^\]\n]{1,40}\])[ \t]*\S")
_FIRST_PERSON = re.compile(
    r"\b(?:I|I'm|I've|my|mine|me|we|our|je|j'|mon|ma|yo|mi|ich|mein\w*)\b", re.IGNORECASE
)
_Under = Literal["nothing", "heading", "list", "paragraph"]
_MARKS = r"[ \t]*(?:[#>*_=\[-]+[ \t]*)?"


def shown(role: str, content: str) -> str:
    """What an extractor is shown of a turn; empty where nothing of it is the speaker's own."""
    return redact(own_words(content) if role == "user" else content)


def own_words(content: str) -> str:
    """A user's turn without what was recalled into it and without instructions to an assistant."""
    without_blocks = _without_tagged(content) if _TAG.search(content) else content
    if not (_HEADING.search(without_blocks) or _INSTRUCTION.search(without_blocks)):
        return content if without_blocks == content else without_blocks.strip()
    return "\n".join(_own_lines(without_blocks.split("\n"))).strip()


def _without_tagged(content: str) -> str:
    """Each block between such tags is gone; a tag that is not closed is only text."""
    small, own, position, closed = content.lower(), [], 0, set(_TAG_NAMES)
    while tag := _TAG.search(content, position):
        name = tag[1].lower()
        end = small.find(f"</{name}>", tag.end()) if name in closed else -1
        if end < 0:
            closed.discard(name)
            own.append(content[position : tag.end()])
            position = tag.end()
        else:
            own += [content[position : tag.start()], "\n"]
            position = end + len(name) + 3
    return "".join([*own, content[position:]])


def _own_lines(lines: list[str]) -> Iterator[str]:
    """The lines that stand under no heading; a heading reaches to the end of its list."""
    under: _Under = "nothing"
    for line in lines:
        if heading := _HEADING.match(line):
            rest = (heading["rest"] or "").strip()
            under = "nothing" if rest else "heading"
        elif _INSTRUCTION.match(line):
            under, rest = "paragraph", line
        else:
            under, own = _read(under, line)
            rest = line if own else ""
            if own and not line.strip():
                yield line
        if _FIRST_PERSON.search(rest) or (rest is line and under == "nothing"):
            yield rest


def _read(under: _Under, line: str) -> tuple[_Under, bool]:
    """What the next line stands under, and whether this one is the speaker's own."""
    item, blank = bool(_ITEM.match(line)), not line.strip()
    match under:
        case "heading" if blank:
            return "heading", False
        case "heading" | "list" if item:
            return "list", False
        case "list" if line.startswith(("  ", "\t")) and not blank:
            return "list", False
        case "heading" | "paragraph" if not blank:
            return "paragraph", bool(_FIRST_PERSON.search(line))
    return "nothing", True


def _compiled(data: Mapping[str, Any]) -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    tags = "|".join(sorted(data["tags"], key=len, reverse=True))
    return (
        re.compile(rf"<({tags})(?:\s[^<>\n]{{0,200}})?>", re.IGNORECASE),
        re.compile(
            rf"^{_MARKS}(?:{'|'.join(data['headings'])})"
            r"[ \t]*[*_\]]*[ \t]*(?::[*_]*(?P<rest>.*)|$)",
            re.MULTILINE | re.IGNORECASE,
        ),
        re.compile(rf"^{_MARKS}(?:{'|'.join(data['instructions'])})", re.MULTILINE | re.IGNORECASE),
    )


_DATA = tomllib.loads(files("services.extractor").joinpath("echoes.toml").read_text("utf-8"))
_TAG_NAMES = frozenset(_DATA["tags"])
_TAG, _HEADING, _INSTRUCTION = _compiled(_DATA)
