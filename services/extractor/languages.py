"""The pattern files, read and compiled: what each language knows about speaking of oneself.

Reads `patterns/<code>.toml` (packaged data) once a process and nothing afterwards. English is the
skeleton; another language brings a way to recognise it and rewrites into that skeleton. How to add
one is written at the top of `patterns/en.toml`.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, Literal, NamedTuple

from services.extractor.frames import Forms
from services.extractor.turns import Claim, TemporalState

_MONTHS = (
    "january|february|march|april|may|june|july|august|september|october|november|december"
    "|jan|feb|mar|apr|jun|jul|aug|sept|sep|oct|nov|dec"
)
_MINE = re.compile(r"(?:\\b|\^)(?:my|our|\(\?:my\|our\)) ")
_BEGINS = re.compile(r"\^(?:(?P<one>[a-z]+) |\(\?:(?P<several>[a-z][\w -]*(?:\|[a-z][\w -]*)*)\) )")
_IN_CLASS = re.compile(r"\\.|\[(?:\\.|[^\]\\])*\]", re.DOTALL)
_Kind = Literal["past", "participle", "gerund"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One way to say something about an attribute; the keys are explained in `en.toml`.

    `mine` is read off the pattern: it needs a "my" or "our", and half of them do.
    """

    slot: str
    when: re.Pattern[str]
    say: str
    scope: str = "base"
    content: str | None = None
    plan: str | None = None
    affirmed: bool = False
    abiding: bool = False
    event: bool = False
    settled: bool = False
    claim: Claim = "holds"
    state: TemporalState | None = None
    tense: str | None = None
    mine: bool = False
    times: bool = False
    written: bool = False
    list: bool = False
    shape: str | None = None
    value: str | None = None
    subject: str | None = None
    relation: str | None = None
    category: str = "biographical"
    needs: re.Pattern[str] | None = None
    only: frozenset[str] = frozenset()
    opposite: Mapping[str, str] = field(default_factory=dict)
    confidence: float = 0.9
    at_start: bool = False

    def hits(self, text: str) -> Iterable[re.Match[str]]:
        """Where the rule fits. What can only stand at the beginning is looked for nowhere else."""
        if self.at_start:
            hit = self.when.match(text)
            return (hit,) if hit else ()
        return self.when.finditer(text)


@dataclass(frozen=True, slots=True)
class FreeRule:
    """A statement worth keeping although no attribute fits."""

    when: re.Pattern[str]
    category: str
    state: TemporalState | None = None
    tense: str = "present"
    dated: bool = False
    notable: bool = False
    every: bool = False
    lasting: bool = False
    lengthy: bool = False
    min_words: int = 3


