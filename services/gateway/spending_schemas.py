"""What callers get about spending and paused models, field by field."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from pydantic import BaseModel, Field


class PausedModel(BaseModel):
    """A model that is left alone; `until` is when it is probed next."""

    purpose: str
    provider: str
    model: str
    kind: Literal["away", "configuration"] = Field(
        description="`configuration` (a wrong key, no quota) ends when an operator acts."
    )
    since: datetime
    until: datetime


class UsageLine(BaseModel):
    """Calls of one model for one purpose on one day (UTC)."""

    day: date
    purpose: str
    provider: str
    model: str
    calls: int
    failed: int = Field(description="Of these calls.")
    input_tokens: int
    output_tokens: int
    money: float


class Budget(BaseModel):
    """Limits of a day; null: none. Calls under way count at the most they may cost."""

    tokens_per_day: int | None
    money_per_day: float | None
    tokens_today: int
    money_today: float


class Usage(BaseModel):
    usage: list[UsageLine]
    budget: Budget | None = Field(description="Of today; null without one.")
