"""Gold facts as a careless model would hand them over (pure, seeded).

Some are dropped; some are said again in a later session; distorted facts, which the data set
supplies, are told beside the true ones.
"""

from __future__ import annotations

import random
from dataclasses import replace

from benchmarks.evaluation.people import GoldFact, Person, Turn

DROPPED = 0.1
REPEATED = 0.1


def without_distortions(person: Person) -> Person:
    """The same person, told true facts only."""
    turns = (
        replace(turn, facts=tuple(fact for fact in turn.facts if not _of_distortion(fact)))
        for turn in person.turns
    )
    return replace(person, turns=tuple(turns))


def noisy(person: Person, seed: int) -> Person:
    """Drop and repeat a share of the true facts; distorted ones stay as they are.

    Repeating a replaced fact after its update would make it true again, so only facts that
    nothing replaces are repeated.
    """
    chance = random.Random(f"{seed}-{person.name}")
    replaced = {old for _, fact in person.facts() for old in fact.replaces}
    waiting: list[GoldFact] = []
    turns: list[Turn] = []
    for turn in person.turns:
        here = [fact for fact in turn.facts if _of_distortion(fact) or chance.random() >= DROPPED]
        again = waiting if turn.facts else []
        waiting = [] if turn.facts else waiting
        turns.append(replace(turn, facts=(*here, *again)))
        waiting += [
            replace(fact, replaces=())
            for fact in here
            if not (_of_distortion(fact) or fact.content in replaced) and chance.random() < REPEATED
        ]
    return replace(person, turns=tuple(turns))


def _of_distortion(fact: GoldFact) -> bool:
    return fact.distorts is not None or fact.beside
