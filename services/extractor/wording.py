"""How a fact is worded: third person, without a pronoun ("Works at OpenAI").

From an infinitive and how it was put (`phrase`), or from the speaker's own first-person words
(`third_person`). Pure.
"""

import re
from collections.abc import Mapping

from services.extractor.frames import Forms
from services.extractor.turns import Claim, TemporalState

_IRREGULAR = {"be": "is", "have": "has", "do": "does", "go": "goes", "am": "is", "are": "is"}
_SAME = {
    "can", "cannot", "will", "was", "is", "were", "had", "did", "would", "never", "usually",
    "always", "often", "regularly", "typically", "rarely", "seldom", "sometimes", "used",
}  # fmt: skip
_ADVERBS = {
    "never", "usually", "always", "often", "regularly", "typically", "rarely", "seldom",
    "sometimes",
}  # fmt: skip
_NOT_PAST = {"need", "feed", "breed", "speed", "embed", "seed", "exceed", "proceed", "succeed"}
_ME_TO_THEM = {
    "i am": "they are", "i'm": "they're", "i was": "they were", "we are": "they are",
    "we were": "they were", "i": "they", "we": "they", "me": "them", "us": "them", "my": "their",
    "our": "their", "mine": "theirs", "ours": "theirs", "myself": "themselves",
    "ourselves": "themselves",
}  # fmt: skip
_FIRST_PERSON = re.compile(
    r"\b(?:" + "|".join(sorted(map(re.escape, _ME_TO_THEM), key=len, reverse=True)) + r")\b",
    re.IGNORECASE,
)
_SECOND_VERB = re.compile(
    r"(?P<and>^\w+ (?:and|or|but) |(?:and|or|but) "
    r"(?=\w+ (?:my|our|their|the|an?|to|at|in|on|for|with|from)\b))"
    r"(?P<verb>[a-z]+)\b"
)
_SPELT_OUT = re.compile(r"[AEFHILMNORSX](?:[A-Z]{1,2}\b|Sc\b|\.)")  # an MBA, an HR manager
_HELPING = {"can", "cannot", "will", "do", "am", "are", "have", "would", "want", "used"}
_PLURAL: Mapping[str, str] = {"mice": "mouse", "children": "child", "fish": "fish", "boss": "boss"}


def phrase(
    infinitive: str,
    claim: Claim,
    state: TemporalState,
    forms: Forms,
    *,
    used_to: bool = False,
    never: str = "",
) -> str:
    """`live in Dallas` put in third person as it was said: ended, denied, past, planned or so.

    `never` is the tense of what never happens or happened.
    """
    if claim == "ends":
        ahead = f"will no longer {infinitive}"
        return sentence(ahead if state == "future" else _ended(infinitive))
    if claim == "denies" and never:
        habit = present(infinitive) if never == "present" else past(infinitive, forms)
        return sentence(f"never {habit}")
    if claim == "denies":
        return sentence(_denied(infinitive, was=state == "past"))
    if state == "past":
        return sentence(f"used to {infinitive}" if used_to else past(infinitive, forms))
    if state == "future":
        return sentence(f"is going to {infinitive}")
    return sentence(present(infinitive))


def sentence(words: str) -> str:
    """One line that starts with a capital and ends without a stop."""
    plain = " ".join(words.replace("can not ", "cannot ").split()).strip(" ,;:-–—.!")
    return plain[:1].upper() + plain[1:]


def third_person(predicate: str, forms: Forms, *, conjugate: bool) -> str:
    """The speaker's own words about themselves, turned to third person."""
    words = _paired(they(predicate), forms) if conjugate else they(predicate)
    first, _, rest = words.partition(" ")
    if first.lower() in _ADVERBS and rest:
        verb = rest.split(" ")[0]
        return sentence(f"{first} {rest if _is_past(verb, forms) else present(rest)}")
    if first.lower() in ("am", "are", "have"):
        return sentence(present(words))
    return sentence(present(words) if conjugate and not _is_past(first, forms) else words)


def _paired(words: str, forms: Forms) -> str:
    """The verb after "and" follows the first one: `run and swim` gives `run and swims`."""
    first = words.split(" ", 1)[0]
    if first.lower() in _HELPING or _is_past(first, forms) or not _SECOND_VERB.search(words):
        return words
    bases = {base for base, _ in forms.values()}
    return _SECOND_VERB.sub(
        lambda found: found["and"] + _third(found["verb"]) if found["verb"] in bases else found[0],
        words,
    )


