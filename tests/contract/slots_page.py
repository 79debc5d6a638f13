"""Writes the table of `docs/slots.md` from the catalogue itself."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

from shared.slots import SlotSpec, catalogue

PAGE = Path(__file__).parents[2] / "docs" / "slots.md"
_TABLE = re.compile(r"(?<=<!-- catalogue -->\n).*?(?=<!-- end -->)", re.DOTALL)


def with_table(page: str) -> str:
    """The page with the catalogue as it is now."""
    rows = "".join(map(_row, catalogue().values()))
    head = "| slot | values | category | compared as | also called |\n|---|---|---|---|---|\n"
    return _TABLE.sub(lambda _: head + rows, page)


def _row(spec: SlotSpec) -> str:
    values = spec.cardinality + (" or as said" if spec.as_said else "")
    if spec.lasts is not None:
        values += f", for {spec.lasts // timedelta(days=1)} days"
    called = ", ".join(spec.synonyms)
    return f"| `{spec.name}` | {values} | {spec.category} | {spec.kind} | {called} |\n"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text()))
