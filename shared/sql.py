"""SQL in `.sql` files, one named block a statement.

A block begins with `-- name: claim_session` and a sentence that says what it promises. Parameters
are psycopg's `%(name)s`. What several statements begin with is a `-- fragment: …`, named by each of
them in a line `-- with: …`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import resources

_HEADER = re.compile(r"^-- (name|fragment): (\w+)\s*$", re.MULTILINE)
_WITH = re.compile(r"^-- with: (\w+)\s*$", re.MULTILINE)


class Queries:
    """The statements of one `queries.sql`, by name: `queries["claim_session"]`."""

    def __init__(self, package: str) -> None:
        self.package = package
        text = resources.files(package).joinpath("queries.sql").read_text("utf-8")
        parts = _HEADER.split(text)[1:]
        blocks = list(zip(parts[::3], parts[1::3], parts[2::3], strict=True))
        fragments = {name: body for kind, name, body in blocks if kind == "fragment"}
        self._statements = {
            name: _statement(_WITH.sub(lambda match: fragments[match[1]], body))
            for kind, name, body in blocks
            if kind == "name"
        }

    def __getitem__(self, name: str) -> str:
        return self._statements[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._statements)


def _statement(body: str) -> str:
    lines = [line.split(" -- ")[0] for line in body.splitlines() if line.strip()[:2] != "--"]
    return "\n".join(lines).strip().rstrip(";")
