"""The commands of the page about time and corrections work as they stand there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.test_readme import run_blocks

pytestmark = [pytest.mark.timeout(400), pytest.mark.long]

PAGE = Path(__file__).parents[2] / "docs" / "time-and-corrections.md"


def test_the_pages_commands_run(tmp_path: Path) -> None:
    """Asked, corrected, forgotten, taken back, erased and summed up, in one go."""
    said = run_blocks(PAGE, tmp_path)
    assert "Moved to Bergen in May 2023" in said
    assert '"kind":"undo"' in said
    assert '{"messages":1,"facts":' in said
    assert '"content":"Home city: Bergen"' in said
    assert '"stale":false' in said
