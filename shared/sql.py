"""SQL in `.sql` files, one named block a statement.

A block begins with `-- name: claim_session` and a sentence that says what it promises. Parameters
are psycopg's `%(name)s`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import resources

_HEADER = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


class Queries:
    """The statements of one `queries.sql`, by name: `queries["claim_session"]`."""

    def __init__(self, package: str) -> None:
        self.package = package
        text = resources.files(package).joinpath("queries.sql").read_text("utf-8")
        self._statements = dict(_blocks(text))

    def __getitem__(self, name: str) -> str:
        return self._statements[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._statements)


def _blocks(text: str) -> Iterator[tuple[str, str]]:
    parts = _HEADER.split(text)[1:]
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        lines = [line.split(" -- ")[0] for line in body.splitlines() if line.strip()[:2] != "--"]
        yield name, "\n".join(lines).strip().rstrip(";")
