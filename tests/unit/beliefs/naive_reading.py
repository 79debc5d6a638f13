"""BELIEFS.md read aloud for one moment: slow, plain, and written apart from the fold.

It knows rules 1 to 6 for exact dates and current or past claims in a slot of one, where no message
both denies and claims.
"""

from datetime import UTC, datetime

from shared.beliefs import effective_said_at, rank_key

EVER, NEVER = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


class NaiveReading:
    def __init__(self, observations):
        self.all = sorted(observations, key=rank_key)
        self.claims = [o for o in self.all if o.claim == "holds" and o.value and self.start(o)]

    def believed(self, at):
        """Rule 3: the highest-ranked claim that covers the moment."""
        covering = [c for c in self.claims if self.covers(c, at) and not self.succeeded(c, at)]
        return covering[-1].value if covering else None

    def start(self, claim):
        said = effective_said_at(claim)
        if claim.occurred_at:
            return min(claim.occurred_at, said)
        if claim.temporal_state == "past":
            return None
        return said

    def end(self, claim):
        said = effective_said_at(claim)
        if claim.temporal_state == "past":
            return min(claim.ended_at or claim.occurred_at or said, said)
        return claim.ended_at or NEVER

    def later(self, claim):
        return self.all[self.all.index(claim) + 1 :]

    def covers(self, claim, at):
        if not self.start(claim) <= at < min(self.end(claim), self.closed(claim)):
            return False
        return not any(self.denied(claim, other, at) for other in self.later(claim))

    def denied(self, claim, other, at):
        if other.claim != "denies" or not (other.value or other.ended_at):
            return False
        if other.value not in (None, claim.value):
            return False
        if other.value is None and other.message_key == claim.message_key:
            return False
        return (other.occurred_at or EVER) <= at < (other.ended_at or NEVER)

    def closed(self, claim):
        return min([NEVER, *(self.closing(claim, other) for other in self.later(claim))])

    def closing(self, claim, other):
        ends = other.claim == "ends"
        if other.claim == "denies" and not (other.value or other.ended_at):
            ends = True
        if ends and other.value is None and other.message_key == claim.message_key:
            return NEVER
        if ends and other.value in (None, claim.value):
            return other.ended_at or other.occurred_at or effective_said_at(other)
        if other.claim == "holds" and other.value == claim.value:
            return self.claims_end(claim, other)
        return NEVER

    def claims_end(self, claim, other):
        said = effective_said_at(other)
        if other.temporal_state == "past" and not other.ended_at:
            return NEVER if other.occurred_at else said
        if not other.ended_at:
            return NEVER
        end = min(other.ended_at, said) if other.temporal_state == "past" else other.ended_at
        return end if end > self.start(claim) else NEVER

    def is_open(self, claim):
        return claim.temporal_state == "current" and claim.ended_at is None

    def succeeded(self, claim, at):
        """Rule 4, with a start that moves where the beginning of a claim was denied."""
        rivals = [o for o in self.later(claim) if o in self.claims and o.value != claim.value]
        return self.is_open(claim) and any(
            self.is_open(rival) and (self.first(rival) or NEVER) <= at for rival in rivals
        )

    def first(self, claim):
        """The first moment it covers: its start, or the end of something denied."""
        ends = [o.ended_at for o in self.later(claim) if o.claim == "denies" and o.ended_at]
        moments = sorted(m for m in [self.start(claim), *ends] if m >= self.start(claim))
        return next((m for m in moments if self.covers(claim, m)), None)
