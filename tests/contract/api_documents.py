"""Writes `docs/openapi.json` and `docs/asyncapi.json` from the code."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from services.gateway.app import build_app
from services.maintenance.jobs import known_kinds
from shared.asyncapi import document
from shared.db import Database
from shared.settings import Settings
from tests.fakes.embedder import HashEmbedder

DOCS = Path(__file__).parents[2] / "docs"
OPENAPI = DOCS / "openapi.json"
ASYNCAPI = DOCS / "asyncapi.json"
_NOWHERE = "postgresql:///"  # never opened
_CONTRACT = "1"


def describe_http() -> str:
    """The OpenAPI document, as every gateway serves it, but for the version of the build."""
    return _written(asyncio.run(_openapi()))


def describe_streams() -> str:
    return _written(document())


async def _openapi() -> dict[str, Any]:
    app = build_app(
        Settings(),
        db=Database(_NOWHERE),
        redis=None,
        embedder=HashEmbedder(),
        job_kinds=known_kinds(),
    )
    described: dict[str, Any] = app.openapi()
    return described | {"info": described["info"] | {"version": _CONTRACT}}


def _written(described: dict[str, Any]) -> str:
    return json.dumps(described, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    OPENAPI.write_text(describe_http())
    ASYNCAPI.write_text(describe_streams())
