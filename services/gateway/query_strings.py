"""What callers may send behind the question mark, and where lists are cut."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Literal

from fastapi import Query
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from services.gateway.requests import (
    AS_OF,
    KNOWN_AT,
    LIST_LIMIT,
    Age,
    Cursor,
    EventId,
    Limit,
    Reason,
    ShortText,
    SlotName,
    View,
)
from shared.intake.messages import Identifier, Instant


class _Query(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Page(_Query):
    limit: Limit = LIST_LIMIT
    cursor: Cursor | None = None


class FactsQuery(Page):
    view: View = "current"
    category: ShortText | None = None
    slot: SlotName | None = None
    as_of: Instant | None = Field(None, description=AS_OF)
    known_at: Instant | None = Field(None, description=KNOWN_AT)


class TimelineQuery(_Query):
    slot: SlotName | None = None
    subject: ShortText | None = None
    as_of: Instant | None = Field(None, description="Only the intervals that hold at this moment.")
    known_at: Instant | None = Field(None, description=KNOWN_AT)


class ReasonQuery(_Query):
    reason: Reason | None = Field(None, description="Why; kept in the history.")


class DeadLettersQuery(Page):
    stage: SlotName | None = None
    error_class: SlotName | None = None
    older_than_seconds: Age | None = None


class DroppedQuery(_Query):
    limit: Limit = LIST_LIMIT


class EventsQuery(_Query):
    user_id: Identifier | None = Field(None, description="Of this user only.")
    after: EventId | None = Field(
        None, description="Begin behind this event's id; 0 is the beginning. Default: now."
    )
    follow: bool = Field(True, description="Go on with what happens; else end at the present.")


_DAY = re.compile(r"^\d{4}-\d{2}-\d{2}\Z", re.ASCII)


def _written_day(value: object) -> object:
    """Refuse a number, which would be taken for seconds since 1970."""
    if isinstance(value, str) and not _DAY.match(value):
        raise ValueError("must be a day, as in 2026-05-02")
    return value


Day = Annotated[date, BeforeValidator(_written_day, json_schema_input_type=date)]


class UsageQuery(_Query):
    since: Day | None = Field(
        None, alias="from", description="First day, UTC; default: 30 days before `to`."
    )
    until: Day | None = Field(None, alias="to", description="Last day, UTC; default: today.")


class TraceQuery(_Query):
    wait: Literal["settled"] | None = None
    timeout: Annotated[float, Field(ge=0, le=60)] = 10.0


class RotateQuery(_Query):
    overlap_seconds: Annotated[int, Field(ge=0, le=86_400)] = 0


PageParams = Annotated[Page, Query()]
FactsParams = Annotated[FactsQuery, Query()]
TimelineParams = Annotated[TimelineQuery, Query()]
EventsParams = Annotated[EventsQuery, Query()]
DroppedParams = Annotated[DroppedQuery, Query()]
ReasonParams = Annotated[ReasonQuery, Query()]
DeadLettersParams = Annotated[DeadLettersQuery, Query()]
UsageParams = Annotated[UsageQuery, Query()]
TraceParams = Annotated[TraceQuery, Query()]
RotateParams = Annotated[RotateQuery, Query()]
