"""Which facts an application should always know (pure): the best of each kind that fit the budget.

A fact is worth its kind's weight (`kinds.toml`) times what is left of its confidence, more where it
was said or used repeatedly. What is essential already has an edge, so that two facts alike do not
take turns. A ranking, where a model gave one, takes the place of worth: budget and kinds bind it
just the same, and what is worth next to nothing by now is left out. Any order of the same facts
gives the same choice, and choosing twice the same.
"""

from __future__ import annotations

import math
import tomllib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any
from uuid import UUID

LEAST = 0.3
"""Worth below which a fact is not essential however much room there is."""

MOST_ASKED = 100
"""Facts that a model is asked about in its one call."""

_EDGE = 1.2  # what is essential is worth so much more than it would be
_REPEATED, _USED = 0.5, 0.3  # the most that evidence and uses add


@dataclass(frozen=True, slots=True)
class Kind:
    """What facts of a kind weigh, and how many there may be."""

    name: str
    weight: float
    most: int


@dataclass(frozen=True, slots=True)
class Budget:
    """How much may be essential; tokens are about 4 characters."""

    facts: int = 20
    tokens: int = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A fact about the user that is believed now.

    `certainty` is its effective confidence, 0 to 1; `uses` how often it was recalled.
    """

    id: UUID
    slot: str | None
    category: str
    content: str
    evidence_count: int = 1
    certainty: float = 1.0
    uses: int = 0
    essential: bool = False
    said_at: datetime | None = None

    @property
    def tokens(self) -> int:
        return -(-len(self.content) // 4)


@cache
def _kinds() -> tuple[Mapping[str, Kind], Mapping[str, Kind]]:
    """Kinds by slot, and by category for sentences."""
    path = files("services.maintenance.essential").joinpath("kinds.toml")
    data: dict[str, dict[str, Any]] = tomllib.loads(path.read_text("utf-8"))
    by_slot: dict[str, Kind] = {}
    by_name: dict[str, Kind] = {}
    for name, entry in data["kind"].items():
        by_name[name] = kind = Kind(name, entry["weight"], entry["most"])
        by_slot.update(dict.fromkeys(entry["slots"], kind))
    sentences = {
        category: Kind(entry["kind"], entry["weight"], by_name[entry["kind"]].most)
        for category, entry in data["sentence"].items()
    }
    return by_slot, sentences


def kind_of(fact: Known) -> Kind | None:
    """The kind of a fact; None when it is never essential."""
    by_slot, sentences = _kinds()
    return by_slot.get(fact.slot) if fact.slot is not None else sentences.get(fact.category)


def worth(fact: Known) -> float:
    """How much it matters to know this always; 0 for what is of no kind."""
    kind = kind_of(fact)
    if kind is None:
        return 0.0
    repeated = 1 - 1 / max(fact.evidence_count, 1)
    used = 1 - 1 / (1 + math.log2(1 + max(fact.uses, 0)))
    value = kind.weight * fact.certainty * (1 + _REPEATED * repeated + _USED * used)
    return value * (_EDGE if fact.essential else 1.0)


def by_worth(facts: Iterable[Known]) -> list[Known]:
    """Those that are worth enough, the best first."""
    valued = [(worth(fact), fact) for fact in facts]
    valued.sort(key=lambda each: (-each[0], each[1].id))
    return [fact for value, fact in valued if value >= LEAST]


def candidates(facts: Iterable[Known]) -> list[Known]:
    """The facts that a model is asked about, the best first: of those of any kind, so many."""
    valued = [(worth(fact), fact) for fact in facts if kind_of(fact) is not None]
    valued.sort(key=lambda each: (-each[0], each[1].id))
    return [fact for _, fact in valued[:MOST_ASKED]]


def choose(
    facts: Collection[Known], budget: Budget, ranking: Sequence[UUID] | None = None
) -> list[UUID]:
    """The essential facts, the most important first; of a ranking only facts that are here."""
    if ranking is None:
        order = by_worth(facts)
    else:
        known = {fact.id: fact for fact in facts}
        order = [known[fact] for fact in dict.fromkeys(ranking) if fact in known]
        order = [fact for fact in order if worth(fact) >= LEAST / 2]
    return [fact.id for fact in _fitting(order, budget)]


def _fitting(order: Iterable[Known], budget: Budget) -> Iterable[Known]:
    """Take one after the other, as far as each fits by itself: its kind, the number, the tokens."""
    taken: Counter[str] = Counter()
    tokens = 0
    for fact in order:
        kind = kind_of(fact)
        if kind is None or taken[kind.name] >= kind.most or taken.total() >= budget.facts:
            continue
        if tokens + fact.tokens > budget.tokens:
            continue
        taken[kind.name] += 1
        tokens += fact.tokens
        yield fact
