"""Reads one fact into what the guards compare: words in order, numbers, negations, tense, names.

Pure. English only: other languages merge when they are the same words in the same order.
"""

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, replace
from functools import lru_cache

from services.deduper.lexicon import Lexicon, lexicon
from services.deduper.rewording import reworded

_TOKEN = re.compile(
    r"(?:(?<!\w)-)?\d+(?:[.,:/-]\d+)*|'s\b|[^\W\d_]+(?:\.[^\W\d_]\b)*(?:[+#]+)?|[$€£¥%+&,;:()]|[^\w\s!-/:-@\[-`{-~–—“”„…¡¿]"
)
_CONTRACTIONS = (
    (re.compile(r"\bcan't\b|\bcannot\b", re.IGNORECASE), "can not"),
    (re.compile(r"\bwon't\b", re.IGNORECASE), "will not"),
    (re.compile(r"n't\b", re.IGNORECASE), " not"),
    (re.compile(r"'s\b", re.IGNORECASE), "'s"),
    (re.compile(r"'re\b", re.IGNORECASE), " are"),
    (re.compile(r"'ve\b", re.IGNORECASE), " have"),
    (re.compile(r"'ll\b", re.IGNORECASE), " will"),
    (re.compile(r"'m\b", re.IGNORECASE), " am"),
    (re.compile(r"'d\b", re.IGNORECASE), " would"),
)
_BE = frozenset({"is", "am", "are", "be", "being", "was", "were", "been", "get", "gets", "got"})
_HAVE = frozenset({"has", "have", "had", "having"})
_FIRST, _THIRD = frozenset({"me", "us"}), frozenset({"him", "them"})
_BREAKS = frozenset(
    {"of", "in", "at", "on", "to", "as", "for", "into", "within", "and", "but", ","}
)
_PUNCTUATION = frozenset(",;:()")
_PAST = frozenset({"was", "were", "did"})
_ORDINAL = {"st", "nd", "rd", "th"}


@dataclass(frozen=True)
class Token:
    """A word that counts: its `key` for comparison, the word itself, and how it stood there.

    `form`: "ing", "ed" or "". `before`: the word before it. `single`: the noun of "a …". `phrase`:
    words with the same number stood side by side, introduced by the preposition `lead`.
    """

    key: str
    word: str
    name: bool = False
    number: bool = False
    negated: bool = False
    form: str = ""
    before: str = ""
    single: bool = False
    phrase: int = 0
    lead: str = ""


@dataclass(frozen=True)
class Wording:
    """One fact, read. `tokens` in order; `markers` are tense; `owner` is how the subject stands;
    `bare` are the keys that may not be missing on the other side.
    """

    tokens: tuple[Token, ...]
    markers: tuple[str, ...]
    owner: str
    person: tuple[frozenset[str], frozenset[str]]
    plain: str
    bare: frozenset[str]

    def keys(self) -> Counter[str]:
        """The keys with their counts."""
        return Counter(token.key for token in self.tokens)


@lru_cache(maxsize=4096)
def read(text: str) -> Wording:
    """Read a fact; equal texts cost nothing the second time."""
    words = lexicon()
    raw = _split(text)
    owner, rest = _subject(reworded(raw, words), words)
    rewritten = _rewrite(rest, words)
    tokens, markers = _tokens(rewritten, words)
    lower = frozenset(word.lower() for word in raw)
    person = (
        frozenset(g for g, of in (("f", words.feminine), ("m", words.masculine)) if lower & of),
        frozenset(n for n, of in (("1", _FIRST), ("3", _THIRD)) if lower & of),
    )
    if _introduces(owner, rest, tokens, words):
        owner, tokens = "implied", [Token(words.stem("have"), "has"), *tokens]
    plain = " ".join(word.lower() for word in raw if word not in _PUNCTUATION)
    bare = frozenset(token.key for token in tokens if token.key not in words.weak)
    return Wording(_lists_sorted(tokens), tuple(sorted(markers)), owner, person, plain, bare)


