"""What is no fact about the user although a model says so (pure).

Questions, suppositions, others' words, texts handed over, small talk, denials that lost their
"not", and orders to the memory. A fact is dropped only when that is certain: when it rests on a
part of its messages that asserts nothing, and on nothing else. The words are `junk.toml`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from services.extractor.evidence import (
    Evidence,
    Reason,
    patterns,
    stem,
    stems,
    words,
    words_of,
)
from services.extractor.grounding import folded

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
    if saying.claim != "holds" or saying.temporal_state not in {"current", "recurring"}:
        return False
    denied = [each for message in said for each in message.denied]
    content = words_of(saying.content)
    if not denied or not content or saying.subject != "user":
        return False
    if words("denying").search(saying.content):
        return False
    verb = stem(_VERBS.get(content[0], content[0]))
    told = stems(" ".join(content[1:]))
    rests = [each.without("denial") for each in said]
    if not told or any(told & rest.stems for rest in rests):
        return False
    if quote and any(folded(quote) in rest.folded for rest in rests):
        return False
    return any(verb == denied_verb and told <= clause for denied_verb, clause in denied)
