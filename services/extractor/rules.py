"""Facts by rules: what a user's own words say about them, without a model.

Used when no LLM is configured, and labelled as such by whoever calls it. Only turns whose role is
`user` yield facts; what the rules do not recognise is left alone, because a wrong memory costs more
than a missing one. Pure: the pattern files are read when the extractor is built.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime

from services.extractor.drafts import Draft, Match
from services.extractor.frames import Frame, read_frames
from services.extractor.free import free_draft
from services.extractor.languages import Language, Rule, codes, load
from services.extractor.memory import Memory
from services.extractor.sentences import Statement, statements
from services.extractor.times import Timing, time_statement
from services.extractor.turns import ChatTurn, KnownFact, RawFact

_SUBJECT = re.compile(r"^(?:I|we)\b[, ]*", re.IGNORECASE)
_MINE = re.compile(r"\b(?:my|our) ", re.IGNORECASE)
_MAX_CHARACTERS = 20_000


class RulesExtractor:
    """Reads conversations with the pattern files of its languages, the first being the skeleton."""

    def __init__(self, languages: Sequence[str] = ()) -> None:
        self._languages = tuple(load(code) for code in languages or codes())

    def extract(
        self, messages: Sequence[ChatTurn], known: Sequence[KnownFact] = ()
    ) -> list[RawFact]:
        """The facts of the user's turns in the order they were said.

        `known` is what is already believed; it only tells which attribute a bare name belongs to
        ("Rex died", "it's Leo, not Theo").
        """
        memory = Memory(known)
        facts: list[RawFact] = []
        for message in messages:
            if message.role == "user":
                facts.extend(self._facts_of(message, memory))
        return facts

    def _facts_of(self, message: ChatTurn, memory: Memory) -> Iterator[RawFact]:
        content = message.content[:_MAX_CHARACTERS]
        said: set[tuple[str, str | None, str, str]] = set()
        for statement in statements(content, self._languages):
            for draft in self._drafts(statement, message.at, memory):
                fact = draft.as_fact(message.id, statement.quote)
                key = (fact["subject"], fact["slot"], draft.key, fact["claim"])
                if key not in said and not self._languages[0].is_secret(statement.quote):
                    said.add(key)
                    memory.remember(fact)
                    yield fact

    def _drafts(self, statement: Statement, at: datetime, memory: Memory) -> list[Draft]:
        language = self._languages[0]
        if correction := memory.correction(statement.text, language):
            return correction
        if not language.patterns["personal"].search(statement.text):
            return []
        ahead = bool(language.patterns["ahead"].search(statement.text))
        timing = time_statement(statement.text, at, ahead=ahead)
        found = _by_text(timing, language, memory)
        predicate = _predicate(timing.text)
        if predicate is None:
            return found
        for frame in read_frames(language.plain(predicate), language.forms):
            by_frame = _by_frame(frame, timing, language, memory)
            if by_frame:
                return _with_denied(found + by_frame, timing, language)
        if any(not each.is_name for each in found):
            return found
        dated = _predicate(timing.dated)
        told, said = language.plain(dated or ""), language.plain(predicate)
        draft = free_draft(told, said, timing, language) if dated else None
        return [*found, draft] if draft else found


def _predicate(text: str) -> str | None:
    """What is said of the speaker; None when the speaker is not the subject."""
    match = _SUBJECT.match(text)
    rest = text[match.end() :] if match else ""
    return rest or None


def _by_text(timing: Timing, language: Language, memory: Memory) -> list[Draft]:
    found: list[Draft] = []
    unframed = Frame("", "present")
    bare = language.plain(timing.text)
    said = language.plain(timing.original) if timing.mentions else bare
    written = language.plain(timing.dated) if timing.mentions else bare
    of_mine = _MINE.search(said) is not None
    for rule in language.text_rules:
        if of_mine or not rule.mine:
            text = said if rule.times else written if rule.written else bare
            for hit in rule.hits(text):
                match = Match(rule, text, _caught(rule, hit), unframed, timing, language)
                found.extend(match.drafts(memory))
    return _without_told_twice(_without_ended(found))


def _by_frame(frame: Frame, timing: Timing, language: Language, memory: Memory) -> list[Draft]:
    found: list[Draft] = []
    for rule in language.rules_of(frame.base):
        if hit := next(iter(rule.hits(frame.base)), None):
            match = Match(rule, frame.base, _caught(rule, hit), frame, timing, language)
            found.extend(match.drafts(memory))
    return _without_ended(found)


def _caught(rule: Rule, hit: re.Match[str]) -> dict[str, str]:
    caught = {name: text for name, text in hit.groupdict().items() if text}
    return caught | ({"relation": rule.relation} if rule.relation else {})


def _without_ended(drafts: list[Draft]) -> list[Draft]:
    """Drop what is named only to say that it is over: "my dog Rex died" names a dog that is not."""
    gone = {(each.slot, each.key) for each in drafts if each.claim == "ends"}
    return [each for each in drafts if each.claim == "ends" or (each.slot, each.key) not in gone]


def _without_told_twice(drafts: list[Draft]) -> list[Draft]:
    """Drop free text about another person that an attribute of theirs says in the same words."""
    told = {(each.subject, each.content) for each in drafts if each.slot}
    return [each for each in drafts if each.slot or (each.subject, each.content) not in told]


def _with_denied(drafts: list[Draft], timing: Timing, language: Language) -> list[Draft]:
    """Add that Dallas is not true where "in Austin, not Dallas" was said."""
    match = language.patterns["instead"].search(timing.text)
    if match is None:
        return drafts
    denied = [draft.denying(match["old"]) for draft in drafts if draft.may_be_corrected]
    return denied + drafts
