"""What a cosine and a share of words say of relevance on an absolute scale, by model. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from shared.local_models import LOCAL_MODEL, MULTILINGUAL_MODEL


@dataclass(frozen=True)
class Calibration:
    """A logistic of cosine and matched share, one per embedding model.

    `unrelated`: the cosine, < 1, of texts that have nothing to do with each other; from there to 1
    is 0..1 here, and a missing cosine is 0.
    `elsewhere`: how much it counts against a hit that what is asked stands better in the words of
    somebody the query does not name; `other_person`: that the hit is itself somebody else's.
    """

    intercept: float = -2.3
    cosine: float = 3.5
    matched_share: float = 3.0
    elsewhere: float = 5.0
    other_person: float = 1.5
    unrelated: float = 0.0

    def logit(self, cosine: float | None, matched_share: float) -> float:
        """How far the two speak for a hit; a missing cosine speaks as one of the unrelated does."""
        near = 0.0 if cosine is None else max(cosine - self.unrelated, 0.0) / (1 - self.unrelated)
        return self.intercept + self.cosine * near + self.matched_share * matched_share


MINILM = Calibration()
# E5's was fitted to MiniLM's, so that a score means the same. On a HaluMem user, LoCoMo's turns and
# its observations .5 is reached by the best hit of 100, 98 and 95 % of 422 questions with an answer
# (MiniLM 100, 95, 95) and of 2, 55 and 52 % of 180 about somebody else (5, 55, 50). 5 % of all
# pairs of a question and a fact lie below .74.
CALIBRATIONS = {
    LOCAL_MODEL: MINILM,
    MULTILINGUAL_MODEL: Calibration(cosine=5.0, unrelated=0.74),
}


def calibration_for(model: str) -> Calibration:
    """The one measured for a model; without one MiniLM's, whose scores then mean little."""
    return CALIBRATIONS.get(model, MINILM)
