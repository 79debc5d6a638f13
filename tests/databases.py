"""The database as processes have it, and as a test that looks into it does."""

from __future__ import annotations

from typing import Any

from shared.db import Database, OperatorDatabase


class TestedDatabase(Database):
    """What the code under test is given: it reaches the rows of tenants that are named.

    `everyone` is for what operators' processes work with, and for the test's own looks.
    """

    __test__ = False

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(url, **options)
        self.everyone = OperatorDatabase(url, max_connections=6)

    async def open(self) -> None:
        await super().open()
        await self.everyone.open()

    async def close(self) -> None:
        await self.everyone.close()
        await super().close()
