"""What a model meant by a fact whose fields are not quite as asked (pure).

Only `content` and `source_message_ids` are required. A field of the wrong type or an unknown word
is put right where its meaning is plain and left out where it only adds; where leaving it out would
turn the meaning (who it is about, whether it holds) the fact is dropped, with its reason.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any, get_args

from services.extractor.occasions import resolved
from shared.facts.dates import ends_before
from shared.slots import Category

CATEGORIES = frozenset(get_args(Category))
_SELF = frozenset({"user", "the user", "i", "me", "myself", "self", "speaker", "the speaker"})
_CLAIMS = {
    "holds": "holds", "hold": "holds", "true": "holds", "asserts": "holds",
    "ends": "ends", "end": "ends", "ended": "ends",
    "denies": "denies", "deny": "denies", "denied": "denies", "negates": "denies",
    "false": "denies",
}  # fmt: skip
_STATES = {
    "current": "current", "present": "current", "ongoing": "current", "now": "current",
    "past": "past", "former": "past", "previous": "past",
    "future": "future", "planned": "future", "upcoming": "future",
    "recurring": "recurring", "habitual": "recurring", "repeated": "recurring",
}  # fmt: skip
_SURE = {
    "very high": 0.95,
    "certain": 0.95,
    "high": 0.9,
    "medium": 0.7,
    "low": 0.4,
    "very low": 0.2,
}
_LONGEST = {"slot": 100, "value": 500}


def put_right(raw: Mapping[str, Any], at: datetime) -> dict[str, Any] | str:
    """The fields of a statement, or why the fact is dropped; `at` is its message's own time."""
    content = raw.get("content")
    if not isinstance(content, str) or not content.strip():
        return "invalid_content"
    subject, claim = _subject(raw.get("subject")), _word(raw.get("claim"), _CLAIMS, "holds")
    state = _word(raw.get("temporal_state"), _STATES, "current")
    if subject is None or claim is None or state is None:
        wrong = {"subject": subject, "claim": claim, "temporal_state": state}
        return f"invalid_{next(name for name, value in wrong.items() if value is None)}"
    ahead, quote = state == "future", quote_of(raw)
    begins = resolved(raw.get("occurred_at"), at, ahead=ahead, quote=quote)
    ends = resolved(raw.get("ended_at"), at, ahead=ahead, ends=True, quote=quote)
    if begins and ends and ends_before(begins, ends):
        begins = ends = None  # nobody knows which of the two is wrong
    return {
        "content": " ".join(content.split()),
        "category": _category(raw.get("category")),
        "subject": subject,
        "slot": _text(raw, "slot"),
        "value": _text(raw, "value"),
        "cardinality": _word(raw.get("cardinality"), {"one": "one", "many": "many"}, None),
        "claim": claim,
        "temporal_state": state,
        "confidence": confidence(raw.get("confidence")),
        "occurred_at": begins,
        "ended_at": ends,
    }


def source_ids(raw: Mapping[str, Any]) -> list[str]:
    """The ids a fact names: a list, or one by itself."""
    named = raw.get("source_message_ids")
    listed = named if isinstance(named, list) else [named]
    return [str(each).strip().casefold() for each in listed if isinstance(each, str | int)]


def quote_of(raw: Mapping[str, Any]) -> str | None:
    quote = raw.get("quote")
    return quote if isinstance(quote, str) and quote.strip() else None


def confidence(said: Any) -> float | None:
    """A share of one: from 0.9, "0.9", "90%", 90 or "high"; None for anything else."""
    if isinstance(said, str):
        text = said.strip().casefold()
        if text in _SURE:
            return _SURE[text]
        try:
            said = float(text.rstrip("% ")) / (100 if text.endswith("%") else 1)
        except ValueError:
            return None
    if isinstance(said, bool) or not isinstance(said, int | float) or not math.isfinite(said):
        return None
    share = said / 100 if 1 < said <= 100 else said
    return float(share) if 0 <= share <= 1 else None


def _subject(said: Any) -> str | None:
    """Who it is about; a fact about one cannot be taken for another's."""
    if isinstance(said, list) and len(said) == 1:
        said = said[0]
    if said is None or (isinstance(said, str) and not said.strip()):
        return "user"
    if not isinstance(said, str) or len(said) > 500:
        return None
    return "user" if said.strip().casefold() in _SELF else said


def _word(said: Any, known: Mapping[str, str], default: str | None) -> str | None:
    if said is None or said == "":
        return default
    return known.get(said.strip().casefold()) if isinstance(said, str) else None


def _category(said: Any) -> str | None:
    plain = "_".join(said.casefold().replace("-", " ").split()) if isinstance(said, str) else ""
    return plain if plain in CATEGORIES else None


def _text(raw: Mapping[str, Any], name: str) -> str | None:
    said = raw.get(name)
    if isinstance(said, int | float) and not isinstance(said, bool):
        said = str(said)
    if not isinstance(said, str) or not 0 < len(said.strip()) <= _LONGEST[name]:
        return None
    return None if said.strip().casefold() in {"null", "none", "n/a"} else said