def _introduces(owner: str, rest: list[str], tokens: list[Token], known: Lexicon) -> bool:
    """Whether the fact tells what somebody of the subject's is called: "sister is named Clara"."""
    if len(tokens) < 2 or tokens[1].word != "named":
        return False
    begins = rest[0].lower() == tokens[0].word and tokens[0].key in known.people
    return owner == "possessive" or (owner == "implied" and begins)


def _split(text: str) -> list[str]:
    """The text's words as written, accents folded, contractions spelled out."""
    folded = unicodedata.normalize("NFKD", text.replace("’", "'").replace("‘", "'"))
    folded = "".join(c for c in folded if not unicodedata.combining(c))
    if "'" in folded or "cannot" in folded.lower():
        for pattern, full in _CONTRACTIONS:
            folded = pattern.sub(full, folded)
    return [word.replace(".", "") if word[0].isalpha() else word for word in _TOKEN.findall(folded)]


def _subject(words: list[str], known: Lexicon) -> tuple[str, list[str]]:
    """How the fact names its subject, and the words after it: "The user's …", "I …", "Lives …"."""
    rest = words[1:] if [w.lower() for w in words[:2]] == ["the", "user"] else words
    first = rest[0].lower() if rest else ""
    if first == "user" and len(rest) > 1 and rest[1] == "'s" and not _verbal(rest[2:]):
        return "possessive", rest[2:]
    if first in known.possessive:
        return "possessive", rest[1:]
    if first in known.subject:
        return "subject", rest[1:]
    return "implied", words


def _verbal(words: list[str]) -> bool:
    """Whether "'s" before these words is short for "is" or "has"."""
    first = words[0].lower() if words else ""
    return first in {"a", "an", "the", "not", "been", "in", "at", "from"} or first.endswith("ing")


def _rewrite(words: list[str], known: Lexicon) -> list[str]:
    """Drop fillers and replace known phrases, whose words lose their capitals."""
    words = [word for word in words if word.lower() not in known.fillers]
    lower = ["is" if w in {"am", "are"} else w for w in (word.lower() for word in words)]
    result: list[str] = []
    at = 0
    while at < len(words):
        for size in range(min(5, len(words) - at), 0, -1):
            phrase = known.phrases.get(tuple(lower[at : at + size]))
            if phrase is not None:
                result += phrase
                at += size
                break
        else:
            result.append(words[at])
            at += 1
    return result


def _tokens(words: list[str], known: Lexicon) -> tuple[list[Token], list[str]]:
    lower = [word.lower() for word in words]
    tokens: list[Token] = []
    markers = ["ended"] if "anymore" in lower else []
    negated, article, phrase, lead = False, False, 0, ""
    capitals = any(word.islower() for word in words)
    for at, word in enumerate(lower):
        follower = lower[at + 1] if at + 1 < len(lower) else ""
        acronym = capitals and len(word) > 1 and words[at].isupper()
        if word in known.negation:
            negated = not negated or word == "without"
        if word in {"not", "no", "never", "anymore"}:
            continue
        if word in _PAST:
            markers.append("past")
        elif word == "been" or (word in _HAVE and _participle(follower, known)):
            markers.append("perfect" if word != "had" else "past perfect")
        elif word == "used" and follower == "to":
            tokens.append(Token("usedto", "used to"))
        elif _skipped(lower, at, known) and not acronym:
            phrase, lead = (phrase + 1, word) if word in _BREAKS else (phrase, lead)
            article = word in {"a", "an"} or (article and word not in _BREAKS)
        else:
            last = at + 1 == len(lower) or _skipped(lower, at + 1, known) or follower[-2:] == "ed"
            token = _token(words, at, known)
            if _opens_phrase(token, tokens, phrase, known):
                phrase, lead = phrase + 1, ""
            told = negated and "ended" not in markers
            tokens.append(
                replace(token, phrase=phrase, lead=lead, single=article and last, negated=told)
            )
            negated, article = False, article and not last
    return _tidy(tokens, markers, lower)


