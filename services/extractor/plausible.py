"""Whether the words a pattern caught can be the value it looks for.

A pattern finds where a value stands, never what it is: "I live in fear" has the shape of a home.
Each shape here is one question about the words alone. Pure.
"""

import re
from collections.abc import Callable, Mapping

from services.extractor.languages import Language

_CAPITAL = re.compile(r"(?<![.!?] )(?<!^)\b(?!I\b|I'|AM\b|PM\b)[A-ZÀ-Þ]")
_POINTING = re.compile(
    r"(?:this|that|these|those|it|its|they|there|here|you|your|yours|him|her|his|them|us|me|how|what"
    r"|why|when|who|whatever|everything about|the (?:way|idea|fact|thought|concept|sound of|look of"
    r"|colors?|colours?|part|vibe|energy|design|picture|photo|pic|concept|one)|seeing|hearing|see"
    r"|hear|know|knowing|think|say|thank|share|being able|be able|getting to|having|having to|have"
    r"|being|be|learning more|knowing more|mention|point|ask|add|know|hate|love|all (?:of )?(?:this|that|the|these|those|your)"
    r"|every (?:minute|second|moment)|same|both|so|to|each other|everywhere|anything|something)\b",
    re.IGNORECASE,
)
_THE = re.compile(
    r"[Tt]he (?:[A-Z]|(?:ocean|sea|beach|outdoors|mountains?|rain|snow|sun|night|cold|heat|city|water"
    r"|countryside|forest|woods|desert|lake|gym|theat(?:er|re)|opera|cinema|arts?|smell|taste|sound"
    r"|piano|violin|guitar|winter|summer|spring|autumn|fall|holidays|weekend|wilderness)\b)",
)
_ADJECTIVE = re.compile(r"(?:ed|al|ing|ous|ive|ful|able|ible|less)$")
_NAMES_LIKE_ADJECTIVES = set(
    "ahmed mohamed mohammed muhammed fred ted ned jed alfred jared wilfred winifred crystal al hal"
    " neal cal sal opal clive olive sterling irving faisal bilal jamal kamal iqbal gopal".split()
)
_TRANSIENT = re.compile(
    r"\b(?:you|your|here|chat|topic|ticket|later|tonight|session|conversation|question|answer|again"
    r"|file|script|function|option|version|step|section|list|email|message|reply|this one)\b"
)
_DOING = re.compile(
    r"(?:thinking|considering|looking|hiring|seeing|meeting|dating|trying|talking|becoming|being"
    r"|getting|having|going|calling|paying|living|doing|asking|helping|waiting|searching|working"
    r"|planning|hoping|using|playing|raising|studying|writing|reading|watching|seeking|moving)\b"
)
_UNFIT = re.compile(r"[\x00<>{}|=@\\]|\b(?:etc|blah)\b")


def is_plausible(shape: str | None, value: str, clause: str, language: Language) -> bool:
    """Whether `value`, caught in `clause`, looks like what the rule asks for."""
    if not re.search(r"\w", value) or _UNFIT.search(value) and shape is not None:
        return False
    return _SHAPES[shape or "any"](value, clause, language)


def _words(value: str) -> int:
    return len(value.split())


def _capitalised(value: str) -> bool:
    return any(word[:1].isupper() or word[:1].isdigit() for word in value.split())


def _writes_capitals(clause: str) -> bool:
    """Whether the speaker capitalises names, so that a lower-case word is not one."""
    return bool(_CAPITAL.search(clause))


def _is_name_word(word: str, language: Language) -> bool:
    return not language.words["NOT_NAMES"].fullmatch(word.strip(".,'"))


def _place(value: str, clause: str, language: Language) -> bool:
    first = value.split()[0]
    if first.lower() == "the" and _capitalised(value[4:]):
        return _words(value) <= 5
    known = language.words["STATES"].fullmatch(value) or language.words["COUNTRIES"].fullmatch(
        value
    )
    if known or not _is_name_word(first, language) or _words(value) > 6:
        return False
    return first[:1].isupper() or (_words(value) <= 3 and not _capitalised(clause_after(clause)))


def clause_after(clause: str) -> str:
    """The clause without the speaker's `I`, whose capital says nothing."""
    return re.sub(r"\bI\b", "", clause)


def _org(value: str, clause: str, language: Language) -> bool:
    first = value.split()[0]
    if first.lower() == "the" and _capitalised(value[4:]):
        return _words(value) <= 7
    if not _is_name_word(first, language) or _words(value) > 6:
        return False
    return first[:1].isupper() or (_words(value) <= 2 and not _capitalised(clause_after(clause)))


def _name(value: str, clause: str, language: Language) -> bool:  # noqa: ARG001
    first = value.split()[0]
    known = ("DEMONYMS", "TONGUES", "JOBS", "DIETS", "COUNTRIES", "FAITHS")
    return (
        _words(value) <= 3
        and first[:1].isupper()
        and _is_name_word(first, language)
        and not any(language.words[name].fullmatch(first) for name in known)
        and not any(map(_is_adjective, value.lower().split()))
    )


def _is_adjective(word: str) -> bool:
    return bool(_ADJECTIVE.search(word)) and word not in _NAMES_LIKE_ADJECTIVES


def _any_name(value: str, clause: str, language: Language) -> bool:
    if value[:1].isupper():
        return _name(value, clause, language)
    return _words(value) == 1 and _is_name_word(value, language) and not _writes_capitals(clause)


def _noun(value: str, clause: str, language: Language) -> bool:  # noqa: ARG001
    return _words(value) <= 5 and not _POINTING.match(value)


def _liked(value: str, clause: str, language: Language) -> bool:  # noqa: ARG001
    if re.match(r"the ", value, re.IGNORECASE) and not _THE.match(value):
        return False
    return _words(value) <= 9 and not _POINTING.match(value) and not _TRANSIENT.search(value)


def _short(value: str, clause: str, language: Language) -> bool:  # noqa: ARG001
    return _words(value) <= 10 and not _POINTING.match(value)


def _long(value: str, clause: str, language: Language) -> bool:  # noqa: ARG001
    pointing = re.match(r"(?:it|this|that|you|your|how|what|be able|be there)\b", value)
    return 1 <= _words(value) <= 20 and not pointing and not _TRANSIENT.search(value)


def _job(value: str, clause: str, language: Language) -> bool:  # noqa: ARG001
    if _words(value) > 6 or _POINTING.match(value):
        return False
    jobs = language.words["JOBS"]
    return bool(jobs.search(value.split()[-1]) or jobs.search(value) or _words(value) <= 3) and (
        not re.search(r"\b(?:an?|the|my|your|to|for)\b", value)
        and not _DOING.match(value)
        and not re.match(
            r"(?:well|much|many|usual|always|hard|fast|soon|team|part|one|if)\b", value
        )
    )


def _industry(value: str, clause: str, language: Language) -> bool:
    refused = re.match(
        r"(?:an?|the|my|our|progress|person|shifts?|teams?|pairs?|silence|public|private|bed|it"
        r"|there|this|that|total|full|short|town|collaboration|tandem)\b",
        value,
    )
    return _words(value) <= 3 and not refused and _noun(value, clause, language)


def _any(value: str, clause: str, language: Language) -> bool:  # noqa: ARG001
    return _words(value) <= 12


_SHAPES: Mapping[str, Callable[[str, str, Language], bool]] = {
    "any": _any,
    "place": _place,
    "org": _org,
    "name": _name,
    "anyname": _any_name,
    "noun": _noun,
    "liked": _liked,
    "short": _short,
    "long": _long,
    "job": _job,
    "industry": _industry,
    "habit": _any,
}
