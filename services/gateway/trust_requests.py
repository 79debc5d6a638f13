"""What callers may send about trust: reviews of what is held, and what is to be forgotten."""

from __future__ import annotations

from typing import Annotated, Self
from uuid import UUID

from fastapi import Path, Query
from pydantic import ConfigDict, Field, model_validator

from services.gateway.query_strings import Page
from services.gateway.requests import (
    Reason,
    RequestBody,
    SlotName,
)
from shared.intake.messages import Identifier, Instant
from shared.trust import Source

ActId = Annotated[str, Path(description="The act's id.")]
EXAMPLE_REVIEW = {"reason": "It is her own website"}


class ReviewRequest(RequestBody):
    """Why what is held may count, or may not."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "It is her own website"}]})

    reason: Reason | None = Field(None, description="Why; kept in the fact's history.")


class Forgetting(RequestBody):
    """What was learnt and is to be forgotten: from a message, a session, by source and time."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"source": "tool", "since": "2026-06-01T00:00:00Z"}]}
    )

    chat_log_id: UUID | None = Field(None, description="Learnt from this message alone.")
    message_id: Identifier | None = Field(None, description="The same, by your own id.")
    session_id: Identifier | None = Field(None, description="Learnt in this session alone.")
    source: Source | None = Field(None, description="Whose words it rests on.")
    since: Instant | None = Field(None, description="Learnt at this moment or later.")
    reason: Reason | None = Field(None, description="Why; kept in the facts' history.")

    @model_validator(mode="after")
    def _says_what(self) -> Self:
        named = (self.chat_log_id, self.message_id, self.session_id)
        ways = sum(one is not None for one in named)
        ways += self.source is not None or self.since is not None
        if ways != 1:
            raise ValueError("say one: chat_log_id, message_id, session_id, or source and since")
        return self


class QuarantineQuery(Page):
    user_id: Identifier | None = Field(None, description="Of this user only.")
    reason: SlotName | None = Field(None, description="Held for this reason.", examples=["link"])


QuarantineParams = Annotated[QuarantineQuery, Query()]
