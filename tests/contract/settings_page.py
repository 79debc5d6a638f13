"""Writes `docs/settings.md` from the settings themselves."""

from __future__ import annotations

from pathlib import Path

from pydantic.fields import FieldInfo

from shared.setting_files import variables
from shared.settings import Settings

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"
_HEAD = """# Settings

Every setting is an environment variable. A secret need not stand there: with `_FILE` behind its name
(`MEMOIRE_DATABASE_URL_FILE=/run/secrets/database_url`) the variable names a file whose text is the
setting; the variable itself wins, and an empty file says nothing. This page is generated from
`shared/settings.py` by `python -m tests.contract.settings_page`; a test compares the two.

| variable | default | what and why |
|---|---|---|
"""


def describe_settings() -> str:
    rows = (_row(name, field) for name, field in Settings.model_fields.items())
    return _HEAD + "".join(rows)


def _row(name: str, field: FieldInfo) -> str:
    variable = " or ".join(f"`{each}`" for each in variables("MEMOIRE_", name, field))
    default = "" if field.default is None else f"`{field.default}`"
    return f"| {variable} | {default} | {field.description} |\n"


if __name__ == "__main__":
    PAGE.write_text(describe_settings())
