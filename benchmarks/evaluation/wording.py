"""Whether a stored fact says what a gold fact says, as far as words can tell (pure).

With a slot on the gold side: the same attribute, value and claim. Without: most of what the stored
fact names stands in the gold sentence. Words cannot tell negation, tense or who is meant, and miss
whatever is said in other words; so a share by words is a comparison between versions, no truth.
"""

from __future__ import annotations

import re
from functools import lru_cache

from benchmarks.evaluation.people import GoldFact
from benchmarks.evaluation.stored import StoredFact
from shared.slots import resolve, value_key

_ENOUGH = 0.6  # of the words that the stored fact names
_WORD = re.compile(r"[^\W_]+")
_ENDING = re.compile(r"(?<=\w{3})(?:ings?|ed|ies|es|s|y|e)$")
_EMPTY = frozenset(
    """a about all also am an and any are as at be been but by can did do does for from get gets
    go goes going got had has have he her hers him his how i if in into is it its just like likes
    lot lots love loves make makes me more most much my new no not of on or our out she so some
    than that the their them then there these they thing things this those to too up us use user
    uses very was we were what when where which who will with would you your""".split()  # noqa: SIM905  one word a line reads worse
)


def agree(stored: StoredFact, gold: GoldFact) -> bool:
    """Whether the two say the same, by slot where gold has one, else by words."""
    slot = gold.fields.get("slot")
    if slot:
        return _same_attribute(stored, str(slot), gold)
    named = words(stored.value or stored.content)
    return bool(named) and len(named & words(gold.content)) / len(named) >= _ENOUGH


def _same_attribute(stored: StoredFact, slot: str, gold: GoldFact) -> bool:
    spec = resolve(slot)
    name = spec.name if spec else slot
    if stored.slot != name or stored.claim != gold.fields.get("claim", "holds"):
        return False
    return value_key(name, stored.value or "") == value_key(name, gold.fields["value"])


@lru_cache(maxsize=8192)
def words(text: str) -> frozenset[str]:
    """The words that carry meaning, without their endings."""
    found = (word.casefold() for word in _WORD.findall(text))
    return frozenset(_ENDING.sub("", word) for word in found if word not in _EMPTY)
