"""Malformed input is refused with its reason, and costs no neighbour anything."""

from __future__ import annotations

import json
from pathlib import Path

from shared.db import Database
from shared.errors import PoisonError
from shared.failures.store import RetryPolicy, Subject, record
from tests.fuzz.bad_entries import BadEntries
from tests.fuzz.bad_requests import BadRequests
from tests.fuzz.malformed import run


def test_a_few_hundred_malformed_requests_and_entries(tmp_path: Path) -> None:
    """The same as `python -m tests.fuzz.malformed`, small."""
    report = run(tmp_path / "data", count=400, seed=7)
    assert report.faults == []
    assert (report.requests, report.entries, report.dead_letters) == (200, 200, 200)
    assert report.settled_once == report.neighbours == 20


def test_a_seed_makes_the_same_input_again() -> None:
    for make in (lambda seed: BadRequests("key", seed), BadEntries):
        first, again, other = ([made.next() for _ in range(50)] for made in map(make, (1, 1, 2)))
        assert first == again != other


async def test_a_dead_letter_keeps_json_that_spells_nul(db: Database) -> None:
    r"""A payload's text may hold the six characters `\u0000`: they are kept as they came."""
    spelled = json.dumps({"a\x00b": 1})
    subject = Subject(
        "default", "ana", "memoire:messages:1-1:x", {"metadata": spelled, "b": "\x00"}
    )
    async with db.transaction() as tx:
        await record(tx, "extractor", [subject], PoisonError("no"), RetryPolicy())
        kept = await tx.value("SELECT payload FROM failures")
    assert kept == {"metadata": spelled, "b": "�"}
