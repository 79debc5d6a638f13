"""The tables of `value_names.toml`: names that are written in several ways. Pure data."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def tables() -> Mapping[str, Mapping[str, Any]]:
    """Every table by its name; keys are folded spellings."""
    return tomllib.loads(files("shared").joinpath("value_names.toml").read_text(encoding="utf-8"))


def named(table: str, words: str) -> str:
    """What these words are compared as; themselves where the table has no other name."""
    return str(tables()[table].get(words, words))