class Contraction(NamedTuple):
    """What is written out, and how; `near` has words one of which a clause with it must have."""

    when: re.Pattern[str]
    full: str
    at_start: bool
    near: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Language:
    """Everything one pattern file says, compiled."""

    code: str
    detect: re.Pattern[str] | None
    rewrites: tuple[tuple[re.Pattern[str], str], ...]
    rules: tuple[Rule, ...]
    text_rules: tuple[Rule, ...]
    verbs: Mapping[str, tuple[Rule, ...]]
    free: tuple[FreeRule, ...]
    forms: Forms
    relations: tuple[tuple[re.Pattern[str], str], ...]
    abbreviations: frozenset[str]
    patterns: Mapping[str, re.Pattern[str]]
    contractions: tuple[Contraction, ...]
    missing: tuple[tuple[re.Pattern[str], str], ...]
    secrets: tuple[re.Pattern[str], ...]
    words: Mapping[str, re.Pattern[str]]

    def rules_of(self, base: str) -> tuple[Rule, ...]:
        """The rules that a clause with this verb can fit, in their order."""
        return self.verbs.get(base.split(" ", 1)[0].lower(), self.verbs[""])

    @property
    def pretending(self) -> re.Pattern[str]:
        return self.patterns["pretending"]

    @property
    def material(self) -> re.Pattern[str]:
        return self.patterns["material"]

    @property
    def asks(self) -> re.Pattern[str]:
        return self.patterns["asks"]

    @property
    def joints(self) -> re.Pattern[str]:
        return self.patterns["joints"]

    @property
    def dropped(self) -> re.Pattern[str]:
        return self.patterns["dropped"]

    def carries(self, clause: str) -> bool:
        """Whether what follows "and" may depend on this clause instead of on the speaker."""
        return bool(self.patterns["carries"].search(clause))

    def is_time(self, clause: str) -> bool:
        """Whether the words are a time and nothing else, to be read with what follows."""
        return bool(self.patterns["lead"].fullmatch(clause))

    def speaks(self, sentence: str) -> bool:
        """Whether the sentence is in this language."""
        return self.detect is not None and bool(self.detect.search(sentence))

    def rewritten(self, sentence: str) -> str:
        """The sentence in the English skeleton."""
        for pattern, replacement in self.rewrites:
            sentence = pattern.sub(replacement, sentence)
        return sentence

    def in_full(self, clause: str) -> str | None:
        """Contractions written out, openers gone, the subject put back; None if nothing is left."""
        small = clause.lower()
        for pattern, full, at_start, near in self.contractions:
            if pattern.match(clause) if at_start else any(word in small for word in near):
                clause = pattern.sub(full, clause, count=int(at_start))
                small = clause.lower()
        clause = self.patterns["openers"].sub("", clause, count=1).strip(" ,")
        for pattern, subject in self.missing:
            if pattern.match(clause):
                lowered = clause if clause[:2].isupper() else clause[:1].lower() + clause[1:]
                clause = subject + lowered
                break
        return clause or None

    def is_doubtful(self, clause: str) -> bool:
        """Whether the clause supposes, wishes or reports instead of stating."""
        return bool(self.patterns["doubtful"].search(self.patterns["plain"].sub("", clause)))

    def is_secret(self, words: str) -> bool:
        return any(pattern.search(words) for pattern in self.secrets)

    def relation_slot(self, word: str) -> str | None:
        """The attribute a word for a person stands for."""
        return next((slot for each, slot in self.relations if each.fullmatch(word)), None)

    def plain(self, clause: str) -> str:
        """Without the fillers that say nothing."""
        words = " ".join(self.patterns["fillers"].sub(" ", clause).split())
        return words.replace(" ,", ",").strip(" ,")


def codes() -> tuple[str, ...]:
    """The languages there is a pattern file for, the skeleton first."""
    folder = files("services.extractor").joinpath("patterns")
    found = (
        each.name.removesuffix(".toml") for each in folder.iterdir() if each.name.endswith(".toml")
    )
    return tuple(sorted(found, key=lambda code: (code != "en", code)))


@cache
def load(code: str) -> Language:
    """Read and compile one pattern file; once a process, all of them take a quarter of a second."""
    text = files("services.extractor").joinpath("patterns", f"{code}.toml").read_text("utf-8")
    data: dict[str, Any] = tomllib.loads(text)
    expand = _Shapes(data)
    sentences = data.get("sentences", {})
    rules = tuple(_rule(entry, expand) for entry in data.get("rule", ()))
    return Language(
        code=code,
        detect=expand.compiled(data["detect"]) if "detect" in data else None,
        rewrites=tuple((expand.compiled(a), b) for a, b in data.get("rewrite", ())),
        rules=rules,
        text_rules=tuple(rule for rule in rules if rule.scope == "text"),
        verbs=_by_verb([rule for rule in rules if rule.scope == "base"]),
        free=tuple(_free(entry, expand) for entry in data.get("free", ())),
        forms=_verb_forms(data.get("verbs", {})),
        relations=tuple(
            (re.compile("|".join(words), re.IGNORECASE), slot)
            for slot, words in data.get("relation", {}).items()
        ),
        abbreviations=frozenset(sentences.get("abbreviations", ())),
        patterns={
            name: expand.compiled(pattern)
            for name, pattern in (sentences | data.get("time", {})).items()
            if isinstance(pattern, str)
        },
        contractions=tuple(
            Contraction(expand.compiled(a), b, _at_start(a), tuple("".join(near).split("|")))
            for a, b, *near in sentences.get("contractions", ())
        ),
        missing=tuple((expand.compiled(a), b) for a, b in sentences.get("missing", ())),
        secrets=tuple(
            expand.compiled(each) for each in data.get("secrets", {}).get("patterns", ())
        ),
        words={name: expand.compiled(rf"(?:{each})") for name, each in expand.words.items()},
    )


