"""Cosine floors per embedding model: where a pair becomes a candidate, where wording may vary.

A cosine only means something within one model (multilingual E5 keeps nearly everything above .77),
so a model that is not listed gets floors that leave wording alone to decide.
"""

from dataclasses import dataclass

from shared.local_models import LOCAL_MODEL, MULTILINGUAL_MODEL


@dataclass(frozen=True)
class Floors:
    """`duplicate`: near-equal wording merges. `candidate`: worth the guards' look. `related`: worth
    a model's, where there is one.
    """

    candidate: float
    duplicate: float
    related: float


# Measured on one HaluMem user (gold points: 180 updates with the fact they replace, 233,586 pairs,
# 126 distorted facts) and on our own tests/data (173 near-misses, 102 paraphrases).
# `candidate`: .50 / .55 / .60 / .65 keep 94 / 91 / 84 / 73 % of the updates and let through
# 21 / 12 / 6 / 3 % of all pairs; 95 % of the paraphrases lie above .74. `duplicate`: distorted
# facts and near-misses reach .98 and .99, so no floor separates them; this one only asks that
# wording which differs in order or by a weak word is no further off than paraphrases are.
# `related`: 98 % of the replaced facts lie above .40 (or share a fifth of their words); of those a
# model is asked about the 30 likeliest, which hold 94 % of the replaced ones (cosine alone 89 %,
# BM25 alone 93 %, their fusion 94 %; 450 facts of one subject on average).
#
# Multilingual E5, "query: " before every text, on the same data, whose cosines lie between .77 and
# 1 (1 % and 99 % of all pairs: .771, .936). `candidate`: .90 lets through 12 % of all pairs, as
# MiniLM's does, and 99 % of the paraphrases lie above .907. `duplicate`: 5 % of the paraphrases
# lie below .93, as with MiniLM; near-misses reach .999. `related`: at .80 the 30 likeliest hold
# 87 % of the replaced facts, at .83 84, at .85 82, at .87 79 (MiniLM at .40, counted in the same
# way: 92). Nearly every pair lies above it: cosine and words rank, the floor sorts out little.
BY_MODEL = {
    LOCAL_MODEL: Floors(candidate=0.55, duplicate=0.75, related=0.40),
    MULTILINGUAL_MODEL: Floors(candidate=0.90, duplicate=0.93, related=0.80),
}
UNKNOWN_MODEL = Floors(candidate=0.50, duplicate=1.01, related=-1.0)


def floors_for(model: str) -> Floors:
    """The floors measured for a model, or the careful ones."""
    return BY_MODEL.get(model, UNKNOWN_MODEL)
