"""Made-up people with dated attributes, drawn from a seed (pure): truth beside its messages.

Each has several attributes that change, and neighbours of them that do not: other attributes told
once, several values of slots of many (one of which ends), and free text that names a value which
is replaced elsewhere. Those must survive whatever happens around them.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from benchmarks.evaluation.chains import Chain, Telling, draw
from benchmarks.evaluation.people import GoldFact, Person, Turn
from benchmarks.evaluation.values import changing_slots, slots_of_many, values_of
from shared.slots import SlotSpec

_CHAINS = 4
_STEADY = 2
_BIRTH = datetime(2012, 1, 10, tzinfo=UTC)
_REMARKS = (
    "Loves the old bookshops of {}",
    "Once wrote a long letter about {}",
    "Keeps a photograph that reminds of {}",
)


@dataclass(frozen=True, slots=True)
class Story:
    """A person, the truth of what changed, and what must stay (contents of facts)."""

    person: Person
    chains: tuple[Chain, ...]
    siblings: tuple[str, ...]
    ended: tuple[str, ...]


def draw_stories(seed: int, count: int) -> list[Story]:
    """Draw people; the same seed draws the same ones."""
    return [_draw_story(random.Random(f"{seed}-{number}"), number) for number in range(count)]


def shuffled(person: Person, seed: int) -> Person:
    """The same messages with the same times, arriving in another order."""
    turns = list(person.turns)
    random.Random(f"{seed}-{person.name}").shuffle(turns)
    return Person(person.name, tuple(turns), person.exact)


def _draw_story(chance: random.Random, number: int) -> Story:
    specs = chance.sample(changing_slots(), _CHAINS + _STEADY)
    changing, steady = specs[:_CHAINS], specs[_CHAINS:]
    chains = tuple(
        draw(chance, spec.name, values_of(spec), _BIRTH + timedelta(days=chance.randint(0, 900)))
        for spec in changing
    )
    siblings = [_steady(chance, spec) for spec in steady]
    siblings += [_remark(chance, chain, index) for index, chain in enumerate(chains[:3])]
    many, ended = _several(chance)
    siblings += many[1:]
    told = [*siblings, many[0], ended, *(t for chain in chains for t in chain.tellings)]
    return Story(
        Person(f"story-{number:03}", _turns(told, number), exact=True),
        chains,
        tuple(telling.fact.content for telling in siblings),
        (many[0].fact.content,),
    )


def _steady(chance: random.Random, spec: SlotSpec) -> Telling:
    value = chance.choice(values_of(spec)).plain
    content = f"{spec.name.replace('_', ' ').capitalize()} is {value}"
    fields = {"slot": spec.name, "value": value, "cardinality": "one", "confidence": 0.95}
    return Telling(_some_day(chance), GoldFact(content, fields))


def _remark(chance: random.Random, chain: Chain, index: int) -> Telling:
    """Free text about a value that the person has no longer."""
    content = _REMARKS[index % len(_REMARKS)].format(chain.spans[0].value.plain)
    return Telling(_some_day(chance), GoldFact(content, {"confidence": 0.95}))


def _several(chance: random.Random) -> tuple[list[Telling], Telling]:
    """Three values of a slot of many; the first of them ends a year later."""
    slot, values = chance.choice(sorted(slots_of_many().items()))
    told = [Telling(_some_day(chance), _one_of_many(slot, value)) for value in values]
    over = GoldFact(
        f"No longer {values[0]} ({slot})", {"slot": slot, "value": values[0], "claim": "ends"}
    )
    return told, Telling(told[0].at + timedelta(days=365), over)


def _one_of_many(slot: str, value: str) -> GoldFact:
    fields = {"slot": slot, "value": value, "cardinality": "many", "confidence": 0.95}
    return GoldFact(f"Among {slot}s: {value}", fields)


def _some_day(chance: random.Random) -> datetime:
    day = _BIRTH + timedelta(days=chance.randint(0, 3_000))
    return day.replace(hour=chance.randint(7, 22), minute=chance.randint(0, 59))


def _turns(told: Sequence[Telling], number: int) -> tuple[Turn, ...]:
    """One message for each telling; its text names the person, so that no two are alike."""
    ordered = sorted(told, key=lambda telling: telling.at)
    return tuple(
        Turn(
            f"{telling.at:%Y-%m-%d}", "user", telling.at,
            f"Entry {number}.{index}. {telling.fact.content}.", (telling.fact,),
        )
        for index, telling in enumerate(ordered)
    )  # fmt: skip


def waves(people: Iterable[Person], count: int) -> list[list[tuple[Person, int, Turn]]]:
    """Split everybody's messages into parts, each person's in order: (who, number, turn)."""
    parts: list[list[tuple[Person, int, Turn]]] = [[] for _ in range(count)]
    for person in people:
        for index, turn in enumerate(person.turns):
            parts[index * count // len(person.turns)].append((person, index, turn))
    return parts
