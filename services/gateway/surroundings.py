"""What surrounds a hit lends it a share: the message it rests on, what was said next to it.

Pure. People answer in the turn after the question and dwell on a thing for a while, so a fact is
more likely meant where its neighbours are; measured, this is worth more than either arm's tuning.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol

# A message's score takes these shares of what the messages before and after it match.
BEFORE, AFTER = 0.4, 0.2


class Placed(Protocol):
    """A hit with its neighbours, as `ranking.Candidate` has it."""

    @property
    def id(self) -> str: ...
    @property
    def message_score(self) -> float: ...
    @property
    def before(self) -> str | None: ...
    @property
    def after(self) -> str | None: ...
    @property
    def told_with(self) -> str | None: ...


class Shares(Protocol):
    """How much each surrounding lends, as `ranking.Weights` has it."""

    @property
    def message(self) -> float: ...
    @property
    def before(self) -> float: ...
    @property
    def after(self) -> float: ...
    @property
    def together(self) -> float: ...


def lent(hits: Sequence[Placed], own: Sequence[float], shares: Shares) -> list[float]:
    """What surrounds each hit adds to its own score, ≥ 0."""
    place = {hit.id: at for at, hit in enumerate(hits)}
    added = [shares.message * hit.message_score for hit in hits]
    for at, hit in enumerate(hits):
        if hit.after in place:
            added[place[hit.after]] += shares.before * own[at]
        if hit.before in place:
            added[place[hit.before]] += shares.after * own[at]
    best: dict[str | None, float] = defaultdict(float)
    for at, hit in enumerate(hits):
        best[hit.told_with] = max(best[hit.told_with], own[at] + added[at])
    best[None] = 0.0
    return [
        more + shares.together * best[hit.told_with] for hit, more in zip(hits, added, strict=True)
    ]


def message_scores(rows: Iterable[Mapping[str, Any]]) -> dict[Any, float]:
    """Messages' scores by id, from the matching ones with their neighbours.

    The best match has 1 of its own; a neighbour that matches nothing itself has only what is lent.
    """
    found = list(rows)
    most = max((row["weight"] for row in found), default=0.0)
    least = min((row["weight"] for row in found), default=0.0)
    scores: dict[Any, float] = defaultdict(float)
    for row in found:
        own = (row["weight"] - least) / (most - least) if most > least else 1.0
        scores[row["id"]] += own
        if row["after"] is not None:
            scores[row["after"]] += BEFORE * own
        if row["before"] is not None:
            scores[row["before"]] += AFTER * own
    return scores


def named_by(query: str, people: Iterable[str | None]) -> frozenset[str]:
    """Which of these people a query names: by a whole name, or by its first word."""
    words = {word.removesuffix("'s").removesuffix("’s") for word in _words(query)}
    return frozenset(who for who in people if who and (first := _words(who)) and first[0] in words)


def without_names(terms: Iterable[str], people: Collection[str]) -> list[str]:
    """The stemmed terms of a query that are no part of these names."""
    parts = {part for who in people for part in _words(who)}
    return [term for term in terms if not any(_stem_of(term, part) for part in parts)]


def _stem_of(term: str, word: str) -> bool:
    return word.startswith(term) and len(word) - len(term) <= 2


def _words(text: str) -> list[str]:
    return [word.strip("?.,!;:\"'()").casefold() for word in text.split()]
