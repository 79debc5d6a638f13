"""From a matched pattern to a fact: value, wording, claim and dates.

Decides what a match says in its tense ("I moved to Dallas" holds now, "I lived in Dallas" does
not), how it is worded in third person and which of the clause's times bound it. Pure.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from services.extractor import wording
from services.extractor.frames import Frame
from services.extractor.languages import FreeRule, Language, Rule
from services.extractor.plausible import is_plausible
from services.extractor.times import TimeMention
from services.extractor.turns import Claim, RawFact, TemporalState
from shared.slots import resolve, value_key

_LIST = re.compile(r",? (?:and|&|as well as) |, |/(?=[A-Z])")
_ARTICLE = re.compile(r"^(?:an?|the|some|my|our) (?=\w)", re.IGNORECASE)
_UNNAMED = re.compile(r"\b(?:few|some|one|ones|it|that|this|them|there)$", re.IGNORECASE)
_ABIDING = ("live", "work", "study", "reside", "teach")
_CORRECTABLE = {"home_city", "home_country", "employer", "name", "job_title", "hometown", "partner",
                "birth_place", "home_region", "location"}  # fmt: skip


class Lookup(Protocol):
    """Which attribute a bare value belongs to."""

    def slot_of(self, value: str, among: Sequence[str] = ()) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Timing:
    """A statement as said, without its times, with its times written out, and the times."""

    original: str
    text: str
    dated: str
    mentions: tuple[TimeMention, ...]
    at: datetime

    def first(self, *kinds: str) -> TimeMention | None:
        return next((each for each in self.mentions if each.kind in kinds), None)


@dataclass(frozen=True, slots=True)
class Draft:
    """A fact before it is given its source."""

    slot: str | None
    value: str | None
    content: str
    claim: Claim = "holds"
    state: TemporalState = "current"
    confidence: float = 0.9
    subject: str = "user"
    category: str = "biographical"
    occurred_at: str | None = None
    ended_at: str | None = None

    @property
    def key(self) -> str:
        """What makes it another statement than its neighbours."""
        if self.slot is None:
            return self.content
        return value_key(self.slot, self.value) if self.value else ""

    @property
    def may_be_corrected(self) -> bool:
        return self.slot in _CORRECTABLE and self.claim == "holds" and self.value is not None

    def denying(self, old: str) -> "Draft":
        """The same attribute, the value that was withdrawn."""
        content = self.content.replace(self.value or "", old)
        first, _, rest = content.partition(" ")
        negated = f"Is not {rest}" if first == "Is" else f"Not true: {content}"
        if first.endswith("s") and first != "Is":
            negated = f"Does not {_infinitive(first)} {rest}"
        return replace(self, value=old, content=negated, claim="denies", occurred_at=None)

    def as_fact(self, message_id: str, quote: str) -> RawFact:
        spec = resolve(self.slot) if self.slot else None
        return RawFact(
            content=self.content,
            category=spec.category if spec else self.category,
            subject=self.subject,
            slot=spec.name if spec else self.slot,
            value=self.value,
            cardinality=(spec.cardinality if spec else "one") if self.slot else None,
            claim=self.claim,
            temporal_state=self.state,
            confidence=self.confidence,
            source_message_ids=[message_id],
            quote=quote,
            occurred_at=self.occurred_at,
            ended_at=self.ended_at,
        )


def slot_drafts(
    rule: Rule,
    match: re.Match[str],
    frame: Frame,
    timing: Timing,
    language: Language,
    lookup: Lookup,
) -> list[Draft]:
    """What one match of a rule says; empty when tense, polarity or value speak against it."""
    reading = _reading(rule, frame, timing)
    if reading is None or (rule.needs and not rule.needs.search(timing.original)):
        return []
    claim, state = reading
    caught = {name: text for name, text in match.groupdict().items() if text}
    if rule.relation:
        caught["relation"] = rule.relation
    drafts: list[Draft] = []
    for value in _values(rule, caught):
        slot = _slot(rule, caught, value, language, lookup)
        if slot is None or (rule.only and slot not in rule.only):
            continue
        if value and not is_plausible(rule.shape, value, match.string, language):
            continue
        drafts.append(_draft(rule, slot, value, caught, claim, state, frame, timing, language))
    return drafts


def _reading(rule: Rule, frame: Frame, timing: Timing) -> tuple[Claim, TemporalState] | None:
    """What the tense makes of the rule: (claim, temporal state), or None if it says nothing."""
    if rule.claim == "denies":
        return ("denies", "current") if frame.claim in ("denies", "ends") else None
    if rule.affirmed and frame.claim == "denies":
        return None
    if rule.tense and frame.tense != rule.tense and not _matches_any_present(rule, frame):
        return None
    if rule.scope == "text":
        return rule.claim, rule.state or "current"
    if rule.event:
        return _event_reading(rule, frame, timing)
    state = _state(rule, frame, timing)
    if frame.claim == "denies" and frame.tense == "perfect" and timing.first("since"):
        return "ends", "current"
    if frame.claim != "holds" and state != "future":
        return frame.claim, "current"
    return frame.claim, rule.state or state


def _matches_any_present(rule: Rule, frame: Frame) -> bool:
    return rule.tense == "progressive" and frame.base.startswith("be ")


def _event_reading(rule: Rule, frame: Frame, timing: Timing) -> tuple[Claim, TemporalState] | None:
    """A change that happened holds now; one that is coming is a plan; one denied says nothing."""
    if frame.claim != "holds" or frame.used_to:
        return None
    ahead = frame.tense in ("progressive", "future") or (
        frame.tense == "present"
        and any((each.begins or "") > timing.at.date().isoformat() for each in timing.mentions)
    )
    if ahead and not rule.settled:
        return rule.claim, "future"
    if frame.tense == "present" and not frame.base.startswith("be "):
        return None
    return rule.claim, rule.state or "current"


def _state(rule: Rule, frame: Frame, timing: Timing) -> TemporalState:
    if frame.tense == "future":
        return "future"
    verb = frame.base.split(" ")[0]
    if frame.tense == "past":
        passive = verb == "be" and frame.participle
        happened = rule.settled and (passive or verb not in ("have", "be", "own", "drive"))
        return "current" if happened and not frame.used_to else "past"
    if frame.tense == "perfect" and verb in _ABIDING and not timing.first("since", "lasting"):
        return "past" if not re.search(r"\b(?:always|all my life)\b", timing.text) else "current"
    if timing.first("every") and rule.slot in ("location", "home_city"):
        return "recurring"
    return "current"


def _values(rule: Rule, caught: Mapping[str, str]) -> list[str]:
    if rule.value is not None:
        return [rule.value.format_map(caught) if rule.value else ""]
    whole = caught.get("value", "").strip(" ,.;:!\"'")
    if not rule.list:
        return [whole]
    parts = [part.strip(" ,.;:!\"'") for part in _LIST.split(whole)]
    if rule.shape != "liked":
        parts = [_ARTICLE.sub("", part) for part in parts]
    return [part for part in parts if part] if all(len(p.split()) <= 5 for p in parts) else [whole]


def _slot(
    rule: Rule, caught: Mapping[str, str], value: str, language: Language, lookup: Lookup
) -> str | None:
    """The rule's attribute; `""` stands for none, None for "not this rule"."""
    if rule.slot == "@relation":
        return language.relation_slot(caught.get("relation", ""))
    if rule.slot == "@favorite":
        what = "favorite_" + re.sub(r"\W+", "_", caught["what"].lower())
        spec = resolve(what) or resolve(wording.singular(what))
        return spec.name if spec else what
    if rule.slot == "@known":
        return lookup.slot_of(value) or "pet"
    if rule.slot == "@left":
        return lookup.slot_of(value, ("home_city", "employer", "partner")) or (
            "home_city" if language.words["CITIES"].fullmatch(value) else "employer"
        )
    return rule.slot


