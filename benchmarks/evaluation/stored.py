"""What the memory holds of one user, as its API shows it, and questions about it (pure)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Self

LIVING = frozenset({"current", "planned", "due"})


@dataclass(frozen=True, slots=True)
class StoredFact:
    id: str
    content: str
    slot: str | None
    value: str | None
    claim: str
    status: str | None
    canonical_id: str | None
    superseded_by: str | None
    valid_from: datetime | None
    valid_to: datetime | None
    source_message_ids: tuple[str, ...] = ()

    @classmethod
    def of(cls, fact: Mapping[str, Any]) -> Self:
        """Read a Fact of the API."""
        return cls(
            id=fact["id"],
            content=fact["content"],
            slot=fact["slot"],
            value=fact["value"],
            claim=fact["claim"],
            status=fact["status"],
            canonical_id=fact["canonical_id"],
            superseded_by=fact["superseded_by"],
            valid_from=_moment(fact["valid_from"]),
            valid_to=_moment(fact["valid_to"]),
            source_message_ids=tuple(fact["source_message_ids"]),
        )

    def held_at(self, moment: datetime) -> bool:
        """Whether its shown stretch of belief covers a moment."""
        begun = self.valid_from is not None and self.valid_from <= moment
        return begun and (self.valid_to is None or moment < self.valid_to)


class Stored:
    """One user's facts, of every status."""

    def __init__(self, facts: Iterable[StoredFact]) -> None:
        self.facts = tuple(facts)
        self._by_id = {fact.id: fact for fact in self.facts}
        self._by_content: dict[str, list[StoredFact]] = defaultdict(list)
        for fact in self.facts:
            self._by_content[fact.content].append(fact)

    def living(self) -> list[StoredFact]:
        """Beliefs and plans that stand now, one row a belief."""
        return [fact for fact in self.facts if fact.status in LIVING]

    def said(self, content: str) -> list[StoredFact]:
        """Every observation with this content, merged or not."""
        return self._by_content.get(content, [])

    def clusters(self, content: str) -> list[StoredFact]:
        """The canonical facts that observations with this content belong to."""
        found = {fact.id: fact for fact in map(self._canonical, self.said(content))}
        return list(found.values())

    def lives(self, content: str) -> bool:
        """Whether what was said is believed or planned now, under whichever wording."""
        return any(fact.status in LIVING for fact in self.clusters(content))

    def members(self, canonical: StoredFact) -> list[StoredFact]:
        return [fact for fact in self.facts if self._canonical(fact).id == canonical.id]

    def wordings(self, fact_id: str, content: str) -> frozenset[str]:
        """Every wording of the belief that a recalled fact is the canonical one of."""
        fact = self._by_id.get(fact_id)
        if fact is None:
            return frozenset({content})
        return self._wordings.get(self._canonical(fact).id, frozenset({content})) | {content}

    @cached_property
    def _wordings(self) -> dict[str, frozenset[str]]:
        found: dict[str, set[str]] = defaultdict(set)
        for fact in self.facts:
            found[self._canonical(fact).id].add(fact.content)
        return {canonical: frozenset(contents) for canonical, contents in found.items()}

    def merged(self, a: str, b: str) -> bool:
        """Whether some observation of one is one belief with some of the other."""
        return bool({f.id for f in self.clusters(a)} & {f.id for f in self.clusters(b)})

    def successors(self, content: str) -> set[str]:
        """Contents that took the place of this one, followed to the end."""
        found: set[str] = set()
        waiting = self.clusters(content)
        seen = {fact.id for fact in waiting}
        while waiting:
            after = self._by_id.get(waiting.pop().superseded_by or "")
            if after is None:
                continue
            canonical = self._canonical(after)
            found |= {member.content for member in self.members(canonical)}
            if canonical.id not in seen:
                seen.add(canonical.id)
                waiting.append(canonical)
        return found

    def _canonical(self, fact: StoredFact) -> StoredFact:
        return self._by_id.get(fact.canonical_id or "", fact)


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
