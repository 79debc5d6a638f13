"""What the tense and polarity of a statement make of the rule it fits.

"I moved to Dallas" happened, so it holds now; "I'm moving to Dallas" is a plan; "I lived in Dallas"
is over; "I never lived in Dallas" denies. Also which of the statement's times are its bounds. Pure.
"""

import re
from dataclasses import dataclass
from datetime import datetime

from services.extractor.frames import Frame
from services.extractor.languages import Rule
from services.extractor.times import Timing
from services.extractor.turns import Claim, TemporalState
from shared.facts.dates import parse_date

_ABIDING = ("live", "work", "study", "reside", "teach")
_BEING = ("have", "be", "own", "drive")


@dataclass(frozen=True, slots=True)
class Reading:
    """What is claimed, when it holds, and the dates that were said."""

    claim: Claim
    state: TemporalState
    begins: str | None = None
    ends: str | None = None


def read(rule: Rule, frame: Frame, timing: Timing) -> Reading | None:
    """The reading of a rule in this frame; None if, put like this, it says nothing."""
    claimed = _claimed(rule, frame, timing)
    if claimed is None:
        return None
    if rule.scope == "text" and rule.claim == "holds":
        return Reading(*claimed)  # the times belong to what else the clause says
    begins, ends = _bounds(*claimed, frame, timing)
    return Reading(*claimed, begins, ends)


def _claimed(rule: Rule, frame: Frame, timing: Timing) -> tuple[Claim, TemporalState] | None:
    if rule.claim == "denies":
        return ("denies", "current") if frame.claim in ("denies", "ends") else None
    if rule.affirmed and frame.claim == "denies":
        return None
    if rule.abiding and frame.tense == "past" and not frame.used_to:
        return None
    if rule.tense and frame.tense != rule.tense and not frame.base.startswith("be "):
        return None
    if rule.scope == "text":
        return rule.claim, rule.state or "current"
    if rule.event:
        return _happened(rule, frame, timing)
    state = _state(rule, frame, timing)
    if frame.claim == "denies" and frame.tense == "perfect" and timing.first("since"):
        return "ends", "current"
    if frame.claim != "holds" and state != "future":
        return frame.claim, "current"
    return frame.claim, rule.state or state


def _happened(rule: Rule, frame: Frame, timing: Timing) -> tuple[Claim, TemporalState] | None:
    """A change that happened holds now; one that is coming is a plan; one denied says nothing."""
    if frame.claim != "holds" or frame.used_to:
        return None
    ahead = frame.tense in ("progressive", "future") or (
        frame.tense == "present"
        and any(_lies_ahead(each.begins, timing.at) for each in timing.mentions)
    )
    if ahead and not rule.settled:
        return rule.claim, "future"
    if frame.tense == "present" and not frame.base.startswith("be "):
        return None
    return rule.claim, rule.state or "current"


def _lies_ahead(written: str | None, at: datetime) -> bool:
    return written is not None and parse_date(written)[0].date() > at.date()


def _state(rule: Rule, frame: Frame, timing: Timing) -> TemporalState:
    if frame.tense == "future":
        return "future"
    verb = frame.base.split(" ")[0]
    if frame.tense == "past":
        happened = rule.settled and (verb not in _BEING or (verb == "be" and frame.participle))
        return "current" if happened and not frame.used_to else "past"
    if frame.tense == "perfect" and verb in _ABIDING and not timing.first("since", "lasting"):
        always = re.search(r"\b(?:always|all my life|(?:whole|entire) life)\b", timing.text)
        return "current" if always or frame.underway else "past"
    if timing.first("every") and rule.slot in ("location", "home_city"):
        return "recurring"
    return "current"


def _bounds(
    claim: Claim, state: TemporalState, frame: Frame, timing: Timing
) -> tuple[str | None, str | None]:
    """(occurred_at, ended_at) as far as the clause says them."""
    start = timing.first("since", "between", "at")
    until = timing.first("until", "between")
    ends = until.ends if until else None
    if claim == "ends":
        return None, ends or (start.begins if start else None)
    ongoing = frame.tense in ("perfect", "progressive", "present")
    if start is None and state == "current" and ongoing:
        start = timing.first("lasting")
    return start.begins if start else None, ends
