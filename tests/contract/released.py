"""What each version promised to the one that runs beside it during a rollout.

`python -m tests.contract.released` writes the page of the version in pyproject.toml: do so when it
is released, and never change a page of a version that somebody runs.
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.asyncapi import document
from shared.migrate import available
from tests.contract.migration_law import Version

FOLDER = Path(__file__).with_name("released")
_PROJECT = Path(__file__).parents[2] / "pyproject.toml"


@dataclass(frozen=True)
class Release:
    """A version, its migrations by name with their checksums, and its entries."""

    version: Version
    migrations: dict[str, str]
    schemas: dict[str, Any]
    examples: dict[str, dict[str, str]]


def releases() -> list[Release]:
    """All there are, the first one first."""
    found = [json.loads(path.read_text("utf-8")) for path in FOLDER.glob("*.json")]
    return sorted(
        (Release(**{**each, "version": version(each["version"])}) for each in found),
        key=lambda release: release.version,
    )


def current() -> Version:
    """The version being worked on."""
    return version(tomllib.loads(_PROJECT.read_text("utf-8"))["project"]["version"])


def version(text: str) -> Version:
    major, minor, patch = map(int, text.split("."))
    return major, minor, patch


def describe() -> str:
    components = document()["components"]
    described = {
        "version": ".".join(map(str, current())),
        "migrations": {migration.name: migration.sha256 for migration in available()},
        "schemas": components["schemas"],
        "examples": {
            name: message["examples"][0]["payload"]
            for name, message in components["messages"].items()
        },
    }
    return json.dumps(described, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{'.'.join(map(str, current()))}.json").write_text(describe())
