"""The commands of the page about asking work as they stand there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.test_readme import run_blocks

pytestmark = [pytest.mark.timeout(300), pytest.mark.long]

PAGE = Path(__file__).parents[2] / "docs" / "asking.md"


def test_the_pages_commands_run(tmp_path: Path) -> None:
    """Asked by slot, time and language, explained, and written for a prompt."""
    said = run_blocks(PAGE, tmp_path)
    assert '"content":"Home is Lisbon"' in said
    assert '"content":"Home is Boston"' in said
    assert "asked for slots: home_city" in said
    assert "2 of 2 in its timeline" in " ".join(said.split())
    assert "### Always known" in said
    assert "<always>" in said
    assert said.rstrip().endswith("}") and "chevaux" in said.splitlines()[-1]
