"""Decides whether two free-text facts say the same, and why not.

Pure and symmetric. A cosine alone never merges: wording must agree in numbers, names, negation,
polarity, modality, time, quantity and roles, and in every content word up to inflection and a
short list of synonyms. A false merge loses knowledge, a missed one costs a row.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from services.deduper.lexicon import Lexicon, lexicon, strip_ending
from services.deduper.thresholds import BY_MODEL, Floors
from services.deduper.wording import Token, Wording, read

JUDGE = "guards"
"""Who decided, where no model did."""
_RELATED_OVERLAP = 0.6  # share of common words from which a pair is doubtful at any cosine
_JOINING = frozenset({"", "and", ",", "but"})
_DEFAULT_FLOORS = BY_MODEL["all-MiniLM-L6-v2-int8"]


@dataclass(frozen=True)
class Verdict:
    """What the wording says of a pair.

    `guard` names the guard that keeps the two apart ("" for none): with one, a model may still
    call the pair a refinement or a replacement, but nobody may merge it.
    """

    verdict: Literal["duplicate", "independent", "doubtful"]
    reason: str
    guard: str = ""

    @property
    def may_merge(self) -> bool:
        """Whether a model's "duplicate" may be believed."""
        return not self.guard


def could_merge(new: str, old: str) -> bool:
    """Whether `judge` might say duplicate: a quick look, for the many that share few words."""
    a, b = read(new), read(old)
    return a.bare == b.bare or a.plain == b.plain


def judge(new: str, old: str, cosine: float, floors: Floors = _DEFAULT_FLOORS) -> Verdict:
    """Compare two facts about the same subject; the order of the two does not matter.

    `duplicate`: the same statement. `doubtful`: related, so a model should be asked; without one,
    keep both. `independent`: not related.
    """
    first, second = sorted((new, old))
    a, b = read(first), read(second)
    if a.plain == b.plain:
        return Verdict("duplicate", "the same words")
    guard, reason = _objection(a, b)
    if not guard:
        same, guard, reason = _same_statement(a, b, cosine, floors)
        if same:
            return Verdict("duplicate", reason)
    related = cosine >= floors.candidate or _overlap(a, b) >= _RELATED_OVERLAP
    return Verdict("doubtful" if related else "independent", reason, guard)


def _objection(a: Wording, b: Wording) -> tuple[str, str]:
    """The first guard that objects, and what it found; two empty strings for none."""
    words = lexicon()
    for left, right in zip(a.person, b.person, strict=True):
        if left and right and left != right:
            return "roles", "pronouns differ: he / she, or me / them"
    for guard, mine, theirs in _facets(a, b, words):
        if mine != theirs:
            return guard, f"{guard} differ: {_only(mine, theirs)} / {_only(theirs, mine)}"
    return _tense(a, b) or _opposites(a, b, words) or ("", "")


def _facets(a: Wording, b: Wording, words: Lexicon) -> list[tuple[str, Counter[str], Counter[str]]]:
    """What must be equal as a bag: (guard, of a, of b)."""
    return [
        ("numbers", _numbers(a), _numbers(b)),
        ("negation", _negations(a), _negations(b)),
        ("polarity", _polarity(a, words), _polarity(b, words)),
        ("names", *_names(a, b)),
        ("modality", _listed_in(a, words.modality), _listed_in(b, words.modality)),
        ("time", _listed_in(a, words.time), _listed_in(b, words.time)),
    ]


def _numbers(wording: Wording) -> Counter[str]:
    return Counter(token.key for token in wording.tokens if token.number)


def _listed_in(wording: Wording, words: frozenset[str]) -> Counter[str]:
    return Counter(token.key for token in wording.tokens if token.key in words)


def _negations(wording: Wording) -> Counter[str]:
    """What is denied: "tea but not coffee" is not "coffee but not tea"."""
    return Counter(f"not {token.key}" for token in wording.tokens if token.negated)


def _polarity(wording: Wording, words: Lexicon) -> Counter[str]:
    keys = wording.keys().keys()
    return Counter(
        sign
        for sign, listed in (("liking", words.positive), ("disliking", words.negative))
        if keys & listed
    )


def _names(a: Wording, b: Wording) -> tuple[Counter[str], Counter[str]]:
    """What is only on one side, where both sides have such and one of them is a name."""
    left, right = a.keys() - b.keys(), b.keys() - a.keys()
    dated = lexicon().time
    named = {t.key for t in (*a.tokens, *b.tokens) if t.name and t.key not in dated}
    if left and right and named & (left.keys() | right.keys()):
        return left, right
    spelled = {t.key: t.word for t in a.tokens if t.key in named}
    other = {t.key: t.word for t in b.tokens if t.key in spelled}
    differing = [
        key
        for key, word in other.items()
        if word != spelled[key] and strip_ending(word) == strip_ending(spelled[key])
    ]
    return Counter(spelled[key] for key in differing), Counter(other[key] for key in differing)


