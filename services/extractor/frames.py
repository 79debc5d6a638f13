"""How a statement is put: its tense, and whether it affirms, ends or denies.

Takes a clause without its subject ("used to live in Boston", "am no longer vegan", "did not work
at Meta") and gives the plain infinitive with what was taken off it, so that a rule is written once
("live in ...") and holds in every tense and polarity. Pure; English only, because other languages
are rewritten into its skeleton first.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from services.extractor.turns import Claim

Tense = Literal["present", "progressive", "perfect", "past", "future"]
Forms = Mapping[str, tuple[str, Literal["past", "participle", "gerund"]]]

_USED_TO = re.compile(r"^(?:did )?used? to (?P<rest>.+)", re.IGNORECASE)
_AHEAD = re.compile(
    r"^(?:will be(?= \w+ing\b)|will|shall|am going to|are going to|gonna|am gonna|am about to"
    r"|am (?:planning|set|due) to|plan to) (?P<rest>.+)",
    re.IGNORECASE,
)
_ANYMORE = re.compile(r"[, ]*\b(?:any ?more|any longer|no more)\b", re.IGNORECASE)
_NO_LONGER = re.compile(r"\bno longer ", re.IGNORECASE)
_NEVER = re.compile(r"^(?P<aux>have |had |am |was )?never (?:ever )?(?P<rest>.+)", re.IGNORECASE)
_NOT = re.compile(
    r"^(?P<aux>do|did|does|am|are|was|were|have|had|will) not (?:ever |yet )?(?P<rest>.+)",
    re.IGNORECASE,
)
_NO = re.compile(r"^(?P<verb>have|had|have got|own|take|eat) no (?P<rest>.+)", re.IGNORECASE)
_BE = {"am": "present", "are": "present", "is": "present", "was": "past", "were": "past"}
_ADVERB = r"(?:always|all|often|usually|mainly|long|since|even|first|ever)"
_LEADING_ADVERB = re.compile(rf"^{_ADVERB} ", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Frame:
    """A statement as an infinitive, and how it was put."""

    base: str
    tense: Tense = "present"
    claim: Claim = "holds"
    used_to: bool = False
    never: bool = False
    participle: bool = False
    underway: bool = False


def read_frames(predicate: str, forms: Forms) -> Sequence[Frame]:
    """The readings of a predicate, the most specific first: a plan to move is first a move."""
    if ahead := _AHEAD.match(predicate):
        plan = replace(_polar(ahead["rest"], forms), tense="future")
        return (plan, _polar(predicate, forms))
    return (_polar(predicate, forms),)


def _polar(predicate: str, forms: Forms) -> Frame:
    """Take the negation off, then read the tense."""
    if match := _USED_TO.match(predicate):
        return replace(_tensed(match["rest"], forms), tense="past", used_to=True)
    if _NO_LONGER.search(predicate):
        return replace(_tensed(_NO_LONGER.sub("", predicate, count=1), forms), claim="ends")
    closing = _ANYMORE.search(predicate)
    plain = _ANYMORE.sub("", predicate).strip()
    claim: Claim = "ends" if closing else "denies"
    if match := _NO.match(plain):
        return replace(_tensed(f"{match['verb']} {match['rest']}", forms), claim=claim)
    if match := _NEVER.match(plain):
        rest = _tensed((match["aux"] or "") + match["rest"], forms)
        return replace(rest, claim=claim, never=True)
    if match := _NOT.match(plain):
        return replace(_negated(match["aux"].lower(), match["rest"], forms), claim=claim)
    return _tensed(predicate, forms)


def _negated(auxiliary: str, rest: str, forms: Forms) -> Frame:
    if auxiliary in ("do", "does"):
        return Frame(rest)
    if auxiliary == "did":
        return Frame(rest, "past")
    if auxiliary == "will":
        return Frame(rest, "future")
    return _tensed(f"{auxiliary} {rest}", forms)


def _tensed(predicate: str, forms: Forms) -> Frame:
    plain = _LEADING_ADVERB.sub("", predicate)
    first, _, rest = plain.partition(" ")
    word = first.lower()
    if (
        word == "do"
        and rest.split(" ")[0].lower() not in forms
        and rest.startswith(("love", "lik"))
    ):
        return Frame(rest)
    if word in ("have", "had") and rest:
        return _perfect(word, _LEADING_ADVERB.sub("", rest), forms)
    if word in _BE:
        return _being("past" if _BE[word] == "past" else "present", rest, forms)
    base, form = forms.get(word, (word, None))
    return Frame(f"{base} {rest}".strip(), "past" if form in ("past", "participle") else "present")


def _perfect(auxiliary: str, rest: str, forms: Forms) -> Frame:
    """`have lived` is perfect, `have a dog` is not."""
    tense: Tense = "perfect" if auxiliary == "have" else "past"
    second, _, tail = rest.partition(" ")
    if second.lower() == "got" and not tail.startswith(("married", "divorced", "engaged", "into")):
        return Frame(f"have {tail}", "present")
    if second.lower() == "been":
        being = _being("present", _LEADING_ADVERB.sub("", tail), forms)
        return replace(being, tense=tense, underway=being.tense == "progressive")
    base, form = forms.get(second.lower(), ("", None))
    if form in ("past", "participle"):
        return Frame(f"{base} {tail}".strip(), tense)
    return Frame(f"have {rest}", "present" if auxiliary == "have" else "past")


def _being(tense: Tense, rest: str, forms: Forms) -> Frame:
    """`am working` is work in progress; `am vegan` is being something."""
    plain = _LEADING_ADVERB.sub("", rest)
    second, _, tail = plain.partition(" ")
    base, form = forms.get(second.lower(), ("", None))
    if form == "gerund" and base not in ("be", "have"):
        return Frame(f"{base} {tail}".strip(), "past" if tense == "past" else "progressive")
    return Frame(f"be {plain}".strip(), tense, participle=form in ("past", "participle"))
