"""Which attributes made-up people have, and which values, in which spellings (from values.toml)."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from shared.slots import SlotSpec, catalogue


@dataclass(frozen=True, slots=True)
class Value:
    """One value; the first spelling is the plain one."""

    spellings: tuple[str, ...]

    @property
    def plain(self) -> str:
        return self.spellings[0]


def changing_slots() -> list[SlotSpec]:
    """The catalogue's slots of one whose value changes in a life and stays until it does.

    A kind of value that `values.toml` does not list (a wedding day, yes or no) is left out.
    """
    lasting = _document()["lasting"]
    return [
        spec
        for spec in catalogue().values()
        if spec.cardinality == "one"
        and spec.lasts is None
        and spec.name not in lasting
        and _has_values(spec)
    ]


def _has_values(spec: SlotSpec) -> bool:
    return spec.name in _document()["slot"] or spec.kind in _document()["kind"]


def values_of(spec: SlotSpec) -> list[Value]:
    document = _document()
    found = document["slot"].get(spec.name) or document["kind"][spec.kind]
    return [Value((each,) if isinstance(each, str) else tuple(each)) for each in found]


def slots_of_many() -> dict[str, list[str]]:
    """Three values for each of some slots of many."""
    return dict(_document()["many"])


@cache
def _document() -> dict[str, Any]:
    text = resources.files("benchmarks.evaluation").joinpath("data/values.toml").read_text("utf-8")
    return tomllib.loads(text)