def _tense(a: Wording, b: Wording) -> tuple[str, str] | None:
    """Objects where a verb, or the clause, stands in another tense, or one thing became several."""
    if a.markers != b.markers:
        return "time", f"tense differs: {_listed(a.markers)} / {_listed(b.markers)}"
    for token, other in _counterparts(a, b):
        if not _same_form(token, other) and not a.markers == b.markers == ("perfect",):
            return "time", f"form differs: {token.word} / {other.word}"
        if _one_and_several(token, other) or _one_and_several(other, token):
            return "quantity", f"quantity differs: {token.word} / {other.word}"
    return None


def _counterparts(a: Wording, b: Wording) -> Iterator[tuple[Token, Token]]:
    """Tokens with the same key but another form, the first with the first and so on."""
    for key in a.keys() & b.keys():
        mine, theirs = ([t for t in w.tokens if t.key == key] for w in (a, b))
        yield from ((m, t) for m, t in zip(mine, theirs, strict=False) if m.word != t.word)


def _same_form(one: Token, other: Token) -> bool:
    """Whether "is learning" / "learns", "swimming" / "to swim"; never "bored" / "boring"."""
    if one.form == other.form:
        return True
    if "ed" in {one.form, other.form}:
        return False
    ing, plain = (one, other) if one.form == "ing" else (other, one)
    return ing.before in {"is", "'s", "go", "goes"} or plain.before == "to"


def _one_and_several(one: Token, several: Token) -> bool:
    counted = one.single or one.key in lexicon().people
    return counted and several.word in {f"{one.word}s", f"{one.word}es", f"{one.word[:-1]}ies"}


def _opposites(a: Wording, b: Wording, words: Lexicon) -> tuple[str, str] | None:
    left, right = a.keys() - b.keys(), b.keys() - a.keys()
    for mine in sorted(left):
        for theirs in sorted(right):
            if frozenset({mine, theirs}) in words.opposites:
                return "opposites", f"opposites: {mine} / {theirs}"
    return None


def _same_statement(a: Wording, b: Wording, cosine: float, floors: Floors) -> tuple[bool, str, str]:
    """Whether the content words agree, the guard that objects if one does, and the reason."""
    left, right = [t.key for t in a.tokens], [t.key for t in b.tokens]
    if not left or not right:
        return False, "", "nothing to compare"
    if {a.owner, b.owner} == {"possessive", "subject"}:
        return False, "roles", "roles differ: the subject / what is the subject's"
    if left == right:
        return True, "", "the same words but for form"
    weak = lexicon().weak
    bare_left, bare_right = ([k for k in keys if k not in weak] for keys in (left, right))
    if Counter(bare_left) != Counter(bare_right) or not bare_left:
        return False, "", f"words differ: {_only(a.keys(), b.keys())} / {_only(b.keys(), a.keys())}"
    if cosine < floors.duplicate:
        return False, "", "nearly the same words, but not near enough in meaning"
    if bare_left != bare_right and not (_phrases(a) == _phrases(b) and _one_head(a)):
        return False, "roles", "the same words in another order: roles may differ"
    return True, "", "nearly the same words, and near in meaning"


def _phrases(wording: Wording) -> Counter[tuple[str, ...]]:
    """Phrases with the word that leads in: "a red car and a bike" → (red, car), (and, bike)."""
    weak = lexicon().weak
    runs: dict[int, list[str]] = {}
    for token in wording.tokens:
        if token.key not in weak:
            lead = "" if token.lead in _JOINING else token.lead
            runs.setdefault(token.phrase, [lead]).append(token.key)
    return Counter(tuple(run) for run in runs.values())


def _one_head(wording: Wording) -> bool:
    """Whether its phrases may stand in any order: "lives in Rome and works at home" may not."""
    words = lexicon()
    opening = {token.phrase: token for token in reversed(wording.tokens)}
    apart = words.time | words.directional | words.before_numbers
    aside = [token.key in apart or token.lead not in _JOINING for token in opening.values()]
    return aside.count(False) <= 1 or not any(aside)


def _overlap(a: Wording, b: Wording) -> float:
    """Jaccard overlap of the content words, 0..1."""
    left, right = a.keys().keys(), b.keys().keys()
    return len(left & right) / max(len(left | right), 1)


def _only(these: Counter[str], those: Counter[str]) -> str:
    return _listed(sorted((these - those).elements()))


def _listed(words: Iterable[str]) -> str:
    return ", ".join(word.removeprefix("#") for word in words) or "none"
