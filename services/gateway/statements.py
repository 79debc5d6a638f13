"""Facts an application states itself: their identity, and whether a retry says the same (pure)."""

from __future__ import annotations

import math
from typing import Any
from uuid import UUID

from services.gateway.requests import StatedFact
from shared.db import Row
from shared.facts.statements import SELF, NewFact, observed
from shared.ids import derived_id, time_ordered_id
from shared.screening import suspicions
from shared.slots import Catalogue, built_in
from shared.trust import Source, speaks_for_user, stated_source

_GENERATION = 0  # counts in every generation
_COMPARED = (
    "occurred_at",
    "occurred_precision",
    "ended_at",
    "ended_precision",
    "metadata",
)
_BY_CATALOGUE = ("category", "cardinality")
_SAID = ("content", "subject", "value", "claim", "temporal_state")


def new_fact(
    stated: StatedFact,
    tenant: str,
    user: str,
    catalogue: Catalogue | None = None,
    *,
    by: Source = "operator",
    guards: bool = True,
) -> NewFact:
    """Give a stated fact its identity: by its `message_id`, else a new one.

    With `guards` what is suspicious is held for review, as if a message had said it.
    """
    source = stated_source(stated.metadata, by)
    if stated.message_id is None:
        row = time_ordered_id()
        key = f"u:{row.hex}"
    else:
        row = derived_id("stated", tenant, user, stated.message_id)
        key = f"m:{stated.message_id}"
    return NewFact(
        tenant=tenant,
        user=user,
        id=row,
        generation=_GENERATION,
        said_at=stated.timestamp,
        recorded_at=None,
        message_key=key,
        ordinal=0,
        metadata=stated.metadata,
        source=source,
        suspicions=_suspicions(stated, source) if guards else (),
        **observed(stated, catalogue),
    )


def _suspicions(stated: StatedFact, source: Source) -> tuple[str, ...]:
    words = "\n".join(filter(None, (stated.content, stated.value, stated.subject, stated.category)))
    found: set[str] = set(suspicions(words, source))
    if stated.subject == SELF and not speaks_for_user(source):
        found.add("not_the_users_words")
    return tuple(sorted(found))


def says_the_same(fact: NewFact, stored: Row, catalogue: Catalogue | None = None) -> bool:
    """Compare a fact with the row that has its id; an unnamed time is the first request's.

    What the catalogue filled in is not compared: it may have changed between the two.
    """
    columns: dict[str, Any] = {name: getattr(fact, name) for name in _COMPARED}
    columns |= {name: getattr(fact.statement, name) for name in _SAID}
    known = catalogue or built_in()
    named = stored["slot"] and known.name_of(stored["slot"])
    columns |= {
        name: getattr(fact, name)
        for name in _BY_CATALOGUE
        if getattr(fact.statement, name) is not None and not _fills(known, fact, name)
    }
    if fact.slot != named:
        return False
    if fact.said_at is not None:
        columns["said_at"] = fact.said_at
    return all(stored[name] == value for name, value in columns.items()) and math.isclose(
        stored["confidence"], fact.statement.confidence, abs_tol=1e-6
    )


def _fills(known: Catalogue, fact: NewFact, name: str) -> bool:
    """Whether the catalogue decides this column whatever is said."""
    spec = known.resolve(fact.slot) if fact.slot else None
    return name == "cardinality" and spec is not None and not spec.as_said


def row_id(text: str) -> UUID | None:
    """Read an id of ours; None for what is none."""
    try:
        return UUID(text)
    except ValueError:
        return None
