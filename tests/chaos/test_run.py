"""Everything at once: thousands of messages, every kind of fault, and three numbers that are zero."""

from __future__ import annotations

import random

import pytest

from tests.chaos import background
from tests.chaos.driver import deck
from tests.chaos.faults import KINDS
from tests.chaos.profiles import PROFILES


@pytest.mark.timeout(1_200)
def test_thousands_of_messages_survive_every_kind_of_fault() -> None:
    """`python -m tests.chaos --profile ci` loses nothing, doubles nothing, believes nothing wrong."""
    report, examples = background.report(within_seconds=1_150)
    print(report)  # noqa: T201
    assert (report["lost"], report["double"], report["wrong"]) == (0, 0, 0), examples
    assert report["messages"] >= 3_000
    assert report["faults"] >= 40
    assert report["settled_after"] is not None, report
    assert (report["open_rows"], report["stream_lengths"], report["pending"]) == (0, 0, 0)


def test_every_kind_of_fault_comes_before_any_comes_twice() -> None:
    """The small run has at least one of each."""
    drawn = list(deck(random.randrange(1_000), KINDS, PROFILES["ci"].faults))
    assert {kind.name for kind in drawn} == {kind.name for kind in KINDS}
    assert [k.name for k in deck(5, KINDS, 90)] == [k.name for k in deck(5, KINDS, 90)]
