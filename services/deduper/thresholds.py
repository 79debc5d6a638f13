"""Cosine floors per embedding model: where a pair becomes a candidate, where wording may vary.

A cosine only means something within one model (multilingual E5 keeps everything in .81–.98), so
a model that is not listed gets floors that leave wording alone to decide.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Floors:
    """`candidate`: worth a look and a model's verdict. `duplicate`: near-equal wording merges."""

    candidate: float
    duplicate: float


# Measured on one HaluMem user (gold points: 180 updates with the fact they replace, 233,586 pairs,
# 126 distorted facts) and on our own tests/data (173 near-misses, 102 paraphrases).
# `candidate`: .50 / .55 / .60 / .65 keep 94 / 91 / 84 / 73 % of the updates and let through
# 21 / 12 / 6 / 3 % of all pairs; 95 % of the paraphrases lie above .74. `duplicate`: distorted
# facts and near-misses reach .98 and .99, so no floor separates them; this one only asks that
# wording which differs in order or by a weak word is no further off than paraphrases are.
BY_MODEL = {
    "all-MiniLM-L6-v2-int8": Floors(candidate=0.55, duplicate=0.75),
}
UNKNOWN_MODEL = Floors(candidate=0.50, duplicate=1.01)


def floors_for(model: str) -> Floors:
    """The floors measured for a model, or the careful ones."""
    return BY_MODEL.get(model, UNKNOWN_MODEL)
