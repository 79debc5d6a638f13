"""What callers get about trust: what is held, and what forgetting did."""

from __future__ import annotations

from uuid import UUID

from pydantic import BaseModel

from services.gateway.schemas import Fact


class HeldFacts(BaseModel):
    """Facts that wait for an operator, the longest waiting first; no other list shows them."""

    facts: list[Fact]
    next_cursor: str | None


class ForgottenLearning(BaseModel):
    """How many facts were forgotten, and the act: what an undo names."""

    act_id: UUID
    facts: int


class RestoredLearning(BaseModel):
    """The act that took a forgetting back, and how many facts are there again."""

    act_id: UUID
    facts: int
