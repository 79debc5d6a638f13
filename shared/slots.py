"""The catalogue of slots: which attributes a person has and how each behaves.

Decides, for a slot's name as a model or a caller wrote it, which attribute is meant (`resolve`) and
when two spellings of its value say the same (`value_key`). The built-in catalogue is data,
`slots.toml`, read once on first use; a tenant's own slots are laid over it (`with_own`). Never
decides what is true.
"""

import re
import tomllib
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache, lru_cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Literal, get_args

from shared import value_keys
from shared.value_words import singular

Category = Literal["user_preference", "biographical", "work_context", "relationship", "learning"]
Cardinality = Literal["one", "many"]
Source = Literal["catalogue", "tenant"]

CATEGORIES: tuple[str, ...] = get_args(Category)
DEFAULT_CATEGORY: Category = "biographical"

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_APOSTROPHES = re.compile(r"['’`]")
_SEPARATORS = re.compile(r"[\s\-_./:]+")
_DECORATION = re.compile(r"^(?:the_|users_|user_|my_|current_|currently_|present_)(?=.)")
_AMERICAN = {
    "favourite": "favorite",
    "fav": "favorite",
    "favourites": "favorites",
    "colour": "color",
}
_OF_NAME = re.compile(r"_names?$")
_NAMED_KINDS = frozenset({"name", "pet", "org", "school", "place", "country", "language", "title"})


@dataclass(frozen=True, slots=True)
class SlotSpec:
    """One attribute of a person.

    With `as_said` the cardinality is what each statement says, and `cardinality` where it says
    none; otherwise what is said about it does not count.
    """

    name: str
    category: str
    cardinality: Cardinality
    kind: str
    synonyms: tuple[str, ...] = ()
    lasts: timedelta | None = None
    as_said: bool = False
    source: Source = "catalogue"

    def cardinality_of(self, said: str | None) -> str:
        return said or self.cardinality if self.as_said else self.cardinality


@dataclass(frozen=True, eq=False)
class Catalogue:
    """Slots by name; what any name means.

    Equal only to itself, so that what is made of it can be kept by it.
    """

    slots: Mapping[str, SlotSpec]
    _by_any_name: Mapping[str, SlotSpec] = field(repr=False)

    @classmethod
    def of(cls, specs: Iterable[SlotSpec]) -> "Catalogue":
        slots = {spec.name: spec for spec in specs}
        return cls(MappingProxyType(slots), MappingProxyType(_names_of(slots.values())))

    def with_own(self, own: Collection[SlotSpec]) -> "Catalogue":
        """Lay a tenant's slots over these: theirs win by name, and take synonyms over."""
        if not own:
            return self
        taken = {_normal(name) for spec in own for name in (spec.name, *spec.synonyms)}
        names = {name: spec for name, spec in self._by_any_name.items() if name not in taken}
        slots = {**self.slots, **{spec.name: spec for spec in own}}
        replaced = {name: slots[spec.name] for name, spec in names.items()}
        names = {**replaced, **_names_of(own)}
        return Catalogue(MappingProxyType(slots), MappingProxyType(names))

    def resolve(self, named: str) -> SlotSpec | None:
        """Find the slot of that name or synonym, however it is spelled; None if unknown."""
        return next(
            (found for each in _readings(named) if (found := self._meant_by(each)) is not None),
            None,
        )

    def name_of(self, named: str) -> str:
        """The slot's own name, or the one spelling of a name that nobody knows."""
        spec = self.resolve(named)
        return spec.name if spec else own_spelling(named)

    def spellings(self, named: str) -> list[str]:
        """Every name under which facts of this slot may be stored, before or after it was known."""
        spec = self.resolve(named)
        if spec is None:
            return [own_spelling(named)]
        own = spec.synonyms if spec.source == "tenant" else ()
        return list(dict.fromkeys([spec.name, *map(own_spelling, own)]))

    def value_key(self, slot: str | None, value: str) -> str:
        """What two spellings of one value of that slot have in common; never empty for a value."""
        spec = self.resolve(slot) if slot is not None else None
        return value_keys.key(spec.kind if spec else "text", value)

    def cardinality(self, slot: str, said: str | None) -> str:
        """The catalogue's, else what was said; unsaid it is one, unless the name is a plural."""
        spec = self.resolve(slot)
        if spec is not None:
            return spec.cardinality_of(said)
        return said or ("many" if singular(slot) != slot else "one")

    def _meant_by(self, reading: str) -> SlotSpec | None:
        if spec := self._by_any_name.get(reading):
            return spec
        spec = self._by_any_name.get(singular(reading))
        return spec if spec is not None and spec.cardinality == "many" else self._named(reading)

    def _named(self, reading: str) -> SlotSpec | None:
        """Read `wife_name` and `company_name`: what is asked for is the slot's own value."""
        whose = _OF_NAME.sub("", reading)
        for each in (whose, whose.removesuffix("s")) if whose != reading else ():
            spec = self._by_any_name.get(each)
            if spec is not None and spec.kind in _NAMED_KINDS and spec.name != "name":
                return spec
        return None


def _names_of(specs: Collection[SlotSpec]) -> dict[str, SlotSpec]:
    """Every name and synonym; where they meet, a slot's own name wins."""
    synonyms = {_normal(synonym): spec for spec in specs for synonym in spec.synonyms}
    return synonyms | {_normal(spec.name): spec for spec in specs}


@cache
def built_in() -> Catalogue:
    """The catalogue of `slots.toml`."""
    return Catalogue.of(_read())


def catalogue() -> Mapping[str, SlotSpec]:
    """Every built-in slot by its own name, in the order of the data file."""
    return built_in().slots


def resolve(slot: str) -> SlotSpec | None:
    """The built-in slot of that name or synonym; None if unknown."""
    return built_in().resolve(slot)


def value_key(slot: str | None, value: str) -> str:
    """The key of a value of a built-in slot, of an unknown one, or of free text."""
    return built_in().value_key(slot, value)


def own_spelling(named: str) -> str:
    """Spell a slot that no catalogue knows in one way; a spelling is its own spelling."""
    *_, plainest = _readings(named)
    return plainest or " ".join(named.casefold().split())


def _readings(named: str) -> Iterator[str]:
    """What a name may stand for: as written, then without the words that only dress it."""
    reading = _normal(named)
    yield reading
    while (barer := _DECORATION.sub("", reading)) != reading:
        reading = barer
        yield reading


@lru_cache(maxsize=8_192)
def _normal(named: str) -> str:
    """One spelling for case, accents, spaces, hyphens, camelCase and British English."""
    bare = _APOSTROPHES.sub("", _HUMP.sub("_", unicodedata.normalize("NFKC", named).strip()))
    letters = unicodedata.normalize("NFKD", bare.casefold())
    plain = "".join(letter for letter in letters if not "\u0300" <= letter <= "\u036f")
    words = _SEPARATORS.sub("_", unicodedata.normalize("NFC", plain)).strip("_").split("_")
    return "_".join(_AMERICAN.get(word, word) for word in words)


def _read() -> Iterator[SlotSpec]:
    text = files("shared").joinpath("slots.toml").read_text(encoding="utf-8")
    entries: dict[str, dict[str, Any]] = tomllib.loads(text)["slot"]
    for name, entry in entries.items():
        days = entry.get("lasts_days")
        yield SlotSpec(
            name=name,
            category=entry["category"],
            cardinality=entry["cardinality"],
            kind=entry["kind"],
            synonyms=tuple(entry.get("synonyms", ())),
            lasts=timedelta(days=days) if days is not None else None,
            as_said=entry.get("or_as_said", False),
        )
