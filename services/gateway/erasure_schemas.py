"""What is answered about erasures: certificates, without anything personal."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from shared.db import Row


class Erasure(BaseModel):
    """What was erased, how much of it, when, and by whose request; `user_sha256` says whose."""

    erasure_id: UUID
    scope: Literal["user", "session", "message"]
    status: Literal["erasing", "erased"]
    requested_at: datetime
    requested_by: str = Field(description="The name and id of the key that asked.")
    rows_gone_at: datetime | None = Field(
        description="When nothing was left in PostgreSQL; from then on the user may begin anew."
    )
    finished_at: datetime | None
    erased: dict[str, int] = Field(description="Rows by table, as far as it has come.")
    redis: dict[str, int] | None = Field(
        description="Entries by stream; null where Redis was not reached yet, or there is none."
    )
    user_sha256: str = Field(
        description="SHA-256 of the tenant, the character U+001F and the user_id, in hex."
    )


class Erasures(BaseModel):
    erasures: list[Erasure]
    next_cursor: str | None


def public_erasure(row: Row) -> dict[str, Any]:
    return {
        "erasure_id": row["id"],
        "scope": row["scope"],
        "status": "erasing" if row["finished_at"] is None else "erased",
        "requested_at": row["requested_at"],
        "requested_by": row["requested_by"],
        "rows_gone_at": row["gone_at"],
        "finished_at": row["finished_at"],
        "erased": row["counts"],
        "redis": row["streams"],
        "user_sha256": bytes(row["user_sha256"]).hex(),
    }
