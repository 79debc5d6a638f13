"""What callers get about work that is parked: the public shapes of dead letters."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field


class DeadLetter(BaseModel):
    id: UUID
    stage: str
    subject_id: str
    user_id: str | None
    error_class: str
    error: str
    attempts: int
    payload: dict[str, Any] | None
    first_failed_at: datetime
    dead_at: datetime


class DroppedLetter(DeadLetter):
    dropped_at: datetime
    dropped_by: str
    drop_reason: str | None


class DroppedLetters(BaseModel):
    dropped: list[DroppedLetter]


class DeadGroup(BaseModel):
    """Dead letters of one stage and class, and how they grow."""

    stage: str
    error_class: str
    dead: int
    last_hour: int
    oldest: datetime
    newest: datetime
    example: str = Field(description="What one of them failed with.")


class DeadSummary(BaseModel):
    groups: list[DeadGroup]


class DeadLetters(BaseModel):
    dead_letters: list[DeadLetter]
    next_cursor: str | None


class Redriven(BaseModel):
    redriven: int


class Dropped(BaseModel):
    dropped: int