def doing(infinitive: str, forms: Forms) -> str:
    """`play golf` as what one does: `playing golf`; what is no verb stays."""
    first, _, rest = infinitive.partition(" ")
    gerund = next(
        (form for form, (base, kind) in forms.items() if base == first and kind == "gerund"), first
    )
    return f"{gerund} {rest}".strip()


def present(infinitive: str) -> str:
    """Third person singular of the first verb."""
    first, _, rest = infinitive.partition(" ")
    return f"{_third(first)} {rest}".strip()


def past(infinitive: str, forms: Forms) -> str:
    """Past of the first verb."""
    first, _, rest = infinitive.partition(" ")
    participle = rest.split(" ")[0]
    if first == "have" and forms.get(participle, ("", None))[1] == "participle":
        return f"had {rest}"
    irregular = next(
        (form for form, (base, kind) in forms.items() if base == first and kind == "past"), None
    )
    return f"{irregular or _regular_past(first)} {rest}".strip()


def negated(statement: str) -> str:
    """A statement in third person, denied: "Lives in Dallas" becomes "Does not live in Dallas"."""
    first, _, rest = statement.partition(" ")
    if first in ("Is", "Was"):
        return f"{first} not {rest}"
    if first == "Has":
        return f"Does not have {rest}"
    return (
        f"Does not {first.lower().removesuffix('s')} {rest}"
        if first.endswith("s")
        else f"Not true: {statement}"
    )


def of_other(name: str, statement: str) -> str:
    """A statement with its subject: "Emma is a doctor"; who has no name is theirs."""
    subject = name if name[:1].isupper() else f"Their {name}"
    return f"{subject} {statement[:1].lower()}{statement[1:]}"


def with_article(noun: str) -> str:
    """`a designer`, `an actor`; what has an article or is a proper title keeps it."""
    if re.match(r"(?:an?|the|my|our|their|one|two|three)\b", noun, re.IGNORECASE):
        return noun
    vowel = re.match(r"(?!uni|use|eu|one)[aeiou]", noun, re.IGNORECASE) or _SPELT_OUT.match(noun)
    return f"{'an' if vowel else 'a'} {noun}"


def singular(noun: str) -> str:
    """One of them: `puppies` are each a puppy."""
    plain = noun.lower()
    if plain in _PLURAL:
        return _PLURAL[plain]
    if plain.endswith("ies"):
        return plain[:-3] + "y"
    return plain[:-1] if plain.endswith("s") and not plain.endswith("ss") else plain


def they(words: str) -> str:
    """`my` becomes `their`, `me` becomes `them`; the capital of "My Neighbor Totoro" stays."""
    return _FIRST_PERSON.sub(
        lambda found: found[0] if _is_title(found[0]) else _ME_TO_THEM[found[0].lower()], words
    )


def _is_title(word: str) -> bool:
    return word == "US" or (word.istitle() and not word.startswith("I"))


def _ended(infinitive: str) -> str:
    first, _, rest = infinitive.partition(" ")
    if first == "be":
        return f"is no longer {rest}"
    return f"no longer {present(infinitive)}"


def _denied(infinitive: str, *, was: bool) -> str:
    first, _, rest = infinitive.partition(" ")
    if first == "be":
        return f"{'was' if was else 'is'} not {rest}"
    return f"{'did' if was else 'does'} not {infinitive}"


def _third(verb: str) -> str:
    plain = verb.lower()
    if plain in _IRREGULAR:
        return _IRREGULAR[plain]
    if plain in _SAME:
        return plain
    if re.search(r"(?:s|x|z|ch|sh|o)$", plain):
        return plain + "es"
    if re.search(r"[^aeiou]y$", plain):
        return plain[:-1] + "ies"
    return plain + "s"


def _regular_past(verb: str) -> str:
    if verb.endswith("e"):
        return verb + "d"
    return verb[:-1] + "ied" if re.search(r"[^aeiou]y$", verb) else verb + "ed"


def _is_past(word: str, forms: Forms) -> bool:
    plain = word.lower()
    if plain in _SAME or (plain in forms and forms[plain][1] == "past"):
        return True
    return plain.endswith("ed") and plain not in _NOT_PAST
