"""Redis as the stages use it: consumer groups from the beginning, announcements, FastStream.

Redis only rings the bell. Losing it costs time, never truth, so announcing never fails a commit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any
from urllib.parse import urlsplit

import structlog
from faststream import AckPolicy, Context
from faststream.redis import RedisBroker, StreamSub
from faststream.redis.message import BatchStreamMessage, RedisBatchStreamMessage
from redis.asyncio import Connection, Redis, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.events import Announcement, Settled
from shared.metrics.catalogue import BELLS, FACT_EVENTS

log = structlog.get_logger()

RawEntry = tuple[str, dict[bytes, bytes]]
"""A stream entry's id and its fields as they came."""

SOCKET_TIMEOUT_SECONDS = 5.0  # without one, a half-open connection hangs for hours


_RETRY_SECONDS = 0.25
_RETRIES = 2_400  # ten minutes; then FastStream begins anew


class _EndsAsOutage:
    """A connection whose end is always a ConnectionError.

    Writing to one that was reset a moment ago, uvloop raises RuntimeError, which nobody who expects
    an outage catches: it ended the gateway's bell ringer and whole stages.
    """

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        try:
            await super().send_packed_command(command, check_health)  # type: ignore[misc]
        except RuntimeError as error:
            raise RedisConnectionError(str(error)) from error


class _Connection(_EndsAsOutage, Connection):
    """For `redis://`."""


class _SecureConnection(_EndsAsOutage, SSLConnection):
    """For `rediss://`."""


_CONNECTIONS: dict[str, type[Connection]] = {"redis": _Connection, "rediss": _SecureConnection}


def _connection_class(url: str) -> dict[str, Any]:
    """Name the class for a URL; what has none of ours (a socket) keeps redis-py's."""
    ours = _CONNECTIONS.get(urlsplit(url).scheme)
    return {"connection_class": ours} if ours else {}


def connect_redis(url: str, *, timeout_seconds: float = SOCKET_TIMEOUT_SECONDS) -> Redis:
    redis = Redis.from_url(
        url, socket_timeout=timeout_seconds, socket_connect_timeout=timeout_seconds
    )
    pool = redis.connection_pool
    pool.connection_class = _connection_class(url).get("connection_class", pool.connection_class)
    return redis


def build_broker(url: str) -> RedisBroker:
    """Build the broker that reads; its reads are tried again here while Redis is away.

    FastStream itself would wait five seconds after each failure, and then so long after Redis is
    back. An answer that got lost leaves its entries pending, to be claimed, as without a retry.
    """
    further: Any = {  # handed on to redis-py
        **_connection_class(url),
        "retry": Retry(ConstantBackoff(_RETRY_SECONDS), _RETRIES),
    }
    return RedisBroker(
        url,
        socket_timeout=SOCKET_TIMEOUT_SECONDS,
        socket_connect_timeout=SOCKET_TIMEOUT_SECONDS,
        logger=None,  # type: ignore[arg-type]  # None silences it: we log what matters
        **further,
    )


async def ensure_group(redis: Redis, stream: str, group: str) -> bool:
    """Create the group at 0, so that what was published before its first start counts.

    Returns whether it had to be created.
    """
    try:
        await redis.xgroup_create(stream, group, id="0", mkstream=True)
    except ResponseError as error:
        if "BUSYGROUP" not in str(error):
            raise
        return False
    return True


def subscribe(
    broker: RedisBroker,
    *,
    stream: str,
    group: str,
    consumer: str,
    batch: int,
    poll_ms: int,
    deliver: Callable[[str, Sequence[RawEntry]], Awaitable[None]],
) -> Any:
    """Make one FastStream subscriber that hands over raw batches and leaves acknowledging to us."""
    subscription = StreamSub(
        stream,
        group=group,
        consumer=consumer,
        batch=True,
        max_records=batch,
        polling_interval=poll_ms,
    )
    subscriber = broker.subscriber(
        stream=subscription,
        parser=_keep_raw,
        decoder=_no_body,
        ack_policy=AckPolicy.MANUAL,
        title=f"{group}:{stream}",
        no_reply=True,
    )

    async def handle(message: Any = Context()) -> None:  # noqa: B008  FastStream's injection
        raw: BatchStreamMessage = message.raw_message
        entries = [
            (entry_id.decode(), fields)
            for entry_id, fields in zip(raw["message_ids"], raw["data"], strict=True)
        ]
        await deliver(stream, entries)

    subscriber(handle)
    return subscriber


async def _keep_raw(message: BatchStreamMessage, _original: Any) -> RedisBatchStreamMessage:
    """Skip FastStream's own parser: one field that is not UTF-8 would fail its whole batch."""
    first = message["message_ids"][0].decode()
    return RedisBatchStreamMessage(
        raw_message=message,
        body=b"",
        headers={},
        batch_headers=[],
        path={},
        reply_to="",
        content_type=None,
        message_id=first,
        correlation_id=first,
        consumer=None,  # type: ignore[arg-type]  # never asked: we acknowledge ourselves
        group=None,
    )


async def _no_body(_message: Any, _original: Any) -> None:
    return None


class Announcer:
    """Rings bells, in one pipeline; a bell that cannot be rung is left to the sweep."""

    def __init__(self, redis: Redis, settled_max_length: int = 100_000) -> None:
        self._redis = redis
        self._settled_max_length = settled_max_length

    async def announce(self, announcements: Iterable[Announcement]) -> bool:
        """Publish all; returns False when Redis is away."""
        pipeline = self._redis.pipeline(transaction=False)
        told = list(announcements)
        for stream, event in told:
            fields: Any = event.encode()
            if stream.endswith(":settled"):  # public: trimmed. A work queue never is.
                pipeline.xadd(stream, fields, maxlen=self._settled_max_length, approximate=True)
            else:
                pipeline.xadd(stream, fields)
        if not len(pipeline):
            return True
        outcome = "lost"
        try:
            await pipeline.execute()
            outcome = "rung"
        except (RedisConnectionError, RedisTimeoutError, RedisError) as error:
            log.warning("bells not rung; the sweep will ring them", error=str(error))
        finally:
            _count(told, outcome)
        return outcome == "rung"


def _count(told: Sequence[Announcement], outcome: str) -> None:
    """Count bells by stream, and what they tell of facts: a fact's event is told once, at most."""
    for stream, bells in Counter(stream for stream, _ in told).items():
        BELLS.add(bells, stream=stream, outcome=outcome)
    events = Counter(event.event for _, event in told if isinstance(event, Settled))
    for event, facts in events.items():
        FACT_EVENTS.add(facts, event=event)
