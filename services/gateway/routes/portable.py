"""Everything we hold about a user as lines of JSON, and taking such lines back in."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator
from typing import Annotated, Any

import psycopg
from fastapi import APIRouter, Body
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from services.gateway.errors import ApiError, being_erased, invalid, not_found
from services.gateway.portable import store
from services.gateway.portable.lines import KINDS, VERSION, grouped
from services.gateway.requests import UserId
from services.gateway.routes.documented import READS_ONE, STORES
from services.gateway.state import Admin, Gateway, Parts, Reader
from shared.db import Row
from shared.events import Announcement

router = APIRouter(prefix="/v1/users", tags=["erasure and export"])

_PAGE = 200
_MEDIA_TYPE = "application/x-ndjson"
_LINES: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {_MEDIA_TYPE: {"schema": {"type": "string"}}},
        "description": "One JSON object a line; the last has the type `end` and counts the others.",
    }
}


class Lines(BaseModel):
    """Lines of an export, in their order; all or none of them are stored."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"lines": [{"type": "user", "version": 1, "user_id": "ana", "generation": 1}]}
            ]
        },
    )

    lines: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=500)]


class Imported(BaseModel):
    """How many lines of each kind were new; the others were there."""

    imported: dict[str, int]


@router.get(
    "/{user_id}/export",
    response_class=StreamingResponse,
    responses={**READS_ONE, **_LINES},
    summary="Everything we hold about a user",
)
async def export_user(user_id: UserId, gateway: Parts, caller: Reader) -> StreamingResponse:
    """Messages, facts with their history, the profile: a line each, read page by page.

    An export without an `end` was cut off; ask again.
    """
    async with gateway.db.of(caller.tenant).autocommit() as tx:
        user = await store.exported_user(tx, caller.tenant, user_id)
    if user is None:
        raise not_found("user")
    return StreamingResponse(_lines(gateway, caller.tenant, user), media_type=_MEDIA_TYPE)


async def _lines(gateway: Gateway, tenant: str, user: Row) -> AsyncIterator[str]:
    yield _line("user", {"version": VERSION, **user})
    counts: Counter[str] = Counter()
    for kind in KINDS:
        after = None
        while True:
            async with gateway.db.of(tenant).autocommit() as tx:
                rows = await store.page(tx, kind, tenant, user["user_id"], after, _PAGE)
            if not rows:
                break
            yield "".join(_line(kind, row["line"]) for row in rows)
            counts[kind] += len(rows)
            after = rows[-1]["place"]
    async with gateway.db.of(tenant).autocommit() as tx:
        still = await store.exported_user(tx, tenant, user["user_id"])
    if still is None or still["created_at"] != user["created_at"]:
        raise ConnectionAbortedError("the user was erased while being exported")
    yield _line("end", {"counts": dict(counts)})


def _line(kind: str, line: dict[str, Any]) -> str:
    return json.dumps({"type": kind, **line}, default=_plain) + "\n"


def _plain(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


@router.post(
    "/{user_id}/import", status_code=202, responses=STORES, summary="Take back what was exported"
)
async def import_lines(
    user_id: UserId, asked: Annotated[Lines, Body()], gateway: Parts, caller: Admin
) -> Imported:
    """Store lines of an export of this user; a second time adds nothing.

    Facts go through the stages like stated ones, with the decisions and acts that came before them,
    and so come to stand where they stood. The first line (`user`) comes first; a profile is best
    sent when all facts have settled. What an erasure took may come back this way, and only so.
    """
    try:
        parts = grouped(asked.lines)
    except ValueError as error:
        raise invalid("lines", str(error)) from error
    _check_user(user_id, parts.get("user", []))
    imported: Counter[str] = Counter()
    bells: list[Announcement] = []
    try:
        async with gateway.db.of(caller.tenant).long_transaction() as tx:
            for kind, lines in parts.items():
                added, rung = await store.store_lines(tx, kind, caller.tenant, user_id, lines)
                imported[kind] += added
                bells += rung
            found = await store.generation_of(tx, caller.tenant, user_id)
            _check_generation(found, parts.get("user"))
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        raise invalid("lines", f"is no line of an export: {error.diag.message_primary}") from error
    gateway.bells.ring(bells)
    return Imported(imported={kind: number for kind, number in imported.items() if number})


def _check_user(user: str, lines: list[dict[str, Any]]) -> None:
    for line in lines:
        if line.get("user_id") != user:
            raise invalid("lines", "are of another user")
        if line.get("version") != VERSION:
            raise invalid("lines", f"are not of version {VERSION}")


def _check_generation(found: int | None, user: list[dict[str, Any]] | None) -> None:
    if found is None and user:
        raise being_erased()
    if found is None:
        raise invalid("lines", "the line of the user comes first")
    if user and found != user[0].get("generation"):
        raise ApiError("conflict", f"The user is there, with facts of generation {found}.")
