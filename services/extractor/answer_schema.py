"""The JSON schema an extraction's answer is asked for in.

Every property is required and every object closed, which OpenAI's strict mode demands and others
take: what is not known is null. Answers are read leniently all the same (`leniency.py`).
"""

from __future__ import annotations

from typing import Any

_TEXT = {"type": "string"}
_TEXT_OR_NULL = {"type": ["string", "null"]}

_FACT = {
    "content": _TEXT,
    "category": _TEXT,
    "subject": _TEXT,
    "slot": _TEXT_OR_NULL,
    "value": _TEXT_OR_NULL,
    "cardinality": {"type": ["string", "null"], "enum": ["one", "many", None]},
    "claim": {"type": "string", "enum": ["holds", "ends", "denies"]},
    "temporal_state": {"type": "string", "enum": ["current", "past", "future", "recurring"]},
    "occurred_at": _TEXT_OR_NULL,
    "ended_at": _TEXT_OR_NULL,
    "confidence": {"type": "number"},
    "source_message_ids": {"type": "array", "items": _TEXT},
    "quote": _TEXT_OR_NULL,
}


def _closed(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


ANSWER_SCHEMA = _closed({"facts": {"type": "array", "items": _closed(_FACT)}})
