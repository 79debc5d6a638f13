"""What a replay reads and writes while it makes its generation; `generations` decides about it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from services.extractor.facts import SourceMessage, Validated
from services.extractor.leniency import source_ids
from services.extractor.replay import ReplayRefusedError
from services.extractor.replay.plan import Heard, StoredAnswer
from services.extractor.store import Provenance
from services.extractor.turns import ChatTurn, role_of
from shared.db import OperatorDatabase, Row, Transaction
from shared.events import Announcement, bells_for
from shared.facts.store import insert_facts
from shared.ids import derived_id, fact_id
from shared.ledger import store as ledger
from shared.ledger.acts import Acts
from shared.sql import Queries
from shared.topology import EMBEDDED, EXTRACTED

queries = Queries("services.extractor.replay")

CONTEXT_MESSAGES = 6


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose messages are read again, and which: the rest keeps its facts. None bounds nothing."""

    tenant: str
    user: str
    session: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def params(self, **more: Any) -> dict[str, Any]:
        return {
            "tenant": self.tenant,
            "user": self.user,
            "session": self.session,
            "since": self.since,
            "until": self.until,
            **more,
        }


@dataclass(frozen=True, slots=True)
class Undecided:
    """A generation that is neither promoted nor dropped, and what it is made of."""

    generation: int
    state: str
    provenance: Provenance
    scope: Scope


@dataclass(frozen=True, slots=True)
class Read:
    """Messages that were read again: the facts found, and by which answer.

    `answer` and `tokens` are what was paid for just now; `asked` is false for a stored answer.
    """

    messages: Sequence[UUID]
    session: str
    validated: Validated
    extraction: UUID | None
    asked: bool = False
    answer: dict[str, Any] | None = None
    tokens: tuple[int, int] = (0, 0)

    @property
    def rests_on(self) -> set[UUID]:
        return {*self.messages, *(m for f in self.validated.facts for m in f.source_message_ids)}

    def without(self, erased: Collection[UUID]) -> Read:
        """The same, but for whatever rests on messages that were erased meanwhile."""
        if not erased:
            return self
        words = {str(message) for message in erased}
        facts = [f for f in self.validated.facts if not set(f.source_message_ids) & set(erased)]
        given = self.answer["facts"] if self.answer is not None else []
        kept = [raw for raw in given if isinstance(raw, dict) and _spares(raw, words)]
        return replace(
            self,
            validated=Validated(facts, self.validated.dropped),
            answer=None if self.answer is None else {"facts": kept},
        )


def _spares(raw: Mapping[str, Any], messages: Collection[str]) -> bool:
    """Whether what a model answered names its messages, and none of these."""
    named = source_ids(raw)
    return bool(named) and not set(named) & set(messages)


@asynccontextmanager
async def held(db: OperatorDatabase, scope: Scope) -> AsyncIterator[Transaction]:
    """Keep everybody else from replaying this user, for as long as our connection lives.

    Raises ReplayRefusedError when somebody else does.
    """
    async with db.autocommit() as tx:
        if not await tx.value(queries["try_hold"], scope.params()):
            raise ReplayRefusedError(
                f"a replay of {scope.user} is running: wait until it ends, or stop it"
            )
        try:
            yield tx
        finally:
            if not tx.connection.closed:
                await tx.execute(queries["release"], scope.params())


async def still_held(holder: Transaction) -> None:
    """Raise psycopg.OperationalError when the connection that holds the user has gone."""
    await holder.value(queries["still_held"])


async def users_with_messages(db: OperatorDatabase, tenant: str) -> list[str]:
    async with db.autocommit() as tx:
        rows = await tx.rows(queries["users_with_messages"], {"tenant": tenant})
    return [row["user_id"] for row in rows]


async def generation_in_use(db: OperatorDatabase, scope: Scope) -> int | None:
    async with db.autocommit() as tx:
        found: int | None = await tx.value(queries["generation_in_use"], scope.params())
        return found


