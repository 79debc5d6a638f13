"""The page about slots says what the catalogue says."""

from __future__ import annotations

from shared.value_keys import KINDS
from tests.contract.slots_page import PAGE, with_table


def test_the_catalogue_on_the_page_is_the_catalogue() -> None:
    page = PAGE.read_text()
    assert page == with_table(page), "run: python -m tests.contract.slots_page"


def test_every_way_to_compare_values_is_explained() -> None:
    page = PAGE.read_text()
    assert [kind for kind in sorted(KINDS) if f"| `{kind}` |" not in page] == []
