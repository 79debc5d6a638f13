"""Durable statements that no attribute fits, kept in the speaker's own words.

Decides which of them are worth keeping (not the passing moment, not about the listener) and how
they read in third person: "I mentor junior engineers" becomes "Mentors junior engineers". Pure.
"""

import re

from services.extractor import wording
from services.extractor.drafts import Draft
from services.extractor.languages import FreeRule, Language
from services.extractor.times import Timing
from services.extractor.turns import TemporalState

_UNNAMED = re.compile(
    r"^\w+ (?:back )?(?:it|this|these|those|them|there|here)\b"
    r"|\b(?:few|some|one|ones|it|that|this|them|there)$",
    re.IGNORECASE,
)
_COMING = re.compile(
    r"am (?:planning|moving|expecting|going|flying|launching|starting|hosting|attending)\b"
)
_LEARNING = re.compile(r"\b(?:learn|stud|course|class|degree|exam|thesis|lesson|graduat)\w*")
_WORKING = re.compile(
    r"\b(?:work(?!\s?out)|job|project|client|team|company|startup|junior|engineer)\w*"
)
_MAX_WORDS = 40


def free_draft(dated: str, predicate: str, timing: Timing, language: Language) -> Draft | None:
    """The statement as a fact without an attribute; None if it is not worth keeping.

    `predicate` is what was said without subject and times, `dated` the same with its times
    written out.
    """
    for rule in language.free:
        if rule.when.search(predicate) and _is_durable(rule, dated, timing, language):
            start = timing.first("at", "since", "between")
            until = timing.first("until", "between")
            return Draft(
                slot=None,
                value=None,
                content=wording.third_person(
                    dated, language.forms, conjugate=rule.tense == "present"
                ),
                state=rule.state or _state(rule, dated, timing),
                confidence=0.7,
                category=_category(rule, dated),
                occurred_at=start.begins if start else None,
                ended_at=until.ends if until else None,
            )
    return None


def _is_durable(rule: FreeRule, dated: str, timing: Timing, language: Language) -> bool:
    if not rule.min_words <= len(dated.split()) <= _MAX_WORDS:
        return False
    if language.words["TRANSIENT"].search(dated) or _UNNAMED.search(dated):
        return False
    if rule.lasting and timing.first("since", "lasting") is None:
        return False
    if rule.every and timing.first("every") is None:
        return False
    return not rule.dated or timing.first("at", "between", "since") is not None


def _state(rule: FreeRule, dated: str, timing: Timing) -> TemporalState:
    if timing.first("every"):
        return "recurring"
    if dated.startswith("used to "):
        return "past"
    if rule.tense == "future" or _COMING.match(dated):
        return "future"
    return "past" if rule.tense == "past" and not dated.startswith("have ") else "current"


def _category(rule: FreeRule, dated: str) -> str:
    if rule.category != "@work":
        return rule.category
    if _LEARNING.search(dated):
        return "learning"
    return "work_context" if _WORKING.search(dated) else "biographical"
