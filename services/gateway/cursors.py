"""Where a list goes on: the last row's sort key, opaque to callers (pure)."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from services.gateway.errors import invalid
from shared.db import Row

Reader = Callable[[Any], Any]


def encode(parts: Sequence[Any]) -> str:
    """Write a sort key (strings, times, ids) as one opaque word."""
    texts = [part.isoformat() if isinstance(part, datetime) else str(part) for part in parts]
    return base64.urlsafe_b64encode(json.dumps(texts).encode()).decode().rstrip("=")


def decode(cursor: str | None, *readers: Reader) -> tuple[Any, ...]:
    """Read a cursor back, one value a reader, all None at the start of a list.

    Raises ApiError (invalid_request) for what no list of ours gave out.
    """
    if cursor is None:
        return (None,) * len(readers)
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        texts = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise invalid("cursor", "is not one of ours")
        return tuple(read(text) for read, text in zip(readers, texts, strict=True))
    except (ValueError, binascii.Error, RecursionError) as error:
        raise invalid("cursor", "is not one of ours") from error


def text(value: str) -> str:
    if "\x00" in value:
        raise ValueError("NUL")
    value.encode()  # a lone surrogate is a ValueError
    return value


def moment(value: str) -> datetime:
    found = datetime.fromisoformat(value)
    if found.tzinfo is None:
        raise ValueError("no zone")
    return found


def row_id(value: str) -> UUID:
    return UUID(hex=value)


def page(rows: list[Row], limit: int, key: Sequence[str]) -> tuple[list[Row], str | None]:
    """Part `limit + 1` rows into a page and the cursor of the next one."""
    if len(rows) <= limit:
        return rows, None
    last = rows[limit - 1]
    return rows[:limit], encode([last[column] for column in key])
