"""What the run has promised and been promised: the ledger that the auditor holds the servers to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from tests.chaos.world import Said


@dataclass(slots=True)
class Accounts:
    """Filled by clients and faults while the run lasts; read by the oracle and the auditor.

    *Accepted* is what a client was told: 202 over HTTP, or an answered XADD. `swept_away` are the
    numbers of messages that were still entries of Redis, and nothing else, when a fault emptied it,
    or killed it before they were in its file: nobody can know those, so they may be missing (and
    must be right where they are not).
    `unsure` are entries without a key of their own whose XADD was never answered.
    """

    accepted: dict[int, Said] = field(default_factory=dict)
    answered_at: dict[int, tuple[datetime, datetime]] = field(default_factory=dict)
    swept_away: set[int] = field(default_factory=set)
    unsure: dict[int, Said] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    garbage: int = 0
    jobs: set[str] = field(default_factory=set)
    faults: Counter[str] = field(default_factory=Counter)
    ingest_ms: list[float] = field(default_factory=list)

    def accept(self, said: Said, asked: datetime, answered: datetime) -> None:
        self.accepted[said.number] = said
        self.answered_at[said.number] = (asked, answered)

    def sweep_unwritten(self, written: bytes, since: datetime) -> None:
        """Redis was killed: of the entries it answered since then it knows what is in its file."""
        for number, (_, answered) in self.answered_at.items():
            said = self.accepted[number]
            if said.way == "redis" and answered >= since and said.content.encode() not in written:
                self.swept_away.add(number)

    @property
    def required(self) -> dict[int, Said]:
        """What must be there."""
        return {n: said for n, said in self.accepted.items() if n not in self.swept_away}

    @property
    def possible(self) -> dict[int, Said]:
        """What may be there: all that was ever sent, had it only been read."""
        return {**self.accepted, **self.unsure}
