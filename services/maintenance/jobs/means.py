"""What jobs may work with beside the database: given by the composition root, or absent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from services.maintenance.biographer import Biographer
from shared.db import OperatorDatabase, Transaction
from shared.failures.store import RowRef
from shared.ledger.store import UserKey


class FindsDuplicates(Protocol):
    """Who finds what of a user's says the same and was never compared, and keeps the verdicts."""

    def find(self, db: OperatorDatabase, user: UserKey) -> AsyncIterator[Sequence[Any]]:
        """Yield verdicts, some at a time, outside any transaction of the job."""
        ...

    async def keep(self, tx: Transaction, user: UserKey, verdicts: Sequence[Any]) -> list[RowRef]:
        """Store verdicts; returns the facts whose clusters are to be folded."""
        ...


@dataclass(frozen=True, slots=True)
class Means:
    """Without `duplicates` nothing is merged; without a `biographer` profiles are templates."""

    duplicates: FindsDuplicates | None = None
    biographer: Biographer | None = None