def _draft(
    rule: Rule,
    slot: str,
    value: str,
    caught: Mapping[str, str],
    claim: Claim,
    state: TemporalState,
    frame: Frame,
    timing: Timing,
    language: Language,
) -> Draft:
    say = rule.say
    if claim == "denies" and rule.opposite and not frame.never:
        slot, say, claim = rule.opposite["slot"], rule.opposite["say"], "holds"
    words = {name: wording.they(text) for name, text in caught.items()} | {
        "value": wording.they(value),
        "a value": wording.with_article(wording.they(value)),
        "a relation": wording.with_article(wording.singular(caught.get("relation", ""))),
        "to": caught.get("to", ""),
        "NO": "any",
        "month": f"{timing.at:%B %Y}",
        "verb": {"home_city": "live in", "partner": "be with"}.get(slot, "work at"),
    }
    content = _content(rule, say.format_map(words), words, claim, state, frame, timing, language)
    begins, ends = _bounds(claim, state, frame, timing) if not rule.times else (None, None)
    return Draft(
        slot=slot or None,
        value=value if value and slot else None,
        content=content,
        claim=claim,
        state=state,
        confidence=rule.confidence,
        subject=rule.subject.format_map(caught) if rule.subject else "user",
        occurred_at=begins,
        ended_at=ends,
    )


