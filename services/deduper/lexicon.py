"""The word lists of `words.toml`, read once and turned into sets and maps."""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources

Phrase = tuple[str, ...]

_SHORT = 5


@dataclass(frozen=True)
class Lexicon:
    """Words by what they do; from `synonyms` on they are stems, before that as written."""

    numbers: dict[str, int]
    irregular: dict[str, str]
    plurals: dict[str, str]
    phrases: dict[Phrase, Phrase]
    ignored: frozenset[str]
    fillers: frozenset[str]
    before_numbers: frozenset[str]
    negation: frozenset[str]
    subject: frozenset[str]
    possessive: frozenset[str]
    pronouns: frozenset[str]
    feminine: frozenset[str]
    masculine: frozenset[str]
    synonyms: dict[str, str]
    weak: frozenset[str]
    modality: frozenset[str]
    time: frozenset[str]
    positive: frozenset[str]
    negative: frozenset[str]
    people: frozenset[str]
    directional: frozenset[str]
    opposites: frozenset[frozenset[str]]
    agents: dict[str, str]
    telic: frozenset[str]

    def stem(self, word: str) -> str:
        """What stands for a word when facts are compared: its stem, or its first synonym's."""
        stem = strip_ending(self.irregular.get(word) or self.plurals.get(word) or word)
        return self.synonyms.get(stem, stem)


@cache
def lexicon() -> Lexicon:
    """Read the lists; the file is part of the package."""
    text = resources.files(__package__).joinpath("words.toml").read_text("utf-8")
    data = tomllib.loads(text)
    plain = {**data["irregular"], **data["plurals"]}

    def stem(word: str) -> str:
        first = strip_ending(plain.get(word, word))
        return synonyms.get(first, first)

    def stems(words: Iterable[str]) -> frozenset[str]:
        return frozenset(stem(word) for word in words)

    synonyms = _synonyms(data["synonyms"], plain)
    pronouns = data["pronouns"]
    return Lexicon(
        numbers=data["numbers"],
        irregular=data["irregular"],
        plurals=data["plurals"],
        phrases=_phrases(data["phrases"], data["synonyms"]),
        ignored=frozenset(data["ignored"]["words"]),
        fillers=frozenset(data["ignored"]["fillers"]),
        before_numbers=frozenset(data["ignored"]["before_numbers"]),
        negation=frozenset(data["negation"]["words"]),
        subject=frozenset(pronouns["subject"]),
        possessive=frozenset(pronouns["possessive"]),
        pronouns=frozenset(pronouns["subject"] + pronouns["possessive"] + pronouns["other"]),
        feminine=frozenset(pronouns["feminine"]),
        masculine=frozenset(pronouns["masculine"]),
        synonyms=synonyms,
        weak=stems(data["weak"]["words"]),
        modality=stems(data["modality"]["words"]),
        time=stems(data["time"]["words"]),
        positive=stems(data["polarity"]["positive"]),
        negative=stems(data["polarity"]["negative"]),
        people=stems(data["people"]["words"]),
        directional=stems(data["directional"]["words"]),
        opposites=frozenset(stems(pair) for pair in data["opposites"]["pairs"]),
        agents=data["agents"],
        telic=stems(data["telic"]["words"]),
    )


@lru_cache(maxsize=8_192)
def strip_ending(word: str) -> str:
    """Cut inflection: "hobbies", "hobby" → "hobbi"; "planned", "planning", "plans" → "plan".

    Deliberately light (no -er, -ly, -ness): what differs in more than inflection stays apart.
    British and American spelling are one.
    """
    word = _american(word)
    for ending in ("ing", "ed"):
        if word.endswith(ending) and len(word) > len(ending) + 2:
            word = word.removesuffix(ending)
            doubled = word[-1] == word[-2]
            if doubled and (word[-1] not in "lsz" or (word[-1] == "l" and len(word) > _SHORT)):
                word = word[:-1]
            break
    else:
        if word.endswith("es") and word[-3:-2] in ("s", "x", "z", "h") and len(word) > 4:
            word = word[:-2]
        elif word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) > 3:
            word = word[:-1]
    if word.endswith("ie") or (word.endswith("y") and len(word) > 2):
        return word.removesuffix("ie").removesuffix("y") + "i"
    return word.removesuffix("e") if len(word) > 3 else word


def _american(word: str) -> str:
    """Spell "colour" as "color", "organised" as "organized"; what comes out need not be a word."""
    if len(word) > len("hour") and "our" in word[2:]:
        word = word[:2] + word[2:].replace("our", "or")
    if len(word) > _SHORT:
        word = word.replace("isation", "ization")
        for ending in ("ise", "ised", "ises", "ising"):
            if word.endswith(ending):
                return word.removesuffix(ending) + "iz" + ending[2:]
    return word[:-2] + "er" if word.endswith("tre") and len(word) > len("tree") else word


def _synonyms(groups: list[list[str]], plain: dict[str, str]) -> dict[str, str]:
    """Stem → stem of the group's first word; a word in two groups stays in its first."""
    found: dict[str, str] = {}
    for group in groups:
        head = strip_ending(plain.get(group[0], group[0]))
        head = found.get(head, head)
        for word in group:
            if " " not in word:
                found.setdefault(strip_ending(plain.get(word, word)), head)
    return found


def _phrases(table: dict[str, str], groups: list[list[str]]) -> dict[Phrase, Phrase]:
    several = {word: group[0] for group in groups for word in group if " " in word}
    return {tuple(k.split()): tuple(v.split()) for k, v in {**table, **several}.items()}
