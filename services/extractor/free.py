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

_COMING = re.compile(
    r"(?:am|are) (?:planning|moving|expecting|going|flying|launching|starting|hosting|attending)\b"
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
    told = language.patterns["aside"].sub("", dated).strip(" ,")
    for rule in language.free:
        if rule.when.search(predicate) and _is_durable(rule, told, timing, language):
            content = wording.third_person(told, language.forms, conjugate=rule.tense == "present")
            if rule.dated and not timing.mentions:  # "recently" means nothing next year
                content += f" around {timing.at:%B %Y}"
            return _draft(rule, told, content, timing)
    return None


def _draft(rule: FreeRule, told: str, content: str, timing: Timing) -> Draft:
    start, until = timing.first("at", "since", "between"), timing.first("until", "between")
    return Draft(
        slot=None,
        value=None,
        content=content,
        state=rule.state or _state(rule, told, timing),
        confidence=0.7,
        category=_category(rule, told),
        occurred_at=start.begins if start else None,
        ended_at=until.ends if until else None,
    )


def _is_durable(rule: FreeRule, told: str, timing: Timing, language: Language) -> bool:
    if not rule.min_words <= len(told.split()) <= _MAX_WORDS:
        return False
    words = language.words
    if any(words[name].search(told) for name in ("TRANSIENT", "VAGUE")):
        return False
    if words["DANGLING"].search(told.partition(" ")[2]):
        return False
    if rule.notable and not words["NOTABLE"].search(told):
        return False
    if rule.lasting and timing.first("since", "lasting") is None:
        return False
    if rule.every and timing.first("every") is None:
        return False
    if rule.lengthy and _is_one_day(timing):
        return False
    return not rule.dated or _is_dated(timing, language)


def _is_one_day(timing: Timing) -> bool:
    said = timing.first("at")
    return said is not None and len(said.begins or "") == len("2025-11-22")


def _is_dated(timing: Timing, language: Language) -> bool:
    """Whether it was said when it happens, be it only "recently"."""
    if timing.first("at", "between", "since"):
        return True
    return bool(language.patterns["recent"].search(timing.original))


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
