"""Which versions of the extraction prompt there are; `v1` is short for `extract.v1`."""

from __future__ import annotations

import re
from importlib import resources

from services.extractor.extractors import PROMPT
from shared.errors import ConfigurationError

_FAMILY = "extract."


def available() -> list[str]:
    """List the prompts shipped with this version, in order of their number."""
    folder = resources.files("services.extractor.prompts")
    names = [
        file.name.removesuffix(".md") for file in folder.iterdir() if file.name.endswith(".md")
    ]
    return sorted((name for name in names if name.startswith(_FAMILY)), key=_number)


def _number(name: str) -> tuple[int, str]:
    digits = re.search(r"\d+$", name)
    return (int(digits[0]) if digits else 0), name


def named(version: str | None) -> str:
    """Find a prompt by `v1` or `extract.v1`; None is the one in use. Raises ConfigurationError."""
    if version is None:
        return PROMPT
    name = version if version.startswith(_FAMILY) else f"{_FAMILY}{version}"
    if name not in available():
        there = ", ".join(each.removeprefix(_FAMILY) for each in available())
        raise ConfigurationError(f"there is no prompt {version!r}; there is {there}")
    return name


def size_of(name: str) -> int:
    """Measure a prompt in bytes."""
    return len(resources.files("services.extractor.prompts").joinpath(f"{name}.md").read_bytes())
