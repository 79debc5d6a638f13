"""The single promises hold on this machine: a minute or several each."""

from __future__ import annotations

import pytest

from tests.chaos.rows import ROWS, measure

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(3_600)]


@pytest.mark.parametrize("name", ROWS)
def test_a_promise_keeps_within_its_bounds(name: str) -> None:
    figures = measure(name)
    print(name, figures)  # noqa: T201
    over = {key: figures[key] for key, most in ROWS[name].most.items() if figures[key] > most}
    assert not over, f"{over} of {figures}"
