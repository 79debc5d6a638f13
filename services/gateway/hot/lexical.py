"""The lexical arm over facts in memory: the rows that the SQL of `lexical_arm` would find."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from services.gateway.hot.postings import Hits, terms_at
from services.gateway.hot.shelf import Mask, Shelf

_SHORTEST_MISSPELT = 4

Nearest = Callable[[Sequence[str], Sequence[str]], Awaitable[dict[str, str]]]
"""For missing terms and known words: which word each term may mean."""


async def lexical_rows(
    shelf: Shelf,
    passing: Mask,
    terms: Sequence[str],
    *,
    most: int,
    vocabulary_limit: int,
    similarity: float,
    nearest: Nearest,
) -> list[dict[str, Any]]:
    """At least one row, each with the corpus; `id` is null where nothing matched.

    The shelf is read before and after `nearest` is waited for, and may have grown in between: only
    the places of `passing` count, and those stay what they were.
    """
    postings = shelf.postings
    corpus = postings.corpus(passing)
    direct = [hits for term in terms if (hits := postings.hits(term, passing)) is not None]
    meant: dict[str, str] = {}
    if missing := _missing(terms, direct, corpus.documents, vocabulary_limit):
        words = postings.maybe_meant(missing, passing, similarity)
        meant = await nearest(missing, words) if words else {}
    others = [word for word in dict.fromkeys(meant.values()) if word not in terms]
    found = direct + [hits for w in others if (hits := postings.hits(w, passing)) is not None]
    told = {
        "documents": corpus.documents,
        "average": corpus.average,
        "frequencies": dict.fromkeys([*terms, *meant.values()], 0)
        | {hits.term: len(hits.places) for hits in found},
        "meant": meant,
    }
    rows = _best(shelf, found, corpus_of=told, most=most) if found else []
    return rows or [{**told, "id": None, "length": None, "terms": None}]


def _missing(
    terms: Sequence[str], direct: Sequence[Hits], documents: int, vocabulary_limit: int
) -> list[str]:
    """The terms nobody used, where looking for what they mean does not cost more than it finds."""
    if documents > vocabulary_limit:
        return []
    used = {hits.term for hits in direct}
    return [term for term in terms if len(term) >= _SHORTEST_MISSPELT and term not in used]


def _best(
    shelf: Shelf, found: Sequence[Hits], *, corpus_of: dict[str, Any], most: int
) -> list[dict[str, Any]]:
    postings = shelf.postings
    places, weights = postings.weights(found, corpus_of["documents"], corpus_of["average"])
    best = [place for place, _ in shelf.best(places, weights, most)]
    terms = terms_at(found, best)
    return [
        {**corpus_of, **row, "length": postings.length_at(place), "terms": terms[place]}
        for place, row in zip(best, shelf.rows(best), strict=True)
    ]