def _content(
    rule: Rule,
    infinitive: str,
    words: Mapping[str, str],
    claim: Claim,
    state: TemporalState,
    frame: Frame,
    timing: Timing,
    language: Language,
) -> str:
    if rule.content and claim == rule.claim and state == "current":
        return rule.content.format_map(words)
    if rule.plan and state == "future" and claim == "holds":
        infinitive, state = rule.plan.format_map(words), "current"
        said = wording.phrase(infinitive, claim, state, language.forms)
        return " ".join([said, *(each.wording for each in timing.mentions)])
    told_as_past = state == "past" or (rule.state == "current" and frame.tense == "past")
    said = wording.phrase(
        infinitive,
        claim,
        "past" if told_as_past else state,
        language.forms,
        used_to=frame.used_to,
        never=frame.never,
    )
    shown = claim == "ends" or state != "current" or told_as_past
    times = " ".join(each.wording for each in timing.mentions) if shown else ""
    return f"{said} {times}".strip()


def _bounds(
    claim: Claim, state: TemporalState, frame: Frame, timing: Timing
) -> tuple[str | None, str | None]:
    """(occurred_at, ended_at) as far as the clause says them."""
    start = timing.first("since", "between", "at")
    until = timing.first("until", "between")
    ended = until.ends if until else None
    if claim == "ends":
        return None, ended or (start.begins if start else None)
    if (
        start is None
        and state == "current"
        and frame.tense in ("perfect", "progressive", "present")
    ):
        start = timing.first("lasting")
    return start.begins if start else None, ended


def free_draft(dated: str, predicate: str, timing: Timing, language: Language) -> Draft | None:
    """A durable statement no attribute fits, in the speaker's own words; None if it is not one."""
    for rule in language.free:
        if rule.when.search(predicate) and _is_durable(rule, dated, timing):
            content = wording.third_person(dated, language.forms, conjugate=rule.tense == "present")
            state = rule.state or _free_state(rule, dated, timing)
            start = timing.first("at", "since", "between")
            until = timing.first("until", "between")
            return Draft(
                slot=None,
                value=None,
                content=content,
                state=state,
                confidence=0.7,
                category=_category(rule, dated),
                occurred_at=start.begins if start else None,
                ended_at=until.ends if until else None,
            )
    return None


def _is_durable(rule: FreeRule, dated: str, timing: Timing) -> bool:
    words = len(dated.split())
    if not rule.min_words <= words <= 40 or re.search(r"\b(?:you|your|yours)\b", dated, re.I):
        return False
    if re.match(r"\w+ (?:it|this|these|those|them)\b", dated) or _UNNAMED.search(dated):
        return False
    if rule.lasting and timing.first("since", "lasting") is None:
        return False
    if rule.every and timing.first("every") is None:
        return False
    return not rule.dated or any(
        each.kind in ("at", "between", "since") and each.wording for each in timing.mentions
    )


def _free_state(rule: FreeRule, dated: str, timing: Timing) -> TemporalState:
    if timing.first("every"):
        return "recurring"
    if dated.startswith("used to "):
        return "past"
    ahead = r"am (?:planning|moving|expecting|going|flying|launching|starting|hosting|attending)\b"
    if rule.tense == "future" or re.match(ahead, dated):
        return "future"
    return "past" if rule.tense == "past" and not dated.startswith("have ") else "current"


def _category(rule: FreeRule, dated: str) -> str:
    if rule.category != "@work":
        return rule.category
    if re.search(r"\b(?:learn|stud|course|class|degree|exam|thesis|lesson|graduat)\w*", dated):
        return "learning"
    if re.search(r"\b(?:work|job|project|client|team|company|startup|junior|engineer)\w*", dated):
        return "work_context"
    return "biographical"


def _infinitive(third: str) -> str:
    plain = third.lower()
    return {"has": "have", "is": "be"}.get(plain, plain.removesuffix("s"))
