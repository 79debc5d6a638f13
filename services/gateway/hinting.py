"""What a query's words ask for, brought into recall: read, looked up, and weighed.

`asking` reads the words and knows no database; here is what it is told of the tenant and the
candidates. Every filter of the request holds as it is: hints only add weight, and an arm of their
own that stands under the same filters.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any
from uuid import UUID

from services.gateway import asking, recall_store
from services.gateway.asking import Asked, Hints
from services.gateway.asking.hints import PRIOR_AT_LARGE
from services.gateway.ranking import Candidate
from services.gateway.recall_store import Scope
from services.gateway.requests import RecallRequest
from shared.db import Database, Row
from shared.slots import Catalogue
from shared.tenant_slots import store as tenant_slots

_CATALOGUE_SECONDS = 10.0
"""A tenant's new slot is a hint that much later; as a filter it counts at once."""
_REMEMBERED_TENANTS = 1_000
_STEP_DOWN = 0.01  # from each place of what says most about the user to the next
_EVER = datetime(1, 1, 1, tzinfo=UTC)
_TICK = timedelta(microseconds=1)


class Hinting:
    """Reads queries over one database."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._known: OrderedDict[str, tuple[float, Catalogue]] = OrderedDict()

    async def heard(self, tenant: str, asked: RecallRequest, now: datetime) -> Heard:
        """What the query asks for beside what the request says itself."""
        catalogue = await self._catalogue(tenant)
        if not asked.hints:
            return Heard(asking.nothing_asked(), catalogue)
        timed = asked.since or asked.until or asked.max_age_days
        placed = asked.as_of or asked.known_at or asked.view != "current"
        hints = asking.read(asked.query, now, catalogue).yielding_to(
            slots=bool(asked.slots),
            categories=bool(asked.categories),
            time=bool(timed),
            as_of=bool(placed),
        )
        return Heard(hints, catalogue)

    async def arm(self, scope: Scope, heard: Heard) -> list[Row]:
        """The facts asked for whatever their words say, under every filter; mostly none."""
        hints = heard.hints
        if not (hints.slots or hints.about_user_at_large):
            return []
        async with self._db.of(scope.tenant).autocommit() as tx:
            if hints.about_user_at_large:
                return await recall_store.at_large_arm(tx, scope)
            return await recall_store.hinted_arm(tx, scope, heard.stored_slots())

    async def _catalogue(self, tenant: str) -> Catalogue:
        at, known = self._known.get(tenant, (0.0, None))
        if known is not None and monotonic() - at < _CATALOGUE_SECONDS:
            return known
        async with self._db.of(tenant).autocommit() as tx:
            known = await tenant_slots.catalogue(tx, tenant)
        self._known[tenant] = monotonic(), known
        self._known.move_to_end(tenant)
        if len(self._known) > _REMEMBERED_TENANTS:
            self._known.popitem(last=False)
        return known


class Heard:
    """Hints, and what the tenant's slots are called."""

    def __init__(self, hints: Hints, catalogue: Catalogue) -> None:
        self.hints = hints
        self._catalogue = catalogue

    def stored_slots(self) -> list[str]:
        """Every name under which facts of the slots asked for may be stored."""
        return [name for slot in self.hints.slots for name in self._catalogue.spellings(slot)]

    def narrowed(self, scope: Scope) -> Scope:
        """The scope at the time that the query names for certain."""
        window = self.hints.as_of
        if window is None:
            return scope
        until = min(scope.now, (window.until or scope.now) - _TICK)
        return replace(scope, now=until, held_since=window.since or _EVER)

    def missed(self, rows: Sequence[Row]) -> bool:
        """Whether the time named leaves nothing of what was asked for: then it was no filter."""
        if self.hints.as_of is None:
            return False
        return not any(self._asked(row).slot in self.hints.slots for row in rows)

    def timeless(self) -> Heard:
        """The same without a point in time."""
        return Heard(replace(self.hints, as_of=None), self._catalogue)

    def knowing(self, rows: Sequence[Row]) -> Heard:
        """The same where the persons whom these facts are about are known."""
        return Heard(self.hints.knowing({row["subject"] for row in rows}), self._catalogue)

    def weighed(
        self, candidates: Iterable[tuple[Candidate, Row]], at_large: Sequence[Row]
    ) -> Iterator[Candidate]:
        """The candidates, given with their rows, each with what it meets of the hints."""
        hints = self.hints
        if not (hints.slots or hints.categories or hints.window or hints.about_user_at_large):
            yield from (one for one, _ in candidates)
            return
        priors = _at_large(at_large) if hints.about_user_at_large else {}
        for one, row in candidates:
            fact = self._asked(row)
            prior, factors = priors.get(one.id, hints.prior(fact)), hints.factors(fact)
            yield replace(one, hints=factors, prior=prior) if prior or factors else one

    def _asked(self, row: Row) -> Asked:
        slot = row["slot"] and self._catalogue.name_of(row["slot"])
        return Asked(slot, row["category"], row["subject"], row["at"])

    def causes(self, factors: Mapping[str, float]) -> dict[str, Any]:
        """The words that gave a fact those of its factors which come from hints."""
        read = self.hints.shown()
        causes = {
            "slot": read.get("slots"),
            "category": read.get("categories"),
            "time": (read.get("time") or {}).get("words"),
        }
        return {name: causes[name] for name in factors if name in causes}


def _at_large(rows: Sequence[Row]) -> dict[str, float]:
    """How much each is asked for: the essential ones and the profile's most, then the others."""
    return {
        str(row["id"]): (PRIOR_AT_LARGE if row["conscious"] else 1.0) - _STEP_DOWN * place
        for place, row in enumerate(rows)
        if place < 1 / _STEP_DOWN
    }


async def timeline_places(
    db: Database, scope: Scope, rows: Sequence[Row]
) -> dict[UUID, dict[str, int]]:
    """For `explain`: which stretch of its slot's timeline each fact is, of how many."""
    async with db.of(scope.tenant).autocommit() as tx:
        places = await recall_store.slot_places(tx, scope, [row["id"] for row in rows])
    return {fact: {"place": row["place"], "of": row["stretches"]} for fact, row in places.items()}