def _opens_phrase(token: Token, before: list[Token], phrase: int, known: Lexicon) -> bool:
    """Directional words open a phrase; words of time keep to themselves."""
    if token.key in known.directional or token.word in known.before_numbers:
        return True
    if not before or before[-1].phrase != phrase or before[-1].key in known.directional:
        return False
    return (token.key in known.time) != (before[-1].key in known.time)


def _lists_sorted(tokens: list[Token]) -> tuple[Token, ...]:
    """Put "tea and coffee" in alphabetical order where both are single words after the verb."""
    ordered = list(tokens)
    for at in range(1, len(tokens)):
        one, two = tokens[at - 1], tokens[at]
        alone = at + 1 == len(tokens) or tokens[at + 1].phrase != two.phrase
        first = at == 2 or (at > 2 and tokens[at - 2].phrase != one.phrase)
        if two.lead == "and" and one.phrase + 1 == two.phrase and alone and first:
            pair = sorted((one, two), key=lambda token: token.key)
            ordered[at - 1 : at + 1] = [
                replace(word, phrase=place.phrase, lead=place.lead)
                for word, place in zip(pair, (one, two), strict=True)
            ]
    return tuple(ordered)


def _skipped(lower: list[str], at: int, known: Lexicon) -> bool:
    word, follower = lower[at], lower[at + 1] if at + 1 < len(lower) else ""
    if word in known.before_numbers:
        return not (follower[:1].isdigit() or follower in known.numbers)
    return word in known.ignored or (word != "user" and word in known.pronouns)


def _token(words: list[str], at: int, known: Lexicon) -> Token:
    word, before = words[at].lower(), words[at - 1].lower() if at else ""
    if word[-1].isdigit():
        return Token(f"#{_number(word)}", word, number=True)
    if word in known.numbers:
        return Token(f"#{known.numbers[word]}", word, number=True)
    if before[-1:].isdigit() and word in {"s", *_ORDINAL}:
        return Token(f"#{word if word == 's' else 'th'}", word, number=True)
    return Token(
        known.stem(word),
        word,
        name=at > 0 and words[at][:1].isupper(),
        form=_form(word, known),
        before=before,
    )


def _tidy(
    tokens: list[Token], markers: list[str], lower: list[str]
) -> tuple[list[Token], list[str]]:
    """With "since" a perfect is a present: "has lived here since 2019". Of what happens once it is
    a past: "has adopted a cat", "has been promoted".
    """
    if "perfect" in markers and "since" in lower:
        tokens = [replace(token, form="") for token in tokens]
        markers = [marker for marker in markers if marker != "perfect"]
    elif _happened_once(tokens, markers):
        undergone = markers == ["past"] or "been" in lower
        markers = ["passive"] if undergone and "did" not in lower else []
    elif "perfect" in markers:
        markers = ["perfect"]
    return tokens, markers


def _happened_once(tokens: list[Token], markers: list[str]) -> bool:
    """Whether a single event is told, in a simple past, a perfect or a passive."""
    if set(markers) not in ({"past"}, {"perfect"}):
        return False
    done = [token for token in tokens if token.form == "ed"]
    return len(done) == 1 and done[0].key in lexicon().telic and not done[0].negated


def _form(word: str, known: Lexicon) -> str:
    if word.endswith("ing") and len(word) > 5:
        return "ing"
    past = word in known.irregular and word not in {"has", "goes"}
    return "ed" if past or (word.endswith("ed") and len(word) > 4) else ""


def _participle(word: str, known: Lexicon) -> bool:
    return word in known.irregular or word == "been" or (word.endswith("ed") and len(word) > 4)


def _number(text: str) -> str:
    """One spelling for 1,000 and 1000, 3.50 and 3.5; times, dates and ranges stay as written."""
    bare = re.sub(r",(?=\d{3}\b)", "", text)
    try:
        return f"{float(bare):g}" if abs(float(bare)) < 1e6 else f"{float(bare):.0f}"
    except ValueError:
        return bare
