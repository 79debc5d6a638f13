"""Other constructions of the same statement, brought into one (pure).

"Inception is the user's favorite movie" is "The user's favorite movie is Inception"; "has a dog,
Rex" and "has a dog called Rex" name it; "is a violin player" plays the violin. Which words do so
stands in `words.toml`; what changes who does what to whom is left as it is.
"""

from services.deduper.lexicon import Lexicon

_ARTICLES = frozenset({"a", "an"})
_IS = frozenset({"is", "are"})
_LONGEST_NAME = 3
_NEAR = 4  # words between an article and what its noun is called


def reworded(words: list[str], known: Lexicon) -> list[str]:
    """The same fact in the one construction that is compared."""
    for rewrite in (_owner_first, _named, _agent):
        words = rewrite(words, known)
    return words


def _owner_first(words: list[str], known: Lexicon) -> list[str]:
    """Turn "Tom is Sara's boss" into "Sara's boss is Tom", and so "X is my favorite Y"."""
    lower = [word.lower() for word in words]
    verbs = [at for at, word in enumerate(lower) if word in _IS]
    if len(verbs) != 1:
        return words
    left, right = words[: verbs[0]], words[verbs[0] + 1 :]
    if not _is_owned(right, known) or _is_owned(left, known) or not _is_name(left):
        return words
    return [*right, words[verbs[0]], *left]


def _is_owned(words: list[str], known: Lexicon) -> bool:
    """Whether it begins with whose it is: "the user's …", "Sara's …", "my …"."""
    lower = [word.lower() for word in words[: _LONGEST_NAME + 1]]
    return bool(lower) and (lower[0] in known.possessive or "'s" in lower[1:])


def _is_name(words: list[str]) -> bool:
    """Whether it is a name: few words, each with a capital."""
    return 0 < len(words) <= _LONGEST_NAME and all(word[:1].isupper() for word in words)


def _named(words: list[str], known: Lexicon) -> list[str]:
    """Say "a dog named Rex" for "a dog called Rex" and "a dog, Rex"."""
    lower = [word.lower() for word in words]
    result: list[str] = []
    for at, word in enumerate(words):
        counted = _ARTICLES | known.numbers.keys()
        before = lower[max(0, at - _NEAR) : at]
        introduced = not counted.isdisjoint(before) and lower[at - 1] not in _IS
        if introduced and (word == "called" or _sets_apart(words, at, known)):
            result.append("named")
        else:
            result.append(word)
    return result


def _sets_apart(words: list[str], at: int, known: Lexicon) -> bool:
    """Whether this comma stands between somebody and the name that ends the fact."""
    if words[at] != "," or known.stem(words[at - 1].lower()) not in known.people:
        return False
    return _is_name(words[at + 1 :])


def _agent(words: list[str], known: Lexicon) -> list[str]:
    """Say "plays violin" for "is a violin player", where the word for who does it is known."""
    lower = [word.lower() for word in words]
    verb = known.agents.get(lower[-1]) if lower else None
    start = next((at for at, word in enumerate(lower) if word in _IS), None)
    if verb is None or start is None or len(words) - start not in {4, 5}:
        return words
    if lower[start + 1] not in _ARTICLES or known.stem(lower[-2]) in known.people:
        return words  # a team player plays no team
    return [*words[:start], verb, *words[start + 2 : -1]]
