"""Values that no field of a message may have, made from a seed (pure)."""

from __future__ import annotations

from random import Random
from typing import Any

NUL = "a\x00b"
_TIMES = (
    "yesterday",
    "0000-00-00T00:00:00Z",
    "99999-01-01T00:00:00Z",
    "2026-02-30T10:00:00Z",
    "2026-05-02T25:61:61Z",
    "2026-05-02T10:00:00",  # without a zone
    "1066-10-14T10:00:00Z",
    "9999-12-31T23:59:59Z",
    "2026-05-02T10:00:00+99:99",
    "-1",
    "1e400",
    "٢٠٢٦-٠٥-٠٢T10:00:00Z",
)
_IDS = ("", " ", "a/b", "..", ".", " a", "a\n", "a\tb", "a" * 129, "\u202ereversed", "\ud800", NUL)
_ROLES = ("", "User", "root", "user\x00", "userassistant", "\u0000")


def identifier(rng: Random) -> str:
    return rng.choice(_IDS)


def role(rng: Random) -> str:
    return rng.choice(_ROLES)


def instant(rng: Random) -> str:
    return rng.choice(_TIMES)


def content(rng: Random) -> str:
    size = rng.choice((32_769, 40_000, 200_000))
    return rng.choice(
        ("", " \n\t", NUL, "half \ud83d of a pair", "x" * size, "é" * (size // 2 + 1))
    )


def nested(depth: int) -> Any:
    """A list in a list in a list …"""
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def wrong_type(rng: Random) -> Any:
    """Whatever is no string, and not null either."""
    return rng.choice(
        (0, -1, 1e308, 10**400, True, [], ["a"], {}, {"a": "b"}, nested(30), [None] * 50)
    )


def labels(rng: Random) -> Any:
    """What cannot be metadata."""
    return rng.choice(
        (
            {"a": nested(rng.choice((33, 200)))},
            {"a": "x" * 5_000},
            {NUL: 1},
            {"a": NUL},
            {"a": "\udfff"},
            [1, 2],
            "no object",
            7,
        )
    )
