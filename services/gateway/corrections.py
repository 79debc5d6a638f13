"""From a request to correct a fact to the operator's own fact (pure): its words, value and labels.

A correction never changes what was observed: it is an observation of its own, made by an operator.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from services.gateway.errors import invalid
from services.gateway.requests import FactCorrection
from shared import slots
from shared.db import Row
from shared.facts.statements import SELF, NewFact, Statement
from shared.ledger.folding import ACT_KEY

_GENERATION = 0  # counts in every generation
_CERTAIN = 1.0
OPERATOR = "operator"
"""The speaker of what was corrected."""


def labels_asked(old: Row, asked: FactCorrection) -> dict[str, Any] | None:
    """The labels to give to a fact, when nothing else is asked; None when it should say otherwise.

    What is not said anew is not believed anew: such a request changes no belief.
    """
    says_otherwise = asked.content not in {None, old["content"]}
    means_otherwise = asked.value is not None and (not old["slot"] or asked.value != old["value"])
    if says_otherwise or means_otherwise:
        return None
    labels = {"category": asked.category, "metadata": asked.metadata, "pinned": asked.pinned}
    return {name: label for name, label in labels.items() if label is not None}


def labels_now(acts: Iterable[Row]) -> dict[str, Any]:
    """A fact's labels after all acts on them, in order: each says anew what it names."""
    told = list(acts)
    labels: dict[str, Any] = dict(told[0]["labels"]["before"])
    for act in told:
        if not act["undone"]:
            labels |= act["labels"]["asked"]
    return labels


def corrected(old: Row, asked: FactCorrection, act: UUID) -> NewFact:
    """Make the fact that takes the old one's place; what is not mentioned stays as it was.

    Raises ApiError (invalid_request) where words and value would contradict each other.
    """
    value = asked.value if asked.value is not None else old["value"]
    content = _content(old, asked)
    statement = Statement.model_construct(
        content=content,
        subject=old["subject"],
        value=value,
        claim=old["claim"],
        temporal_state=old["temporal_state"],
        confidence=_CERTAIN,
    )
    return NewFact(
        tenant=old["tenant_id"],
        user=old["user_id"],
        id=act,
        generation=_GENERATION,
        statement=statement,
        category=asked.category or old["category"],
        slot=old["slot"],
        value_key=_value_key(old["slot"], value, content),
        cardinality=old["cardinality"],
        occurred_at=old["occurred_at"],
        occurred_precision=old["occurred_precision"],
        ended_at=old["ended_at"],
        ended_precision=old["ended_precision"],
        said_at=None,
        recorded_at=None,
        message_key=f"{ACT_KEY}{act.hex}",
        ordinal=0,
        session=old["session_id"],
        agent_id=old["agent_id"],
        speaker=OPERATOR,
        metadata=asked.metadata if asked.metadata is not None else old["metadata"],
        source="operator",
    )


def _value_key(slot: str | None, value: str | None, content: str) -> str | None:
    if slot is None:
        return slots.value_key(None, content)
    return slots.value_key(slot, value) if value else None


def _content(old: Row, asked: FactCorrection) -> str:
    if old["slot"] is None and asked.value is not None:
        raise invalid("value", "this fact is a sentence without a slot: correct its content")
    if asked.value is None:
        return _reworded(old, asked.content)
    return asked.content or _with_value(old, asked.value)


def _reworded(old: Row, content: str | None) -> str:
    """Refuse a sentence that no longer says the value that would be kept."""
    before: str = old["content"]
    if content is None:
        return before
    value = old["value"]
    if value and _says(before, value) and not _says(content, value):
        raise invalid("value", f"is needed too: the sentence no longer says {value!r}")
    return content


def _with_value(old: Row, value: str) -> str:
    """Put the value where the old one stood in the sentence, else name slot and value."""
    content, before = old["content"], old["value"]
    if before and _says(content, before):
        return _pattern(before).sub(lambda _: value, content)
    if old["claim"] != "holds":
        raise invalid("content", "is needed too: the sentence does not say the value")
    name = old["slot"].replace("_", " ")
    if old["subject"] == SELF:
        return f"{name[:1].upper()}{name[1:]}: {value}"
    return f"{old['subject']}'s {name}: {value}"


def _says(content: str, value: str) -> bool:
    return _pattern(value).search(content) is not None


def _pattern(value: str) -> re.Pattern[str]:
    """The value as words of its own: "Rome" is not in "Romeo"."""
    return re.compile(rf"(?<!\w){re.escape(value)}(?!\w)", re.IGNORECASE)


def digest(*request: Any) -> bytes:
    """Digest a request in one spelling, for its Idempotency-Key."""
    return hashlib.sha256(json.dumps(request, sort_keys=True, default=str).encode()).digest()


def public_acts(acts: list[Row]) -> list[Mapping[str, Any]]:
    """Tell what operators did, first things first; what was taken back says by whom and why."""
    told: list[Mapping[str, Any]] = []
    for act in acts:
        told.append(
            {
                "id": act["deed"],
                "kind": _kind(act),
                "at": act["acted_at"],
                "actor": act["actor"],
                "reason": act["reason"],
                "fact_id": act["fact_id"],
                "new_fact_id": act["id"] if act["kind"] == "correction" else None,
            }
        )
        if act["undo_id"] is not None:
            told.append(
                {
                    "id": act["undo_id"],
                    "kind": "undo",
                    "at": act["undone_at"],
                    "actor": act["undone_by"],
                    "reason": act["undone_because"],
                    "fact_id": act["fact_id"],
                    "undoes": act["deed"],
                }
            )
    return sorted(told, key=lambda act: act["at"])


def _kind(act: Row) -> str:
    if act["kind"] in {"correction", "labels"}:
        return "correction"
    if act["kind"] in {"approval", "rejection"}:
        return str(act["kind"])
    if act["sweeping"]:
        return "forgetting"
    return "erasure" if act["erased"] else "deletion"