async def undecided(db: OperatorDatabase, tenant: str, user: str) -> Undecided | None:
    async with db.autocommit() as tx:
        row = await tx.row(queries["undecided"], {"tenant": tenant, "user": user})
    if row is None:
        return None
    return Undecided(
        row["generation"],
        row["state"],
        Provenance(row["extractor"], row["model"], row["prompt"]),
        Scope(tenant, user, row["session_id"], row["since"], row["until"]),
    )


async def create(db: OperatorDatabase, scope: Scope, provenance: Provenance) -> int:
    params = scope.params(**_by(provenance))
    async with db.transaction() as tx:
        generation: int = await tx.value(queries["create"], params)
        return generation


async def set_state(db: OperatorDatabase, scope: Scope, generation: int, state: str) -> None:
    async with db.transaction() as tx:
        await tx.execute(queries["set_state"], scope.params(generation=generation, state=state))


async def heard(db: OperatorDatabase, scope: Scope, generation: int) -> tuple[list[Heard], int]:
    """Read what is to be read again, and how many other messages are to be carried over."""
    async with db.autocommit() as tx:
        rows = await tx.rows(queries["heard"], scope.params(generation=generation))
    asked = [Heard(**row) for row in rows if row.pop("in_scope")]
    return asked, len(rows) - len(asked)


async def answers(db: OperatorDatabase, scope: Scope, provenance: Provenance) -> list[StoredAnswer]:
    async with db.autocommit() as tx:
        rows = await tx.rows(queries["answers"], scope.params(**_by(provenance)))
    return [StoredAnswer(row["id"], frozenset(row["messages"])) for row in rows]


async def answer_of(db: OperatorDatabase, scope: Scope, extraction: UUID) -> Any:
    """Read the facts of a stored answer, as the model gave them."""
    async with db.autocommit() as tx:
        answer = await tx.value(queries["answer"], scope.params(id=extraction))
    return answer.get("facts") if isinstance(answer, dict) else None


async def messages(
    db: OperatorDatabase, scope: Scope, ids: Collection[UUID]
) -> tuple[list[SourceMessage], list[ChatTurn]]:
    """Read messages of one session in order, and the turns before the first of them."""
    async with db.autocommit() as tx:
        rows = await tx.rows(queries["messages"], scope.params(ids=list(ids)))
        found = [SourceMessage(**row) for row in rows]
        if not found:
            return [], []
        params = {
            **scope.params(),
            "session": found[0].session,
            "before": found[0].said_at,
            "limit": CONTEXT_MESSAGES,
        }
        before = await tx.rows(queries["turns_before"], params)
    turns = [
        ChatTurn(str(r["id"]), role_of(r["role"], r["metadata"]), r["said_at"], r["content"])
        for r in before
    ]
    return found, turns[::-1]


async def current_attributes(db: OperatorDatabase, scope: Scope) -> tuple[list[Row], Acts]:
    """Read every observation of the user's own attributes in the generation in use."""
    async with db.autocommit() as tx:
        every = await ledger.attributes_of(tx, scope.tenant, scope.user)
        own = [attribute for attribute in every if attribute[0] == "user"]
        rows = await ledger.read_attributes(tx, scope.tenant, scope.user, own)
        return rows, await ledger.read_acts(tx, scope.tenant, scope.user)


