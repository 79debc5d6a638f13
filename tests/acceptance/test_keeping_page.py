"""The commands of the page about essential and faded facts work as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.acceptance.test_readme import run_blocks

pytestmark = [pytest.mark.timeout(300), pytest.mark.long]

PAGE = Path(__file__).parents[2] / "docs" / "essentials-and-fading.md"


def test_the_pages_commands_show_before_and_after(tmp_path: Path) -> None:
    """Nothing is essential, then two facts are; the book is there, faded, found, and back."""
    said = run_blocks(PAGE, tmp_path)
    shown = dict(re.findall(r"^([\w ]+): (\{.*)$", said, re.MULTILINE))
    assert '"essential":[]' in shown["before optimize"]
    assert "Is called Nia" in shown["after optimize"]
    assert "Is allergic to nuts" in shown["after optimize"]
    assert "Likes tea" not in shown["after optimize"]
    assert "Is reading Middlemarch" in shown["before decay"]
    assert "Is reading Middlemarch" not in shown["after decay"]
    assert "Likes tea" in shown["after decay"]
    for asked in ("by slot", "by question", "said again"):
        assert "Middlemarch" in shown[asked], asked
    assert '"faded":1' in said
