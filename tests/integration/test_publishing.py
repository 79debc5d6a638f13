"""The page on publishing says what works: its Python is run, its shell where there is a client."""

from __future__ import annotations

import asyncio
import re
import shutil
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from shared.broker import Announcer
from shared.events import Settled
from shared.intake.messages import Limits, read_stream_message
from shared.topology import MESSAGES, SETTLED

_PAGE = (Path(__file__).parents[2] / "docs" / "publishing.md").read_text()


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", _PAGE, re.DOTALL)


async def test_the_python_of_the_page_publishes_and_follows(
    redis: Redis, redis_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    publish, follow = (
        block.replace("redis://localhost:6379/0", redis_url) for block in _blocks("python")
    )
    exec(publish, {})
    await _is_a_message(redis)
    fact = uuid4()
    await Announcer(redis).announce(
        [(SETTLED, Settled("default", "ana", fact, "fact.settled", fact.hex))]
    )
    exec(follow, {})
    assert capsys.readouterr().out == f"fact.settled ana {fact}\n"
    exec(follow.replace("block=5_000", "block=10"), {})
    assert capsys.readouterr().out == "", "what was acknowledged is not read again"


async def test_the_shell_of_the_page_publishes(redis: Redis, redis_url: str) -> None:
    client = shutil.which("redis-cli") or shutil.which("valkey-cli")
    if client is None:
        pytest.skip("no redis-cli here")
    where = urlsplit(redis_url)
    if where.scheme != "redis":
        pytest.skip("the server listens on a socket")
    [block] = _blocks("sh")
    add = block.splitlines()[0].replace("redis-cli", f"{client} -u {redis_url}")
    added = await asyncio.create_subprocess_shell(add)
    assert await asyncio.wait_for(added.wait(), 60) == 0
    await _is_a_message(redis)


async def _is_a_message(redis: Redis) -> None:
    [(entry_id, raw)] = await redis.xrange(MESSAGES)
    fields = {key.decode(): value.decode() for key, value in raw.items()}
    message = read_stream_message(fields, Limits(), entry_id=entry_id.decode())
    assert (message.user, message.content) == ("ana", "I moved to Lisbon")
