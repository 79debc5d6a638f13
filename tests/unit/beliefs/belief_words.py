"""Short words for what users say, so that a test reads like the table in BELIEFS.md.

A time of saying or asking is `2018`, `2018-06`, `2018-06-04` or with an hour `2018-06-04T18`; the
rest of it is early for saying and in the middle for asking. A stated date has the precision in
which it is written, and `2015~` is "a few years".
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import NAMESPACE_OID, UUID, uuid5

from shared.beliefs import (
    Correction,
    Observation,
    SlotTimeline,
    Tombstone,
    fold_slot,
    plan_status_at,
    planned_at,
)

PRECISIONS = {4: "year", 5: "years", 7: "month", 10: "day", 13: "instant"}


def said(text: str) -> datetime:
    """Early in the period: when something is said in stories."""
    return _moment(text, "-02-01T10", "-01T10", "T10")


def asked(text: str) -> datetime:
    """In the middle of the period: when something is asked in stories."""
    return _moment(text, "-07-01T12", "-15T12", "T12")


def dated(text: str | None) -> datetime | None:
    """The beginning of the unit: a date as the extractor gives it."""
    return None if text is None else _moment(text.rstrip("~"), "-01-01T00", "-01T00", "T00")


def _moment(text: str, in_year: str, in_month: str, in_day: str) -> datetime:
    rest = {4: in_year, 7: in_month, 10: in_day}.get(len(text), "")
    return datetime.fromisoformat(text + rest).replace(tzinfo=UTC)


def identity(*parts: object) -> UUID:
    return uuid5(NAMESPACE_OID, repr(parts))


def holds(
    when: str,
    value: str | None,
    since: str | None = None,
    until: str | None = None,
    *,
    slot: str | None = "home_city",
    state: str = "current",
    claim: str = "holds",
    many: bool = False,
    arrived: str | None = None,
    message: str | None = None,
    ordinal: int = 0,
    subject: str = "user",
) -> Observation:
    """One observation; its message is named after the time of saying unless told otherwise."""
    key = message or f"m{when}"
    fact = identity(key, ordinal, subject, slot, value, state, claim, since, until)
    return Observation(
        fact_id=fact,
        subject=subject,
        slot=slot,
        value=value,
        value_key=None if value is None else value.lower(),
        cardinality="many" if many else "one",
        claim=claim,
        temporal_state=state,
        said_at=said(when),
        recorded_at=said(arrived or when),
        message_key=key,
        ordinal=ordinal,
        occurred_at=dated(since),
        occurred_precision=PRECISIONS[len(since)] if since else None,
        ended_at=dated(until),
        ended_precision=PRECISIONS[len(until)] if until else None,
        source_message_ids=(identity(key),),
    )


def past(when: str, value: str, since: str | None = None, until: str | None = None, **more):
    return holds(when, value, since, until, state="past", **more)


def recurring(when: str, value: str, **more):
    return holds(when, value, state="recurring", **more)


def plans(when: str, value: str, day: str | None = None, **more):
    return holds(when, value, day, state="future", **more)


def ends(when: str, value: str | None = None, on: str | None = None, **more):
    return holds(when, value, until=on, claim="ends", **more)


def denies(when: str, value: str | None = None, since=None, until=None, **more):
    return holds(when, value, since, until, claim="denies", **more)


def corrects(when: str, target: UUID, value: str, slot: str = "home_city") -> Correction:
    return Correction(
        id=identity("act", when, value),
        at=said(when),
        fact_id=target,
        subject="user",
        slot=slot,
        value=value,
        value_key=value.lower(),
    )


def forgets(when: str, value: str, slot: str | None = "home_city", subject="user") -> Tombstone:
    return Tombstone(
        id=identity("stone", when, value),
        at=said(when),
        subject=subject,
        slot=slot,
        value_key=value.lower(),
    )


@dataclass(frozen=True)
class Told:
    """Everything that was put in, of any slot, in any order and any number of copies."""

    inputs: Sequence[Observation | Correction | Tombstone]

    def timeline(self, slot: str = "home_city", known: str | None = None) -> SlotTimeline:
        return fold(self.inputs, slot, asked(known) if known else None)

    def believed(self, when: str, known: str | None = None, slot: str = "home_city") -> list[str]:
        moment = asked(when)
        return sorted(
            interval.value
            for interval in self.timeline(slot, known).intervals
            if interval.valid_from <= moment
            and (interval.valid_to is None or moment < interval.valid_to)
        )

    def planned(self, when: str) -> list[str]:
        """Standing plans as "Dallas planned" or "Dallas due"."""
        found = planned_at(self.timeline(), asked(when))
        return [f"{plan.value} {plan_status_at(plan, asked(when))}" for plan in found]


def of_type(inputs: Iterable, kind: type) -> list:
    return [one for one in inputs if isinstance(one, kind)]


def fold(inputs, slot="home_city", known_at=None, lasts=None) -> SlotTimeline:
    observations = [o for o in of_type(inputs, Observation) if o.slot == slot]
    return fold_slot(
        observations, of_type(inputs, Correction), of_type(inputs, Tombstone), known_at, lasts
    )


def redelivered(observation: Observation, when: str) -> Observation:
    """The same message, delivered again later."""
    return replace(observation, recorded_at=said(when))
