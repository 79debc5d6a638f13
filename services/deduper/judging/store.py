"""What judging reads and writes: which pairs are open, who asks about a user, what was said."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from services.deduper.candidates import Pair, PairKey, pair_of
from services.deduper.judging.model import Judged
from services.deduper.store import free_text, verdict_columns
from services.deduper.thresholds import Floors
from shared.db import Database, OperatorDatabase
from shared.events import Announcement
from shared.failures.store import RowRef
from shared.ledger import store as ledger
from shared.ledger.store import UserKey
from shared.sql import Queries

queries = Queries("services.deduper.judging")

_USERS_A_LOOK = 8
_PAIRS_A_LOOK = 300


@dataclass(frozen=True, slots=True)
class Hold:
    """Whose name a user is held under while a model is asked, and for how long without renewal."""

    worker: str
    seconds: float


async def open_pairs(db: Database, user: UserKey, pairs: Sequence[Pair]) -> list[Pair]:
    """Of these pairs, those that nobody has decided, of facts that nobody has forgotten."""
    params = {
        "tenants": [user[0]] * len(pairs),
        "users": [user[1]] * len(pairs),
        "firsts": [pair.key[0] for pair in pairs],
        "seconds": [pair.key[1] for pair in pairs],
    }
    async with db.of(user[0]).autocommit() as tx:
        rows = await tx.rows(queries["decided_pairs"], params)
    decided: set[PairKey] = {(row["first_id"], row["second_id"]) for row in rows}
    return [pair for pair in pairs if pair.key not in decided]


async def take(db: Database, user: UserKey, hold: Hold) -> bool:
    """Take a user to ask about; False while another worker has him."""
    params = {"worker": hold.worker, "seconds": hold.seconds, **_key(user)}
    async with db.of(user[0]).autocommit() as tx:
        return await tx.row(queries["take_judging"], params) is not None


async def renew(db: Database, users: Collection[UserKey], hold: Hold) -> None:
    tenants, names = [tenant for tenant, _ in users], [user for _, user in users]
    params = {"worker": hold.worker, "seconds": hold.seconds, "tenants": tenants, "users": names}
    async with db.of(*tenants).autocommit() as tx:
        await tx.execute(queries["renew_judging"], params)


async def release(db: Database, user: UserKey, hold: Hold) -> None:
    async with db.of(user[0]).autocommit() as tx:
        await tx.execute(queries["release_judging"], {"worker": hold.worker, **_key(user)})


async def save(
    durable: Database, user: UserKey, judged: Judged, model: str, prompt: str
) -> list[Announcement] | None:
    """Keep a paid answer durably before it is used, and fold what it changes.

    A fact that is not settled yet is folded when it is; the user's lock of beliefs says which of
    the two comes first. None when another transaction has the user.
    """
    async with durable.of(user[0]).transaction() as tx:
        if not await ledger.try_lock_users(tx, ledger.BELIEFS, [user]):
            return None
        await tx.execute(queries["save_judgement"], _call(user, judged, model, prompt))
        stored = await tx.rows(queries["save_judged"], _verdicts(user, judged))
        settled = [RowRef(*user, row["first_id"]) for row in stored if row["settled"]]
        changes = await ledger.refold(tx, (), settled) if settled else []
        if changes:
            await ledger.grow_version(tx, user)
        occurrences = [o for o in map(ledger.occurrence_of, changes) if o is not None]
        return await ledger.record_events(tx, occurrences)


def _call(user: UserKey, judged: Judged, model: str, prompt: str) -> dict[str, Any]:
    return {
        **_key(user),
        "id": judged.id,
        "model": model,
        "prompt": prompt,
        "pairs": judged.asked,
        "input_tokens": judged.tokens[0],
        "output_tokens": judged.tokens[1],
        "dropped": Jsonb(dict(judged.reading.dropped)) if judged.reading.dropped else None,
    }


async def attempts_at(db: Database, refs: Sequence[RowRef]) -> dict[UUID, int]:
    """How often comparing each of one user's facts has failed so far; nothing for never."""
    params = {"tenant": refs[0].tenant, "subjects": [str(ref.id) for ref in refs]}
    async with db.of(refs[0].tenant).autocommit() as tx:
        rows = await tx.rows(queries["attempts_at"], params)
    return {row["id"]: row["attempts"] for row in rows}


async def users_undecided(
    everyone: OperatorDatabase, patience_seconds: float, without: Sequence[str] = ()
) -> list[UserKey]:
    """Some users with pairs left open while the model was away, the oldest first.

    `without` are the tenants for whom nothing can be asked.
    """
    params = {"patience": patience_seconds, "limit": _USERS_A_LOOK, "without": list(without)}
    async with everyone.autocommit() as tx:
        rows = await tx.rows(queries["users_undecided"], params)
    return [(row["tenant_id"], row["user_id"]) for row in rows]


async def undecided_pairs(db: Database, user: UserKey, floors: Floors) -> list[Pair]:
    """Some of a user's pairs that were left open, the oldest first."""
    async with db.of(user[0]).autocommit() as tx:
        rows = await tx.rows(queries["undecided_pairs"], {**_key(user), "limit": _PAIRS_A_LOOK})
    return [
        pair_of(free_text(row), free_text(row, "other_"), row["cosine"], floors) for row in rows
    ]


def _verdicts(user: UserKey, judged: Judged) -> dict[str, Any]:
    given = [(user, verdict) for verdict in judged.reading.verdicts]
    return {**verdict_columns(given), "id": judged.id}


def _key(user: UserKey) -> dict[str, str]:
    return {"tenant": user[0], "user": user[1]}
