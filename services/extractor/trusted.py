"""Whose words a fact rests on, and whether it has to wait for review (pure).

A model is told what a whole conversation says and may take an assistant's, a tool's or a document's
words for the user's, or an order for a fact. Its answer is compared with who said what: words that
stand in an order alone are suspicious, and words that the user neither said nor took up are not the
user's. Nothing is dropped here: what is suspicious is kept, and waits.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files

from services.extractor.evidence import Rest, stems
from services.extractor.grounding import folded
from services.extractor.turns import ChatTurn
from shared.facts.statements import SELF
from shared.screening import Hit, hits, suspicions
from shared.screening.plain import readable
from shared.trust import Source, least, source_of, speaks_for_user

_SENTENCE_ENDS = re.compile(r"[.!?…;]+(?=\s|$)|[。！？]|\n")


@dataclass(frozen=True, slots=True)
class Provenance:
    """Whose words a fact has, and why it is held; no reason: it is not."""

    source: Source
    suspicions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Said:
    """What a fact says, as far as it is compared with who said it."""

    content: str
    value: str | None
    subject: str
    quote: str | None
    category: str | None = None

    @property
    def stems(self) -> set[str]:
        return stems(f"{self.content} {self.value or ''}")


class Heard:
    """One turn: who speaks, which of its sentences are suspicious, and what the others say."""

    def __init__(self, text: str, source: Source) -> None:
        self.text = text
        self.source = source

    @cached_property
    def stems(self) -> set[str]:
        return stems(self.text)

    @cached_property
    def sentences(self) -> list[str]:
        return [each for each in _SENTENCE_ENDS.split(readable(self.text)) if each.strip()]

    @cached_property
    def hits(self) -> list[Hit]:
        return hits(self.text, self.source)

    @cached_property
    def suspicious_stems(self) -> set[str]:
        return stems(" ".join(hit.sentence for hit in self.hits))

    @cached_property
    def rest(self) -> Rest:
        """What it says besides its suspicious sentences."""
        plain = readable(self.text)
        for hit in self.hits:
            plain = plain.replace(hit.sentence, " ")
        return Rest(plain)


def provenance(
    said: Said, own: Sequence[Heard], around: Sequence[Heard], said_too: Sequence[Heard] = ()
) -> Provenance:
    """Judge a fact by the turns it rests on, `own`, and those of others beside them, `around`.

    `said_too`: the user's other turns that were shown. A model often names another turn than the
    one that says it, and what the user said anywhere in a conversation is the user's.
    """
    told = said.stems
    words = "\n".join(filter(None, (said.content, said.value, said.subject, said.category)))
    spoken = [*own, *said_too]
    from_whom = _others_words(told, spoken, around)
    source = least([*(each.source for each in own), *(each.source for each in from_whom)])
    reasons: set[str] = set(suspicions(words, source))
    for each in own:
        reasons.update(_rests_on_orders(said, told, each))
    if said.subject == SELF and all(_speaks_to_a_machine(told, each) for each in own):
        reasons.add("no_first_person")
    theirs = said.subject == SELF and not speaks_for_user(source)
    if theirs and not (from_whom and _takes_up(spoken, from_whom)):
        reasons.add("not_the_users_words")
    return Provenance(source, tuple(sorted(reasons)))


def heard_too(turns: Sequence[ChatTurn]) -> list[Heard]:
    """The turns of the user themself among those that were shown."""
    return [
        Heard(turn.content, source)
        for turn in turns
        if speaks_for_user(source := source_of_turn(turn.role))
    ]


def heard_around(turns: Sequence[ChatTurn]) -> list[Heard]:
    """The turns of others as they are compared with; the user's own earlier turns are none."""
    return [
        Heard(turn.content, source)
        for turn in turns
        if not speaks_for_user(source := source_of_turn(turn.role))
    ]


def source_of_turn(role: str) -> Source:
    return "document" if role == "document" else source_of(role, None)


def _others_words(
    told: AbstractSet[str], own: Sequence[Heard], around: Sequence[Heard]
) -> list[Heard]:
    """The turns of others that say twice as much of a fact as the user; none for the user's words.

    Sentences about a person have words of both: of 688 gold points of a HaluMem user 18 share more
    with an assistant's turns than with all of the user's, 7 twice as many.
    """
    mine = {stem for each in own for stem in each.stems}
    missing = told - mine
    saying = [each for each in around if missing & each.stems]
    if not saying or len(missing & {s for each in saying for s in each.stems}) < 2 * len(
        told & mine
    ):
        return []
    most = max(len(missing & each.stems) for each in saying)
    return [each for each in saying if len(missing & each.stems) == most]


def _rests_on_orders(said: Said, told: AbstractSet[str], heard: Heard) -> set[str]:
    """Why the sentences are suspicious that a fact rests on; none where others say it too."""
    if not heard.hits:
        return set()
    in_rest, in_orders = told & heard.rest.stems, told & heard.suspicious_stems
    only_there = in_orders - in_rest
    if only_there:
        rests = len(only_there) >= len(in_rest)
    else:
        quoted = said.quote and folded(said.quote) in heard.rest.folded
        rests = not in_rest and not quoted
    return {hit.suspicion for hit in heard.hits} if rests else set()


def _speaks_to_a_machine(told: AbstractSet[str], heard: Heard) -> bool:
    """Whether nobody speaks of themself where a fact's words stand, but somebody gives orders.

    Short answers ("Two cats.") speak of nobody, and are no orders.
    """
    words = _words()
    saying = [each for each in heard.sentences if told & stems(each)] or heard.sentences
    if any(words["first_person"].search(each) for each in saying):
        return False
    return bool(heard.hits) or any(words["addressed"].search(each) for each in saying)


def _takes_up(own: Sequence[Heard], others: Sequence[Heard]) -> bool:
    """Whether the user makes theirs what was said to them; orders are nobody's to confirm."""
    if any(each.hits for each in others):
        return False
    words = _words()
    spoken = all(each.source == "assistant" for each in others)
    return any(
        (spoken and words["confirms"].search(each.text)) or words["refers"].search(each.text)
        for each in own
    )


@cache
def _words() -> dict[str, re.Pattern[str]]:
    data = tomllib.loads(files("services.extractor").joinpath("trusted.toml").read_text("utf-8"))
    return {
        name: re.compile(pattern, re.IGNORECASE | re.MULTILINE) for name, pattern in data.items()
    }
