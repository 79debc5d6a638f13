"""The catalogue of slots: which attributes a person has and how each behaves.

Decides, for a slot's name as a model or a caller wrote it, which attribute is meant (`resolve`) and
when two spellings of its value say the same (`value_key`). The catalogue is data, `slots.toml`,
read once on first use. Never decides what is true.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Literal

from shared import value_keys

Category = Literal["user_preference", "biographical", "work_context", "relationship", "learning"]
Cardinality = Literal["one", "many"]

_SEPARATORS = re.compile(r"[\s\-_./']+")


@dataclass(frozen=True, slots=True)
class SlotSpec:
    """One attribute of a person."""

    name: str
    category: Category
    cardinality: Cardinality
    kind: str
    synonyms: tuple[str, ...] = ()
    lasts: timedelta | None = None


@cache
def catalogue() -> Mapping[str, SlotSpec]:
    """Every slot by its own name, in the order of the data file."""
    text = files("shared").joinpath("slots.toml").read_text(encoding="utf-8")
    entries: dict[str, dict[str, Any]] = tomllib.loads(text)["slot"]
    return MappingProxyType({name: _spec(name, entry) for name, entry in entries.items()})


def resolve(slot: str) -> SlotSpec | None:
    """The slot of that name or synonym, whatever its case, spaces and hyphens; None if unknown."""
    return _by_any_name().get(_normal_name(slot))


def value_key(slot: str | None, value: str) -> str:
    """What two spellings of one value of that slot have in common; never empty for a value."""
    spec = resolve(slot) if slot is not None else None
    return value_keys.key(spec.kind if spec else "text", value)


def _spec(name: str, entry: Mapping[str, Any]) -> SlotSpec:
    days = entry.get("lasts_days")
    return SlotSpec(
        name=name,
        category=entry["category"],
        cardinality=entry["cardinality"],
        kind=entry["kind"],
        synonyms=tuple(entry.get("synonyms", ())),
        lasts=timedelta(days=days) if days is not None else None,
    )


@cache
def _by_any_name() -> Mapping[str, SlotSpec]:
    names: dict[str, SlotSpec] = {}
    for spec in catalogue().values():
        for name in (spec.name, *spec.synonyms):
            names.setdefault(_normal_name(name), spec)
    return names


def _normal_name(slot: str) -> str:
    return _SEPARATORS.sub("_", slot.strip().casefold()).strip("_")
