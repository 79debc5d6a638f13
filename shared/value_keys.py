"""When two spellings of a value say the same.

One function per kind of value; each maps a value as said to a key. Equal keys are one belief, so a
key drops only what never changes the meaning; it never guesses that two words are synonyms. A key
is its own key, so that what is compared may be compared again.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache

from shared import value_dates, value_numbers, value_places, value_words

_ROUNDS = 12


@lru_cache(maxsize=8_192)
def key(kind: str, value: str) -> str:
    """The key of a value of that kind; a value without letters or digits is its own key."""
    made, compared = value, _KINDS.get(kind, value_words.text)
    for _ in range(_ROUNDS):
        again = compared(made) or " ".join(made.casefold().split())
        if again == made:
            break
        made = again
    return made


_KINDS: Mapping[str, Callable[[str], str]] = {
    "text": value_words.text,
    "name": value_words.name,
    "pet": value_words.pet,
    "org": value_words.org,
    "school": value_words.school,
    "title": value_words.title,
    "diet": value_words.diet,
    "faith": value_words.faith,
    "status": value_words.status,
    "yes_no": value_words.yes_no,
    "thing": value_words.thing,
    "activity": value_words.activity,
    "language": value_words.language,
    "place": value_places.place,
    "region": value_places.region,
    "country": value_places.country,
    "date": value_dates.date,
    "birthday": value_dates.birthday,
    "year": value_dates.year,
    "age": value_dates.age,
    "email": value_numbers.email,
    "url": value_numbers.url,
    "phone": value_numbers.phone,
    "count": value_numbers.count,
    "height": value_numbers.height,
    "weight": value_numbers.weight,
    "money": value_numbers.money,
}

KINDS = frozenset(_KINDS)
