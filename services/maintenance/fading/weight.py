"""How sure of a fact one may still be (pure): its confidence, halved again and again by silence.

Time counts from when the fact was last said, used, or planned for. Nothing is ever multiplied in
place: all of it is worked out from the fact and the time. Half-lives, with their reasons, are data:
`half_lives.toml`. What is hidden and shown is not decided here; `queries.sql` says the same in SQL.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from importlib.resources import files
from types import MappingProxyType

FADED_BELOW = 0.2
"""Unless a setting says otherwise, a fact with less certainty than this is faded."""

_OTHER = "other"
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class HalfLives:
    """Days by slot, None for never, and by category for all that has no slot of these."""

    slots: Mapping[str, float | None]
    categories: Mapping[str, float]

    def of(self, slot: str | None, category: str) -> float | None:
        """A fact's half-life in days; None when it never fades."""
        if slot is not None and slot in self.slots:
            return self.slots[slot]
        return self.categories.get(category, self.categories[_OTHER])

    @property
    def other(self) -> float:
        """That of a category nobody knows."""
        return self.categories[_OTHER]


@cache
def half_lives() -> HalfLives:
    """Those that are written down, with their reasons, in `half_lives.toml`."""
    path = files("services.maintenance.fading").joinpath("half_lives.toml")
    data = tomllib.loads(path.read_text("utf-8"))
    slots = {
        slot: group.get("days")
        for group in data["half_life"]
        for slot in (*group.get("slots", ()), *group.get("unlisted", ()))
    }
    categories = {name: entry["days"] for name, entry in data["category"].items()}
    return HalfLives(MappingProxyType(slots), MappingProxyType(categories))


def effective_confidence(
    confidence: float, last: datetime, half_life_days: float | None, now: datetime
) -> float:
    """How sure one may be `now` of what was last said or used at `last`: 0 to `confidence`."""
    if half_life_days is None or now <= last:
        return confidence
    halvings = (now - last) / _DAY / half_life_days
    return confidence * math.exp2(-halvings)


def fades_at(
    confidence: float, last: datetime, half_life_days: float | None, faded_below: float
) -> datetime | None:
    """The first moment at which no more than `faded_below` is left; None for never.

    What was doubted that much from the beginning fades at once. 0: nothing fades.
    """
    if half_life_days is None or faded_below <= 0:
        return None
    halvings = max(0.0, math.log2(confidence / faded_below)) if confidence > 0 else 0.0
    return last + timedelta(days=half_life_days * halvings)
