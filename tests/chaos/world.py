"""The world that messages tell of (pure): who says what, and what any reader must make of it.

A message is a list of statements in a small language, so that the model fake and the oracle read
the same facts from it, independently of the product. Everything is drawn from a seed.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

BEGAN = datetime(2015, 1, 1, tzinfo=UTC)
_DAYS = 3_650
_VALUES = {
    "home_city": ("Lisbon", "Oslo", "Dallas", "Quito", "Nairobi"),
    "employer": ("Acme", "Globex", "Initech", "Umbrella"),
    "pet": ("Rex", "Milo", "Luna"),
    "language": ("Portuguese", "Finnish", "Swahili"),
}
_SENTENCES = (
    "Plays the cello every evening",
    "Hates early meetings",
    "Collects maps of extinct rivers",
    "Bakes sourdough bread at weekends",
    "Dreams of crossing Patagonia",
    "Repairs mechanical watches",
)
_CLAIMS = ("holds", "ends", "denies")
_TENSES = ("current", "past", "future")
_STATEMENT = re.compile(r"(\w+)=(\w+) (holds|ends|denies) (current|past|future)(?: from (\d{4}))?")
POISON = "POISON"
"""The model chokes on a message that holds this word, however often it is asked."""

Way = Literal["http", "batch", "redis"]


@dataclass(frozen=True, slots=True)
class Said:
    """One message as its client means it.

    Without a `message_id` it is known by its Idempotency-Key (HTTP), or by its stream entry alone.
    """

    number: int
    tenant: str
    user: str
    session: str
    content: str
    at: datetime | None
    message_id: str | None
    way: Way
    role: str = "user"

    @property
    def tag(self) -> str:
        """What finds this message again wherever it is stored."""
        return f"[{self.number}]"

    def body(self) -> dict[str, str]:
        """The fields both entrances take."""
        fields = {
            "user_id": self.user,
            "session_id": self.session,
            "role": self.role,
            "content": self.content,
        }
        if self.at:
            fields["timestamp"] = self.at.isoformat()
        if self.message_id:
            fields["message_id"] = self.message_id
        return fields


def facts_of(content: str) -> list[dict[str, Any]]:
    """What any reader must find in a message, in order, each once; no sources named yet."""
    if POISON in content:
        return []
    found = [fact for part in content.split(" [")[0].split("; ") if (fact := _fact(part))]
    return [fact for index, fact in enumerate(found) if fact not in found[:index]]


def _fact(part: str) -> dict[str, Any] | None:
    if match := _STATEMENT.fullmatch(part):
        slot, value, claim, tense, year = match.groups()
        return {
            "content": f"{slot} {claim} {value} {tense}",
            "slot": slot,
            "value": value,
            "claim": claim,
            "temporal_state": tense,
            "occurred_at": year,
        }
    return {"content": part, "category": "user_preference"} if part in _SENTENCES else None


def tell(
    seed: int, messages: int, users: int, *, poison_share: float = 0.0, tenant: str = "default"
) -> Iterator[Said]:
    """Draw that many messages of that many users: half over HTTP, the rest straight to Redis."""
    rng = random.Random(seed)
    for number in range(messages):
        user = f"u{rng.randrange(users)}"
        way: Way = rng.choices(("http", "batch", "redis"), (4, 2, 4))[0]
        dated = rng.random() < 0.95
        keyed = way == "batch" or rng.random() < 0.8
        at = BEGAN + timedelta(days=rng.randrange(_DAYS), seconds=number % 86_400)
        poisonous = rng.random() < poison_share
        said = POISON if poisonous else _content(rng)
        yield Said(
            number=number,
            tenant=tenant,
            user=user,
            session=f"s{rng.randrange(3)}",
            content=f"{said} [{number}]",
            at=at if dated else None,
            message_id=f"m{number}" if keyed else None,
            way=way,
            role="assistant" if rng.random() < 0.05 and not poisonous else "user",
        )


def _content(rng: random.Random) -> str:
    statements = rng.choices((0, 1, 2), (1, 7, 2))[0]
    return "; ".join(_statement(rng) for _ in range(statements)) or "Good morning"


def _statement(rng: random.Random) -> str:
    if rng.random() < 0.2:
        return rng.choice(_SENTENCES)
    slot = rng.choice(tuple(_VALUES))
    value = rng.choice(_VALUES[slot])
    claim = rng.choices(_CLAIMS, (6, 1, 1))[0]
    tense = rng.choices(_TENSES, (7, 1, 1))[0] if claim == "holds" else "current"
    since = f" from {rng.randrange(2005, 2025)}" if rng.random() < 0.2 else ""
    return f"{slot}={value} {claim} {tense}{since}"
