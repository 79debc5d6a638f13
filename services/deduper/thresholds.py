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


BY_MODEL = {
    "all-MiniLM-L6-v2-int8": Floors(candidate=0.60, duplicate=0.75),
}
UNKNOWN_MODEL = Floors(candidate=0.50, duplicate=1.01)


def floors_for(model: str) -> Floors:
    """The floors measured for a model, or the careful ones."""
    return BY_MODEL.get(model, UNKNOWN_MODEL)
