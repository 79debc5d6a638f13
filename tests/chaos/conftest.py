"""Workbenches on a database of their own; none of this is part of a plain run of all tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.chaos import background
from tests.chaos.provider import Provider
from tests.chaos.workbench import Workbench


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave these to `make chaos`, which names them."""
    named = any("tests/chaos" in str(argument) for argument in config.invocation_params.args)
    return None if named else True


def pytest_collection_finish(session: pytest.Session) -> None:
    """Begin the run that lasts longest, and do the other tests beside it: mostly it waits."""
    if any(item.name == background.TEST for item in session.items):
        background.begin()


def pytest_sessionfinish() -> None:
    background.end()


@pytest.fixture
async def bench(database_url: str, redis_url: str) -> AsyncIterator[Workbench]:
    provider = Provider()
    await provider.start()
    workbench = Workbench(database_url, redis_url, provider)
    yield workbench
    await workbench.stop_all()
    await provider.stop()