async def save(
    db: OperatorDatabase, scope: Scope, generation: int, provenance: Provenance, read: Read
) -> list[Announcement]:
    """Store what was read, once: the answer, its facts, and which messages it accounts for."""
    async with db.transaction() as tx:
        erased = await tx.rows(queries["erased_among"], scope.params(ids=list(read.rests_on)))
        read = read.without([row["id"] for row in erased])
        if read.asked:
            await tx.execute(
                queries["save_answer"],
                {
                    **scope.params(**_by(provenance)),
                    "id": read.extraction,
                    "session": read.session,
                    "answer": Jsonb(read.answer) if read.answer is not None else None,
                    "input_tokens": read.tokens[0],
                    "output_tokens": read.tokens[1],
                    "dropped": Jsonb(read.validated.dropped) if read.validated.dropped else None,
                    "ids": list(read.messages),
                },
            )
        params = scope.params(
            generation=generation, extraction=read.extraction, ids=list(read.messages)
        )
        rows = await tx.rows(queries["account_for"], params)
        ours = {row["chat_log_id"] for row in rows}
        facts = [f for f in read.validated.facts if f.source_message_ids[0] in ours]
        return await insert_facts(tx, facts)


def _by(provenance: Provenance) -> dict[str, str]:
    return {
        "extractor": provenance.extractor,
        "model": provenance.model,
        "prompt": provenance.prompt,
    }


async def carry(
    tx: Transaction,
    scope: Scope,
    generation: int,
    *,
    ids: Collection[UUID] | None = None,
    everything: bool = False,
    settled: bool = False,
) -> list[Announcement]:
    """Copy the facts in use of messages that are not read again; returns the bells for them.

    Of the named messages, or of those outside the scope, or of all that are left; a message is
    noted first, so that its facts are all there when they are looked for. `settled` copies count at
    once, with what was decided about them.
    """
    params = scope.params(generation=generation)
    named = list(ids) if ids is not None else None
    carried = await tx.rows(
        queries["account_for_carried"],
        {**params, "ids": named, "everything": everything or named is not None},
    )
    rows = await tx.rows(
        queries["facts_to_carry"], {**params, "ids": [row["chat_log_id"] for row in carried]}
    )
    if not rows:
        return []
    copies = {
        **params,
        "settled": settled,
        "old_ids": [row["id"] for row in rows],
        "new_ids": [_copy_id(scope.tenant, generation, row) for row in rows],
    }
    await tx.rows(queries["hold_active_space"])
    copied = await tx.rows(queries["carry_facts"], copies)
    await tx.execute(queries["carry_vectors"], copies)
    if settled:
        copy_of = dict(zip(copies["old_ids"], copies["new_ids"], strict=True))
        await _carry_verdicts(tx, scope, copy_of)
    await tx.execute(queries["left_out"])
    streams = {"extracted": EXTRACTED, "embedded": EMBEDDED}
    return [
        (stream, bell)
        for state, stream in streams.items()
        for bell in bells_for(row for row in copied if row["state"] == state)
    ]


async def _carry_verdicts(tx: Transaction, scope: Scope, copy_of: Mapping[UUID, UUID]) -> None:
    """What was decided about two facts holds for their copies; one stated directly is its own."""
    rows = await tx.rows(queries["verdicts_to_carry"], scope.params(ids=list(copy_of)))
    pairs = []
    for row in rows:
        first = row["first_id"] if row["first_stated"] else copy_of.get(row["first_id"])
        second = row["second_id"] if row["second_stated"] else copy_of.get(row["second_id"])
        if first is not None and second is not None:
            pairs.append((min(first, second), max(first, second), row))
    params = {
        "firsts": [first for first, _, _ in pairs],
        "seconds": [second for _, second, _ in pairs],
        **{f"{name}s": [row[name] for _, _, row in pairs] for name in _DECIDED},
    }
    await tx.execute(queries["carry_verdicts"], scope.params(**params))


_DECIDED = ("verdict", "judge", "reason", "cosine")


def _copy_id(tenant: str, generation: int, row: Row) -> UUID:
    """The id it would have had there; what came another way has one made of its own."""
    first, ordinal = row["first"], row["ordinal"]
    if first is None or row["id"] != fact_id(tenant, row["generation"], first, ordinal):
        return derived_id("carried", tenant, generation, row["id"])
    return fact_id(tenant, generation, first, ordinal)
