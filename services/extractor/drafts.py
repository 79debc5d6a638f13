"""From a matched rule to a fact: value, wording, claim and dates.

Decides what a match says in its tense ("I moved to Dallas" holds now, "I lived in Dallas" does
not), how it is worded in third person and which of the clause's times bound it. Pure.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from services.extractor import wording
from services.extractor.frames import Frame
from services.extractor.languages import Language, Rule
from services.extractor.plausible import is_plausible
from services.extractor.readings import Reading, read
from services.extractor.times import Timing
from services.extractor.turns import Claim, RawFact, TemporalState
from shared.slots import resolve, value_key

_LIST = re.compile(r",? (?:and|&|as well as) |, |/(?=[A-Z])")
_LEAD = re.compile(
    r"^(?:a bit of|a little(?: bit of)?|an?|the|some|my|our|fluent|basic|conversational) (?=\w)",
    re.IGNORECASE,
)
_DOING = re.compile(r"(?:to )?\w+ing\b|(?:to )?(?:play|watch|read|eat|drink|go|listen|do|make)\b")
_ADJECTIVES = re.compile(r"\b(?:an?|more|very|most) \w+, \w+ \w+")
_EXAMPLES = re.compile(r"\b(?:like|such as|including)\b")
_EDGES = " ,.;:!\"'"
_CORRECTABLE = {
    "birth_place",
    "employer",
    "home_city",
    "home_country",
    "home_region",
    "hometown",
    "job_title",
    "location",
    "name",
    "partner",
}


class Lookup(Protocol):
    """Which attribute a bare value belongs to."""

    def slot_of(self, value: str, among: Sequence[str] = ()) -> str | None: ...


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
    def is_name(self) -> bool:
        """Whether it only names somebody: what the clause tells besides is still to be said."""
        return self.claim == "holds" and " named " in self.content

    @property
    def may_be_corrected(self) -> bool:
        return self.slot in _CORRECTABLE and self.claim == "holds" and self.value is not None

    def denying(self, old: str) -> "Draft":
        """The same attribute, the value that was withdrawn."""
        negated = wording.negated(self.content.replace(self.value or "", old))
        return replace(self, value=old, content=negated, claim="denies", occurred_at=None)

    def as_fact(self, message_id: str, quote: str) -> RawFact:
        """In the shape of the contract, with where it came from."""
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


@dataclass(frozen=True, slots=True)
class Match:
    """A rule that fitted a statement, with everything it is judged by."""

    rule: Rule
    clause: str
    caught: Mapping[str, str]
    frame: Frame
    timing: Timing
    language: Language

    def drafts(self, lookup: Lookup) -> Iterator[Draft]:
        """What the match says; nothing when tense, polarity or value speak against it."""
        reading = read(self.rule, self.frame, self.timing)
        needs = self.rule.needs
        if reading is None or (needs and not needs.search(self.timing.original)):
            return
        values = self._values()
        if self.rule.list and values and not self._may_be(values[0]):
            return
        for value in values:
            slot = self._slot(value, lookup)
            if slot is None or (self.rule.only and slot not in self.rule.only):
                continue
            if not value or self._may_be(value):
                yield self._draft(slot, value, reading)

    def _may_be(self, value: str) -> bool:
        return is_plausible(self.rule.shape, value, self.clause, self.language)

    def _values(self) -> list[str]:
        if self.rule.value is not None:
            return [self.rule.value.format_map(self.caught)]
        whole = self.caught.get("value", "").strip(_EDGES).removeprefix("both ")
        if not self.rule.list:
            return [whole]
        parts = [part.strip(_EDGES) for part in _LIST.split(whole)]
        parts = [part for part in parts if part]
        if not _are_alike(parts) or _ADJECTIVES.search(whole):
            return [whole]
        if self.rule.shape != "liked":
            parts = [_LEAD.sub("", part) for part in parts]
        return [part for part in parts if 0 < len(part.split()) <= 5] or [whole]

    def _slot(self, value: str, lookup: Lookup) -> str | None:
        """The attribute; `""` stands for none at all, None for "this rule does not apply"."""
        match self.rule.slot:
            case "@relation":
                return self.language.relation_slot(self.caught.get("relation", ""))
            case "@favorite":
                return _favorite(self.caught["what"])
            case "@known":
                return lookup.slot_of(value) or "pet"
            case "@left":
                known = lookup.slot_of(value, ("home_city", "employer", "partner"))
                is_city = self.language.words["CITIES"].fullmatch(value)
                return known or ("home_city" if is_city else "employer")
            case named:
                return named

    def _draft(self, slot: str, value: str, reading: Reading) -> Draft:
        rule, claim, say = self.rule, reading.claim, self.rule.say
        if claim == "denies" and rule.opposite and not self.frame.never:
            slot, say, claim = rule.opposite["slot"], rule.opposite["say"], "holds"
            reading = replace(reading, claim="holds")
        content = self._content(say, self._words(slot, value), reading)
        subject = self._subject()
        return Draft(
            slot=slot or None,
            value=wording.they(value) if value and slot else None,
            content=content if subject == "user" else wording.of_other(subject, content),
            claim=claim,
            state=reading.state,
            confidence=rule.confidence,
            subject=subject,
            category=rule.category,
            occurred_at=None if rule.times else reading.begins,
            ended_at=None if rule.times else reading.ends,
        )

    def _subject(self) -> str:
        """The user, a name, or what the person is to the user: "mother"."""
        who = self.rule.subject.format_map(self.caught) if self.rule.subject else "user"
        unnamed = self.language.relation_slot(who.rsplit(" ", 1)[-1])
        return who.lower() if unnamed else who

    def _words(self, slot: str, value: str) -> dict[str, str]:
        """What the wording of a rule may name."""
        theirs = wording.they(value)
        forms = self.language.forms
        unsaid = dict.fromkeys(self.rule.when.groupindex, "")
        said = {name: wording.they(text) for name, text in self.caught.items()}
        return (unsaid | said) | {
            "value": theirs,
            "a value": wording.with_article(theirs),
            "to do": theirs[:1].lower() + theirs[1:],
            "doing": wording.doing(theirs, forms) if slot == "dislikes" else theirs,
            "a relation": wording.with_article(wording.singular(self.caught.get("relation", ""))),
            "NO": "any",
            "month": f"{self.timing.at:%B %Y}",
            "verb": {"home_city": "live in", "partner": "be with"}.get(slot, "work at"),
        }

    def _content(self, say: str, words: Mapping[str, str], reading: Reading) -> str:
        rule, forms = self.rule, self.language.forms
        dates = [mention.wording for mention in self.timing.mentions]
        if rule.content and reading.claim == rule.claim and reading.state == "current":
            return wording.sentence(rule.content.format_map(words))
        if rule.plan and reading.claim == rule.claim and reading.state == "future":
            coming = wording.present(rule.plan.format_map(words))
            return wording.sentence(" ".join([coming, *dates]))
        told_as_past = reading.state == "past" or (
            rule.state == "current" and self.frame.tense == "past"
        )
        said = wording.phrase(
            say.format_map(words),
            reading.claim,
            "past" if told_as_past else reading.state,
            forms,
            used_to=self.frame.used_to,
            never="" if not self.frame.never else self.frame.tense,
        )
        if reading.claim == "ends":
            from_when = "from" if reading.state == "future" else "since"
            dates = [re.sub(r"^(?:in|on|at) ", f"{from_when} ", date) for date in dates]
        shown = told_as_past or reading.claim == "ends" or reading.state != "current"
        return " ".join([said, *dates]) if shown else said


def _are_alike(parts: Sequence[str]) -> bool:
    """Whether each part stands alone: "pottery and hiking", not "mentoring kids and teachers"."""
    first, *others = parts or [""]
    if len(first.split()) > 5 or "the" in first.lower().split()[1:] or _EXAMPLES.search(first):
        return False
    if _DOING.match(first) is None or " " not in first:
        return True
    return all(_DOING.match(each) for each in others)


def _favorite(what: str) -> str:
    name = "favorite_" + re.sub(r"\W+", "_", what.lower())
    spec = resolve(name) or resolve(wording.singular(name))
    return spec.name if spec else name
