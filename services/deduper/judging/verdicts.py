"""What a model is asked about pairs, and what of its answer is believed (pure).

Each verdict is judged on its own: one that names no pair or no known word is dropped and counted,
its pair stays doubtful. A "duplicate" to which a guard objects keeps the two apart: a model may
retire a fact, but it never merges what differs in a number, a name or a negation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from services.deduper.candidates import FreeText, Pair, PairVerdict

WORDS = ("independent", "duplicate", "refines", "supersedes")
UNDECIDED = "doubtful"
_REASON_CHARACTERS = 500

ANSWER_SCHEMA = {
    "type": "object",
    "properties": {
        "verdicts": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "id": {"type": "string"},
                    "verdict": {"type": "string", "enum": list(WORDS)},
                    "reason": {"type": "string"},
                },
                "required": ["id", "verdict", "reason"],
            },
        }
    },
    "required": ["verdicts"],
}


@dataclass(frozen=True, slots=True)
class Reading:
    """What was made of an answer: a verdict per pair, and what was dropped, counted by reason."""

    verdicts: list[PairVerdict]
    dropped: Mapping[str, int]


def question(pairs: Sequence[Pair]) -> dict[str, Any]:
    """The document a model is sent: pairs p1, p2, … in this order."""
    return {
        "task": "judge",
        "pairs": [
            {"id": f"p{number}", "new": _as_json(pair.new), "old": _as_json(pair.old)}
            for number, pair in enumerate(pairs, start=1)
        ],
    }


def _as_json(fact: FreeText) -> dict[str, str]:
    at = fact.said.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return {"content": fact.content, "at": at}


def read_answer(answer: Mapping[str, Any], pairs: Sequence[Pair], judge: str) -> Reading:
    """Read a verdict for each of these pairs out of whatever a model answered."""
    asked = {f"p{number}": pair for number, pair in enumerate(pairs, start=1)}
    found: dict[str, PairVerdict] = {}
    dropped: Counter[str] = Counter()
    given = answer.get("verdicts")
    for item in given if isinstance(given, list) else []:
        name, word, reason = _parts(item)
        if name not in asked:
            dropped["unknown pair"] += 1
        elif word not in WORDS:
            dropped["unknown verdict"] += 1
        elif name in found:
            dropped["second verdict"] += 1
        else:
            found[name] = _bounded(asked[name], word, reason, judge)
    missing = {name: pair for name, pair in asked.items() if name not in found}
    if missing:
        dropped["no verdict"] += len(missing)
    unanswered = [p.decided(UNDECIDED, "no usable verdict", judge) for p in missing.values()]
    return Reading([*found.values(), *unanswered], dropped)


def _parts(item: Any) -> tuple[str, str, str]:
    if not isinstance(item, Mapping):
        return "", "", ""
    name, word, reason = (item.get(key) for key in ("id", "verdict", "reason"))
    spelled = word.strip().casefold() if isinstance(word, str) else ""
    said = reason.replace("\x00", "�").strip() if isinstance(reason, str) else ""
    return str(name), spelled, said[:_REASON_CHARACTERS]


def _bounded(pair: Pair, word: str, reason: str, judge: str) -> PairVerdict:
    """Believe a model, but for a merge to which a guard objects."""
    if word == "duplicate" and not pair.wording.may_merge:
        kept = f"kept apart, {pair.wording.reason}; the model said duplicate: {reason}"
        return pair.decided("independent", kept[:_REASON_CHARACTERS], judge)
    return pair.decided(word, reason or "no reason given", judge)
