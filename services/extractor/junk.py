"""What is no fact about the user although a model says so (pure).

Questions, suppositions, others' words, texts handed over, small talk, denials that lost their
"not", and orders to the memory. A fact is dropped only when that is certain: when it rests on a
part of its messages that asserts nothing, and on nothing else. The words are `junk.toml`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import get_args

from services.extractor.evidence import (
    Denial,
    Evidence,
    Reason,
    patterns,
    stem,
    stems,
    words,
    words_of,
)
from services.extractor.grounding import folded

_NO_MORE = frozenset(map(stem, ("anymore", "more", "either", "longer", "now", "all")))
_VERBS = {"has": "have", "had": "have", "is": "be", "was": "be", "does": "do"}


@dataclass(frozen=True, slots=True)
class Saying:
    """What a fact says, as far as the guards look at it."""

    content: str
    value: str | None
    subject: str
    claim: str
    temporal_state: str


def junk_reason(saying: Saying, quote: str | None, said: Sequence[Evidence]) -> str | None:
    """Why a fact that rests on these messages is none; None where nothing is certain.

    Without a quote the whole messages are its evidence.
    """
    if _orders(saying.content, said):
        return "instruction"
    about_the_talk = words("about_the_talk").search(saying.content)
    if about_the_talk or all(each.is_small_talk for each in said):
        return "small_talk"
    for reason in get_args(Reason):
        if not _speaks_of_it(saying, reason) and _rests_on(saying, quote, reason, said):
            return str(reason)
    return "negation_lost" if _negation_lost(saying, quote, said) else None


def _orders(content: str, said: Sequence[Evidence]) -> bool:
    """Whether a fact is an order to the memory, or a rank that only an order gave."""
    if any(pattern.search(content) for pattern in patterns("orders")):
        return True
    return bool(words("rank").search(content)) and any(each.injects for each in said)


def _speaks_of_it(saying: Saying, reason: Reason) -> bool:
    """Whether the fact itself says that it is a wish, or what another said."""
    if reason == "hypothetical":
        hedged = words("supposed").search(saying.content)
        return bool(hedged) or saying.temporal_state == "future"
    return reason == "quotation" and saying.subject != "user"


def _rests_on(saying: Saying, quote: str | None, reason: Reason, said: Sequence[Evidence]) -> bool:
    """Whether what a fact says stands in parts of this kind, and nothing of it elsewhere."""
    if not any(each.unasserted[reason] for each in said):
        return False
    rests = [each.without(reason) for each in said]
    if quote and any(folded(quote) in rest.folded for rest in rests):
        return False
    told = stems(saying.value or saying.content)
    if any(told & rest.stems for rest in rests):
        return False
    return any(told & each.unasserted_stems[reason] for each in said)


def _negation_lost(saying: Saying, quote: str | None, said: Sequence[Evidence]) -> bool:
    """Whether "I don't live in Paris" became "Lives in Paris"."""
    if saying.claim != "holds" or saying.temporal_state == "future":
        return False
    past = saying.temporal_state == "past"
    denied = [each for one in said for each in one.denied if each.ever or not past]
    if not denied or saying.subject != "user" or words("denying").search(saying.content):
        return False
    rests = [each.without("denial") for each in said]
    if quote and any(folded(quote) in rest.folded for rest in rests):
        return False
    return any(
        _is_denied(verb, told, denied) and not any((told or {verb}) & rest.stems for rest in rests)
        for verb, told in _predicates(saying.content)
    )


def _predicates(content: str) -> Iterator[tuple[str, set[str]]]:
    """The verb a fact begins with, and the stems of the rest; behind an auxiliary the next one."""
    said = words_of(content)
    first = _VERBS.get(said[0], said[0]) if said else ""
    for verb, rest in ((first, said[1:]), *([(said[1], said[2:])] if said[1:] else [])):
        yield stem(verb), stems(" ".join(rest))
        if first != "have":
            return


def _is_denied(verb: str, told: AbstractSet[str], denied: Sequence[Denial]) -> bool:
    """Whether a denial is of this verb and all that is told; for a bare verb, of nothing more."""
    return any(
        verb == each.verb and (told <= each.stems if told else each.stems <= {verb, *_NO_MORE})
        for each in denied
    )
