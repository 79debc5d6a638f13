"""The lexical arm over facts in memory: the rows that the SQL of `lexical_arm` would find."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from services.gateway.hot.postings import Hits, terms_at
from services.gateway.hot.shelf import Mask, Shelf

_SHORTEST_MISSPELT, _SHORTEST_ELSEWHERE = 4, 3  # a sign of other scripts says more

Pair = tuple[str, str]
Nearest = Callable[[Sequence[Pair], Sequence[str]], Awaitable[dict[str, str]]]
"""For missing terms (with their variants) and known words: which word each term may mean."""


async def lexical_rows(
    shelf: Shelf,
    passing: Mask,
    asked: Sequence[Pair],
    *,
    most: int,
    vocabulary_limit: int,
    similarity: float,
    nearest: Nearest,
) -> list[dict[str, Any]]:
    """At least one row, each with the corpus; `id` is null where nothing matched.

    `asked`: the query's terms, each with every variant that stands for it. The shelf is read before
    and after `nearest` is waited for, and may have grown in between: only the places of `passing`
    count, and those stay what they were.
    """
    postings = shelf.postings
    corpus = postings.corpus(passing)
    terms = {term for term, _ in asked}
    direct = postings.hits([(variant, term) for term, variant in asked], passing)
    meant: dict[str, str] = {}
    missing = _missing(asked, direct)
    if missing and corpus.documents <= vocabulary_limit:
        words = postings.maybe_meant(missing, passing, similarity)
        meant = await nearest(missing, words) if words else {}
    others = set(meant.values()) - terms
    found = direct + postings.hits([(word, word) for word in others], passing)
    told = {
        "documents": corpus.documents,
        "average": corpus.average,
        "frequencies": dict.fromkeys([*terms, *meant.values()], 0)
        | {hits.term: len(hits.places) for hits in found},
        "meant": meant,
    }
    rows = _best(shelf, found, corpus_of=told, most=most) if found else []
    return rows or [{**told, "id": None, "length": None, "terms": None}]


def _missing(asked: Sequence[Pair], direct: Sequence[Hits]) -> list[Pair]:
    """The terms nobody used that are long enough to be a misspelt word or a part of one."""
    used = {hits.term for hits in direct}
    return [
        (term, variant)
        for term, variant in asked
        if term not in used
        and len(term) >= (_SHORTEST_MISSPELT if " " <= term[0] <= "~" else _SHORTEST_ELSEWHERE)
    ]


def _best(
    shelf: Shelf, found: Sequence[Hits], *, corpus_of: dict[str, Any], most: int
) -> list[dict[str, Any]]:
    postings = shelf.postings
    places, weights = postings.weights(found, corpus_of["documents"], corpus_of["average"])
    best = [place for place, _ in shelf.best(places, weights, most)]
    terms = terms_at(found, best)
    return [
        {
            **corpus_of,
            "id": shelf.id_at(place),
            "length": postings.length_at(place),
            "terms": terms[place],
        }
        for place in best
    ]
