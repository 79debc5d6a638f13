"""A file of an export is sent in bounded requests, its profile last, and only if it is whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Self

import pytest

from services.console import portable
from services.console.errors import CommandError

USER = {"type": "user", "version": 1, "user_id": "ana lee", "generation": 1}
PROFILE = {"type": "profile", "content": "Likes tea"}
END = {"type": "end", "counts": {}}


class Server:
    """Remembers what was sent; facts settle after three looks."""

    def __init__(self, lines: list[dict[str, Any]] = []) -> None:  # noqa: B006
        self.sent: list[tuple[str, Any]] = []
        self.pending = 3
        self.exports = lines

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def post(self, path: str, body: Any) -> Any:
        self.sent.append((path, body))
        if path == "/v1/recall":
            self.pending -= 1
            return {"freshness": {"pending": self.pending}}
        return {"imported": {"fact": sum(line["type"] == "fact" for line in body["lines"])}}

    def lines(self, path: str) -> Any:
        self.sent.append((path, None))
        return iter(json.dumps(line).encode() for line in self.exports)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    server = Server()
    monkeypatch.setattr(portable, "connect", lambda _: server)
    monkeypatch.setattr(portable, "_LOOK_SECONDS", 0.0)
    return server


def written(folder: Path, *lines: Any) -> str:
    path = folder / "ana.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


def test_requests_are_bounded_and_the_profile_is_last(server: Server, tmp_path: Path) -> None:
    facts = [{"type": "fact", "content": "x" * 5_000} for _ in range(450)]
    counts = portable.import_(None, written(tmp_path, USER, *facts, PROFILE, END))
    assert counts == {"fact": 450}
    imports = [body["lines"] for path, body in server.sent if path != "/v1/recall"]
    assert all(path == "/v1/users/ana%20lee/import" for path, _ in server.sent[:4])
    assert all(len(lines) <= 200 and len(json.dumps(lines)) < 600_000 for lines in imports)
    assert imports[0][0] == USER
    assert imports[-1] == [PROFILE]
    assert [line for lines in imports for line in lines] == [USER, *facts, END, PROFILE]
    assert server.pending == 0


@pytest.mark.parametrize(
    "lines", [[], [USER], [END], [USER, END, PROFILE], [USER, USER, END], [[]], [{"a": 1}]]
)
def test_what_is_no_whole_export_is_said_so(
    server: Server, tmp_path: Path, lines: list[Any]
) -> None:
    with pytest.raises(CommandError):
        portable.import_(None, written(tmp_path, *lines))
    assert PROFILE not in [body["lines"][0] for path, body in server.sent]


def test_an_export_is_there_when_it_is_whole(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "ana.jsonl"
    server.exports = [USER]
    with pytest.raises(CommandError):
        portable.export(None, "ana lee", str(target))
    assert list(tmp_path.iterdir()) == []
    server.exports = [USER, END]
    portable.export(None, "ana lee", str(target))
    assert [json.loads(line) for line in target.read_text().splitlines()] == [USER, END]
    assert server.sent[-1] == ("/v1/users/ana%20lee/export", None)