class _Shapes:
    """Names inside patterns, replaced until none is left."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.words: dict[str, str] = dict(data.get("words", {}))
        relations = "|".join(word for words in data.get("relation", {}).values() for word in words)
        self.words |= {"RELATIONS": relations, "MONTHS": _MONTHS}
        self._named = dict(data.get("shapes", {}))
        self._named |= {f"{{{name}}}": pattern for name, pattern in self.words.items()}

    def compiled(self, pattern: str) -> re.Pattern[str]:
        for _ in range(4):
            for name, expansion in self._named.items():
                pattern = pattern.replace(name, expansion)
        return re.compile(pattern, re.IGNORECASE)


def _rule(entry: Mapping[str, Any], shapes: _Shapes) -> Rule:
    values = dict(entry)
    values["when"] = shapes.compiled(entry["when"])
    if "needs" in entry:
        values["needs"] = shapes.compiled(entry["needs"])
    values["mine"] = bool(_MINE.match(entry["when"])) or "{NAME}, (?:my|our) " in entry["when"]
    values["only"] = frozenset(entry.get("only", ()))
    values["at_start"] = _at_start(values["when"].pattern)
    return Rule(**values)


def _at_start(pattern: str) -> bool:
    """Whether a pattern begins with "^" in all it may be: it has no "|" outside of brackets."""
    depth, plain = 0, _IN_CLASS.sub("", pattern)
    for character in plain:
        depth += (character == "(") - (character == ")")
        if character == "|" and depth == 0:
            return False
    return plain.startswith("^")


def _by_verb(rules: Sequence[Rule]) -> dict[str, tuple[Rule, ...]]:
    """The rules each verb can fit; under "" those that may fit any."""
    begins = [(rule, _verbs_of(rule.when.pattern)) for rule in rules]
    known = {""}.union(*(verbs for _, verbs in begins))
    return {
        verb: tuple(rule for rule, verbs in begins if not verbs or verb in verbs) for verb in known
    }


def _verbs_of(pattern: str) -> set[str]:
    """The verbs a pattern can begin with, where that can be read off it; empty: it cannot."""
    found = _BEGINS.match(pattern)
    if found is None:
        return set()
    return {each.split(" ")[0] for each in (found["one"] or found["several"]).split("|")}


def _free(entry: Mapping[str, Any], shapes: _Shapes) -> FreeRule:
    return FreeRule(**(dict(entry) | {"when": shapes.compiled(entry["when"])}))


def _verb_forms(verbs: Mapping[str, Any]) -> Forms:
    """Every inflected form and the infinitive it belongs to."""
    forms: dict[str, tuple[str, _Kind]] = {}
    for base, (past, participle, gerund) in verbs.get("irregular", {}).items():
        forms |= {gerund: (base, "gerund"), participle: (base, "participle"), past: (base, "past")}
        forms.pop(base, None)
    if "irregular" in verbs:
        forms |= {"were": ("be", "past"), "got": ("get", "past"), "quit": ("quit", "past")}
    for base in verbs.get("regular", ()):
        stem = base.removesuffix("e")
        past = base[:-1] + "ied" if base.endswith("y") and base[-2] not in "aeou" else stem + "ed"
        forms |= {past: (base, "past"), stem + "ing": (base, "gerund")}
    return forms
