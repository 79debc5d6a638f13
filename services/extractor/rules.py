"""Facts by rules: what a user's own words say about them, without a model.

Used when no LLM is configured, and labelled as such by whoever calls it. Only turns whose role is
`user` yield facts; what the rules do not recognise is left alone, because a wrong memory costs more
than a missing one. Pure: the pattern files are read when the extractor is built.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime

from services.extractor.drafts import Draft, Timing, free_draft, slot_drafts
from services.extractor.frames import Frame, read_frames
from services.extractor.languages import Language, load
from services.extractor.memory import Memory
from services.extractor.sentences import Statement, statements
from services.extractor.times import find_times
from services.extractor.turns import ChatTurn, KnownFact, RawFact

_SUBJECT = re.compile(r"^(?:I|we)\b[, ]*", re.IGNORECASE)
_MAX_CHARACTERS = 20_000


class RulesExtractor:
    """Reads conversations with the pattern files of its languages, the first being the skeleton."""

    def __init__(self, languages: Sequence[str] = ("en", "fr", "es")) -> None:
        self._languages = tuple(load(code) for code in languages)

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
        timing = _timing(statement.text, at, language)
        found = _by_text(timing, language, memory)
        predicate = _predicate(timing.text)
        if predicate is None:
            return found
        for frame in read_frames(language.plain(predicate), language.forms):
            by_frame = _by_frame(frame, timing, language, memory)
            if by_frame:
                return _with_denied(found + by_frame, timing, language)
        if found:
            return found
        dated = _predicate(timing.dated)
        draft = free_draft(language.plain(dated), predicate, timing, language) if dated else None
        return [draft] if draft else []


def _timing(text: str, at: datetime, language: Language) -> Timing:
    """The statement with its times cut out, and with its times written out."""
    mentions = find_times(text, at, ahead=bool(language.patterns["ahead"].search(text)))
    bare, dated, position = "", "", 0
    for mention in mentions:
        bare += text[position : mention.start] + " "
        dated += text[position : mention.start] + mention.wording
        position = mention.end
    bare, dated = bare + text[position:], dated + text[position:]
    return Timing(text, _tidy(bare), _tidy(dated), tuple(mentions), at)


def _tidy(words: str) -> str:
    return re.sub(r"\s+([,.!?])", r"\1", " ".join(words.split())).strip(" ,;:.-–—!")


def _predicate(text: str) -> str | None:
    """What is said of the speaker; None when the speaker is not the subject."""
    match = _SUBJECT.match(text)
    rest = text[match.end() :] if match else ""
    return rest or None


def _by_text(timing: Timing, language: Language, memory: Memory) -> list[Draft]:
    found: list[Draft] = []
    for rule in language.rules:
        if rule.scope == "text":
            text = timing.original if rule.times else timing.text
            for match in rule.when.finditer(language.plain(text)):
                found += slot_drafts(rule, match, Frame("", "present"), timing, language, memory)
    return found


def _by_frame(frame: Frame, timing: Timing, language: Language, memory: Memory) -> list[Draft]:
    found: list[Draft] = []
    for rule in language.rules:
        if rule.scope == "base" and (match := rule.when.search(frame.base)):
            found += slot_drafts(rule, match, frame, timing, language, memory)
    return found


def _with_denied(drafts: list[Draft], timing: Timing, language: Language) -> list[Draft]:
    """ "In Austin, not Dallas" also says that Dallas is not true."""
    match = language.patterns["instead"].search(timing.text)
    if match is None:
        return drafts
    denied = [draft.denying(match["old"]) for draft in drafts if draft.may_be_corrected]
    return denied + drafts
