"""Workbenches on a database of their own, and what is left to `make chaos`."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.chaos.provider import Provider
from tests.chaos.workbench import Workbench


@pytest.fixture
async def bench(database_url: str, redis_url: str) -> AsyncIterator[Workbench]:
    provider = Provider()
    await provider.start()
    workbench = Workbench(database_url, redis_url, provider)
    yield workbench
    await workbench.stop_all()
    await provider.stop()
