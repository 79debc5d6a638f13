"""Whether the words a pattern caught can be the value it looks for.

A pattern finds where a value stands, never what it is: "I live in fear" has the shape of a home.
Each shape here is one question about the words alone. Pure.
"""

import re
from collections.abc import Callable, Mapping

from services.extractor.languages import Language

_CAPITAL = re.compile(r"(?<![.!?] )(?<!^)\b(?!I\b|I'|AM\b|PM\b)[A-ZÀ-Þ]")
_UNFIT = re.compile(r"[\x00<>{}|=@\\]|\b(?:etc|blah)\b")


def is_plausible(shape: str | None, value: str, clause: str, language: Language) -> bool:
    """Whether `value`, caught in `clause`, looks like what the rule asks for."""
    if not re.search(r"\w", value) or (_UNFIT.search(value) and shape is not None):
        return False
    return _SHAPES[shape or "any"](value, clause, language)


def _words(value: str) -> int:
    return len(value.split())


def _first(value: str) -> str:
    return value.split(" ", 1)[0]


def _capitalised(value: str) -> bool:
    return any(word[:1].isupper() or word[:1].isdigit() for word in value.split())


def _writes_capitals(clause: str) -> bool:
    """Whether the speaker capitalises names, so that a lower-case word is not one."""
    return bool(_CAPITAL.search(clause))


def _is_place_word(word: str, language: Language) -> bool:
    """A capital makes a name of any word: "New" is one in New York."""
    return word[:1].isupper() or _is_name_word(word, language)


def _is_name_word(word: str, language: Language) -> bool:
    return not language.words["NOT_NAMES"].fullmatch(word.strip(".,'"))


def _hangs(value: str, language: Language) -> bool:
    """Whether the words need the conversation around them to be understood."""
    words = language.words
    return bool(words["DANGLING"].search(value) or words["VAGUE"].search(value))


def _place(value: str, clause: str, language: Language) -> bool:
    first = _first(value)
    regions = (language.words["STATES"], language.words["COUNTRIES"])
    if any(region.fullmatch(value) for region in regions) or _words(value) > 6:
        return False
    if first.lower() == "the":
        return _capitalised(value[4:])
    if not _is_place_word(first, language):
        return False
    if first[:1].isupper():
        return True
    several = _words(value) > 1 and not language.words["TWO_WORDS"].match(value)
    return not several and not _writes_capitals(clause) and _words(value) <= 3


def _known_place(value: str, clause: str, language: Language) -> bool:
    """A place by name: "I'm in Excel" is none."""
    name = value.partition(",")[0]
    known = (language.words[each] for each in ("CITIES", "STATES", "COUNTRIES"))
    return any(each.fullmatch(name) for each in known) and _origin(value, clause, language)


def _origin(value: str, clause: str, language: Language) -> bool:
    return bool(language.words["COUNTRIES"].fullmatch(value)) or _place(value, clause, language)


def _org(value: str, clause: str, language: Language) -> bool:
    first = _first(value)
    if first.lower() == "the" and _capitalised(value[4:]):
        return _words(value) <= 7
    if not _is_place_word(first, language) or _words(value) > 6 or _is_activity(first):
        return False
    return first[:1].isupper() or (_words(value) == 1 and not _writes_capitals(clause))


def _is_activity(word: str) -> bool:
    return word[:1].islower() and word.endswith("ing")


def _name(value: str, clause: str, language: Language) -> bool:  # noqa: ARG001
    first = _first(value)
    known = ("DEMONYMS", "TONGUES", "JOBS", "DIETS", "COUNTRIES", "FAITHS")
    return (
        _words(value) <= 3
        and first[:1].isupper()
        and _is_name_word(first, language)
        and not any(language.words[name].fullmatch(first) for name in known)
        and not language.words["ADJECTIVE"].search(value)
    )


def _any_name(value: str, clause: str, language: Language) -> bool:
    if value[:1].isupper():
        return _name(value, clause, language)
    return _words(value) == 1 and _is_name_word(value, language) and not _writes_capitals(clause)


def _noun(value: str, clause: str, language: Language) -> bool:  # noqa: ARG001
    pointing = language.words["POINTING"].match(value) or _hangs(value, language)
    return _words(value) <= 5 and not pointing


def _liked(value: str, clause: str, language: Language) -> bool:  # noqa: ARG001
    if re.match(r"the ", value, re.IGNORECASE) and not language.words["THE"].match(value):
        return False
    return (
        _words(value) <= 9
        and not language.words["TAIL"].match(value)
        and not language.words["POINTING"].match(value)
        and not _hangs(value, language)
        and not (_is_activity(_first(value)) and _hangs(value.partition(" ")[2], language))
        and not language.words["TRANSIENT"].search(value)
    )


def _short(value: str, clause: str, language: Language) -> bool:  # noqa: ARG001
    pointing = language.words["POINTING"].match(value) or _hangs(value, language)
    return _words(value) <= 10 and not pointing


def _long(value: str, clause: str, language: Language) -> bool:  # noqa: ARG001
    pointing = re.match(r"(?:it|this|that|you|your|how|what|be able|be there)\b", value)
    return (
        1 <= _words(value) <= 20
        and not pointing
        and not _hangs(value, language)
        and not _hangs(value.partition(" ")[2], language)
        and not language.words["TRANSIENT"].search(value)
    )


def _job(value: str, clause: str, language: Language) -> bool:  # noqa: ARG001
    if _words(value) > 6 or language.words["POINTING"].match(value):
        return False
    jobs = language.words["JOBS"]
    return bool(
        jobs.search(value.rsplit(" ", 1)[-1]) or jobs.search(value) or _words(value) <= 3
    ) and (
        not re.search(r"\b(?:an?|the|my|your|to|for)\b", value)
        and not language.words["DOING"].match(value)
        and not re.match(
            r"(?:in|at|on|so|about|very|well|much|many|usual|always|hard|fast|soon|team|part|one|if)\b",
            value,
        )
    )


def _career(value: str, clause: str, language: Language) -> bool:
    """A job one has for good; "as a student I ..." may be long over."""
    return not re.search(r"student|intern|fresh|soph|graduate", value) and _job(
        value, clause, language
    )


def _industry(value: str, clause: str, language: Language) -> bool:
    places = (language.words[name] for name in ("CITIES", "STATES", "COUNTRIES"))
    refused = language.words["NOT_INDUSTRIES"].match(value) or any(
        place.fullmatch(value) for place in places
    )
    return _words(value) <= 3 and not refused and _noun(value, clause, language)


def _any(value: str, clause: str, language: Language) -> bool:  # noqa: ARG001
    return _words(value) <= 12


_SHAPES: Mapping[str, Callable[[str, str, Language], bool]] = {
    "any": _any,
    "place": _place,
    "known_place": _known_place,
    "origin": _origin,
    "org": _org,
    "name": _name,
    "anyname": _any_name,
    "noun": _noun,
    "liked": _liked,
    "short": _short,
    "long": _long,
    "job": _job,
    "career": _career,
    "industry": _industry,
    "habit": _any,
}
