"""What Redis holds of a user: entries of the streams, and the cache of what is always known.

The streams are walked from their beginning to where they end when the walk begins. Messages that
were added behind the tombstone stay: they are the user's who comes back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from shared.erasure.law import Position
from shared.errors import PoisonError
from shared.intake.entries import flat_fields
from shared.intake.messages import DEFAULT_SESSION
from shared.topology import MESSAGES, SETTLED, STAGES, conscious_key

_PAGE = 500
_LONGEST_NAME = 128
_GROUPS = {stream: stage for stage, streams in STAGES.items() for stream in streams}


async def last_place(redis: Redis | None) -> Position | None:
    """Where `memoire:messages` ends by now; None when Redis is away."""
    if redis is None:
        return None
    try:
        last = await _last_id(redis, MESSAGES)
        if last is not None:
            return Position.of(last)
        seconds, micros = await redis.time()
        return Position.before(int(seconds) * 1_000 + int(micros) // 1_000)
    except (RedisError, OSError, TimeoutError):
        return None


async def clear(
    redis: Redis, tenant: str, user: str, place: Position, gone_by: datetime
) -> dict[str, int]:
    """Take out what is there of an erased user: how many entries of each stream.

    Messages up to `place`, bells rung until the rows were gone, and all that was told of facts.
    Raises RedisError while Redis is away; again from the beginning is harmless.
    """
    cleared: Counter[str] = Counter()
    for stream in (*_GROUPS, SETTLED):
        last = await _last_id(redis, stream)
        start = "-"
        while last is not None:
            page: Any = await redis.xrange(stream, min=start, max=last, count=_PAGE)
            if not page:
                break
            theirs = [
                entry_id
                for entry_id, raw in page
                if whose(raw) == (tenant, user) and _is_old(stream, entry_id, raw, place, gone_by)
            ]
            cleared[stream] += await _remove(redis, stream, theirs)
            start = f"({page[-1][0].decode()}"
    await redis.delete(conscious_key(tenant, user))
    return cleared


async def _last_id(redis: Any, stream: str) -> str | None:
    """The last id a stream ever gave; None where there is no stream."""
    try:
        return str((await redis.xinfo_stream(stream))["last-generated-id"].decode())
    except ResponseError as error:
        if "no such key" in str(error):
            return None
        raise


async def _remove(redis: Any, stream: str, ids: Sequence[bytes]) -> int:
    if not ids:
        return 0
    pipeline = redis.pipeline(transaction=True)
    if stream in _GROUPS:
        pipeline.xack(stream, _GROUPS[stream], *ids)
    pipeline.xdel(stream, *ids)
    return int((await pipeline.execute())[-1])


def whose(raw: Mapping[bytes, bytes]) -> tuple[str, str | None]:
    """Tell tenant and user of an entry, a bell or a message; no user where it names none.

    Whatever stands there can be stored afterwards: a failure is recorded under these names.
    """
    fields = _readable(raw)
    user = _name(fields.get("user_id") or fields.get("user"))
    return _name(fields.get("tenant")) or "default", user or None


def session_of(raw: Mapping[bytes, bytes]) -> str:
    """Tell the session that a message names, or belongs to without naming one."""
    return _name(_readable(raw).get("session_id")) or DEFAULT_SESSION


def _name(text: object) -> str:
    """As an entry's failure has it: what PostgreSQL can hold, and not longer than names are."""
    named = "" if text is None else str(text)
    return named.encode("utf-8", "replace").decode().replace("\x00", "")[:_LONGEST_NAME]


def _readable(raw: Mapping[bytes, bytes]) -> dict[str, str]:
    try:
        return flat_fields(raw)
    except PoisonError:
        return {_text(key): _text(value) for key, value in raw.items()}


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _is_old(
    stream: str, entry_id: bytes, raw: Mapping[bytes, bytes], place: Position, gone_by: datetime
) -> bool:
    if stream == SETTLED:
        return True
    if b"at" not in raw or b"content" in raw:
        return Position.of(entry_id.decode()) <= place
    try:
        return datetime.fromisoformat(raw[b"at"].decode()) <= gone_by
    except (ValueError, TypeError):
        return True
