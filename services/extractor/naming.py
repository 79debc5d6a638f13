"""A name given a moment later: "We got a dog. Her name is Pepper" is "We got a dog named Pepper".

The only pronoun that is followed, because a name is worth it and the reading is safe: the sentence
before must mention one animal or relative and no other, and whoever is named must fit the pronoun.
Pure; the words are the language's data.
"""

import re

from services.extractor.languages import Language

_SEVERAL = re.compile(r"(?:children|mice|[^s]s)$(?<!\bsis)", re.IGNORECASE)
_NAMING_WORD = re.compile(r"\bname|\bcall", re.IGNORECASE)


def with_name(sentence: str, following: str, language: Language) -> str | None:
    """The sentence with the name put where its bearer is mentioned; None if none is given."""
    if _NAMING_WORD.search(sentence) and (
        inside := language.patterns["named_inside"].search(sentence)
    ):
        return _joined(sentence[: inside.start()], inside, sentence[inside.end() :], language)
    if _NAMING_WORD.search(following) and (
        after := language.patterns["named_after"].match(following)
    ):
        return _joined(sentence, after, "", language)
    return None


def _joined(told: str, naming: re.Match[str], rest: str, language: Language) -> str | None:
    bearers = list(language.patterns["bearer"].finditer(told))
    mentioned = list(language.words["BEARERS"].finditer(told))
    if len(bearers) != 1 or len(mentioned) != 1 or not _fits(mentioned[0][0], naming, language):
        return None
    at = bearers[0].end()
    if bearers[0]["mine"] and language.patterns["another"].search(told[at:]):
        return None
    return f"{told[:at]} named {naming['name']}{told[at:]}{rest}"


def _fits(bearer: str, naming: re.Match[str], language: Language) -> bool:
    pronoun = (naming["whose"] or naming["who"] or naming["whom"]).lower()
    if (pronoun in ("their", "they", "them")) != bool(_SEVERAL.search(bearer)):
        return False
    unfit = {"his": "WOMEN", "he": "WOMEN", "him": "WOMEN", "her": "MEN", "she": "MEN"}.get(pronoun)
    return unfit is None or not language.words[unfit].fullmatch(bearer)
