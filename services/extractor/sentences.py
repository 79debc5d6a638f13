"""From a message to its statements: which stretches of text assert something about the speaker.

Blanks out what is not the user's own assertion (code, quotations, text handed over to be worked
on), splits sentences and clauses, drops questions, requests, conditions and reported speech, and
puts the subject back that casual speech leaves out. Offsets are kept, so that every statement can
be quoted as it was written. Pure; the words are the language's data.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from unicodedata import normalize

from services.extractor.languages import Language
from services.extractor.naming import with_name
from services.extractor.reported import reported_spans

_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|https?://\S+|^[ \t]*>.*$", re.DOTALL | re.MULTILINE)
_QUOTED = re.compile(
    r"[\"“«](?P<words>[^\"“”«»\n]{1,400})[\"”»]|(?<!\w)'(?P<single>[^'\n]{12,400})'(?!\w)"
)
_STOP = re.compile(r"[.!?…]+[\"')\]]*(?=\s|$)|\n+\s*(?:[-*•]|\d+[.)])?\s*|;\s+")
_APOSTROPHES = str.maketrans({"’": "'", "‘": "'", "`": "'", "\u00a0": " ", "\t": " "})
_EDGES = " \t\r\n,;:()[]*-–—•"
_HOLE = "\x00"
_LONGEST_CLAUSE = 400
_BEING = {"be": "I am ", "have": "I have "}


@dataclass(frozen=True, slots=True)
class Statement:
    """One assertion: `text` in full words with its subject, `quote` as it was written."""

    text: str
    quote: str


def statements(content: str, languages: tuple[Language, ...]) -> Iterator[Statement]:
    """The assertions of a message in the order they were made."""
    default = languages[0]
    masked = _blank_out(content.translate(_APOSTROPHES), default)
    if masked is None:
        return
    spans = list(_sentences(masked, default))
    following = [*spans[1:], (len(masked), len(masked))]
    for (start, end), (after, last) in zip(spans, following, strict=False):
        sentence = masked[start:end]
        if named := with_name(sentence, masked[after:last], default):
            quote = content[start:last].strip(_EDGES)
            for found in _statements(named, None, default):
                yield Statement(found.text, quote)
            continue
        composed = normalize("NFC", sentence)
        language = next((each for each in languages[1:] if each.speaks(composed)), default)
        if language is default:
            yield from _statements(sentence, content[start:end], default)
        else:
            quote = content[start:end].strip(_EDGES)
            for found in _statements(language.rewritten(composed), None, default):
                yield Statement(found.text, quote)


def _blank_out(content: str, language: Language) -> str | None:
    """Same length, with holes where the words are not the speaker's own; None: nothing is."""
    if language.pretending.search(content):
        return None
    masked = _CODE.sub(_hole, content)
    masked = _QUOTED.sub(_hole_unless_a_title, masked)
    for start, end in list(reported_spans(masked)):
        masked = f"{masked[:start]}{_HOLE * (end - start)}{masked[end:]}"
    if handed_over := language.material.search(masked):
        masked = masked[: handed_over.start()]
    return masked


def _hole(found: re.Match[str]) -> str:
    return re.sub(r"[^\n]", _HOLE, found[0])


def _hole_unless_a_title(found: re.Match[str]) -> str:
    words = (found["words"] or found["single"]).split()
    capital = sum(word[:1].isupper() for word in words)
    if len(words) <= 3 or (len(words) <= 8 and capital * 2 > len(words) and words[0] != "I"):
        return " " + found[0][1:-1] + " "
    return _hole(found)


def _sentences(masked: str, language: Language) -> Iterator[tuple[int, int]]:
    start = 0
    for stop in _STOP.finditer(masked):
        before = masked[start : stop.start()].rsplit(" ", 1)[-1].lower().lstrip("(")
        if stop[0] == "." and (
            before in language.abbreviations or (len(before) == 1 and before != "i")
        ):
            continue
        yield start, stop.end()
        start = stop.end()
    if masked[start:].strip():
        yield start, len(masked)


def _carries_on(clause: str, language: Language) -> bool:
    """Whether the speaker is the subject of a clause, and of what "and" adds to it."""
    full = language.in_full(clause.strip(_EDGES)) or ""
    speaker = re.match(r"(?:I|we)\b", full, re.IGNORECASE)
    return bool(speaker) and not language.carries(full)


def _is_whole(clause: str, shares_subject: bool, language: Language) -> bool:
    """Whether a clause may end here: it is no mere time, and what follows can share its subject."""
    if len(clause) > _LONGEST_CLAUSE:
        return not shares_subject  # it is dropped anyway, and reading it again and again is dear
    if language.is_time(clause.strip(_EDGES)):
        return False
    return not shares_subject or _carries_on(clause, language)


def _statements(sentence: str, original: str | None, language: Language) -> Iterator[Statement]:
    clauses = list(_clauses(sentence, language))
    if sentence.rstrip(" \"')").endswith("?"):
        clauses = _without_question(clauses, language)
    for start, end, text in clauses:
        if end - start > _LONGEST_CLAUSE:
            continue
        full = language.in_full(text.strip(_EDGES))
        if full is None or language.asks.search(full) or language.is_doubtful(full):
            continue
        quote = (original or sentence)[start:end].strip(_EDGES)
        yield Statement(full, quote)


def _without_question(
    clauses: list[tuple[int, int, str]], language: Language
) -> list[tuple[int, int, str]]:
    """What is stated before the question; nothing where all is asked."""
    if not clauses:
        return []
    *stated, (start, _, last) = clauses
    if language.asks.search(last.strip(_EDGES)):
        return stated
    fragment = language.patterns["fragment"].search(last)  # "…, any ideas?"
    if fragment is None:
        return []
    text = last[: fragment.start()]
    return [*stated, (start, start + fragment.start(), text)]


def _clauses(sentence: str, language: Language) -> Iterator[tuple[int, int, str]]:
    """(start, end, text); where the subject was dropped after "and" it is put back."""
    cuts = [(found.start(), found.end(), "") for found in language.joints.finditer(sentence)]
    cuts += [(found.start(), found.end(), "I ") for found in language.dropped.finditer(sentence)]
    for verb in ("be", "have"):
        dropped = language.patterns[f"dropped_{verb}"].finditer(sentence)
        cuts += [(each.start(), each.end(), _BEING[verb]) for each in dropped]
    start, subject = 0, ""
    for cut, resume, next_subject in sorted(cuts):
        if cut < start:
            continue
        clause = subject + sentence[start:cut]
        told = clause.lstrip()
        if next_subject in _BEING.values() and not language.patterns["is_something"].search(told):
            continue
        if not _is_whole(clause, bool(next_subject), language):
            continue
        yield start, cut, clause
        start, subject = resume, next_subject
    yield start, len(sentence), subject + sentence[start:]
