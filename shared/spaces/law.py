"""What may become of embedding spaces (pure).

A space is all vectors of one model. Exactly one is *active*: recall and dedup look at nothing else.
At most one is *filling* beside it. A *retired* one keeps its vectors until it is *pruned*. Every
change grows the active space's epoch, so that whoever thought before it writes nothing after it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from shared.errors import MemoireError

State = Literal["active", "filling", "retired", "pruning"]

GRACE_SECONDS = 60.0
"""So long a space that was active still gets new vectors, for a gateway that has not noticed."""


class SpacesRefusedError(MemoireError):
    """The spaces are not as this change needs them; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Address:
    """A model and how to ask it; without a base URL, at the configured server."""

    model: str
    remote: bool = False
    base_url: str | None = None
    asked_dimensions: int | None = None


@dataclass(frozen=True, slots=True)
class Space:
    """All vectors of one model; `dimensions` is None until the first is stored."""

    address: Address
    state: State
    dimensions: int | None = None
    epoch: int = 0
    skipped: int = 0
    retired_seconds: float | None = None

    @property
    def model(self) -> str:
        return self.address.model


@dataclass(frozen=True, slots=True)
class Spaces:
    """Every space of an installation; raises ValueError unless exactly one is active."""

    every: tuple[Space, ...]

    def __post_init__(self) -> None:
        models = [space.model for space in self.every]
        states = [space.state for space in self.every]
        if len(set(models)) < len(models) or states.count("active") != 1:
            raise ValueError("one space a model, and one of them active")
        if states.count("filling") > 1:
            raise ValueError("two spaces are being filled")

    @property
    def active(self) -> Space:
        return next(space for space in self.every if space.state == "active")

    @property
    def filling(self) -> Space | None:
        return next((space for space in self.every if space.state == "filling"), None)

    @property
    def fence(self) -> tuple[str, int]:
        """What must not have changed between thinking and commit."""
        return self.active.model, self.active.epoch

    @property
    def beside(self) -> list[Space]:
        """Spaces that get the vectors of new facts too."""
        return [space for space in self.every if _follows(space)]

    def of(self, model: str) -> Space | None:
        return next((space for space in self.every if space.model == model), None)


def _follows(space: Space) -> bool:
    if space.state == "retired":
        return space.retired_seconds is not None and space.retired_seconds < GRACE_SECONDS
    return space.state == "filling"


def adopted(address: Address, dimensions: int | None) -> Space:
    """The first space of an installation."""
    return Space(address, "active", dimensions)


def begun(spaces: Spaces, address: Address, dimensions: int) -> Spaces:
    """Fill a space beside the active one, or go on filling it.

    Raises SpacesRefusedError for the active one, where another is being filled, and for vectors of
    another length than those that are there.
    """
    known = spaces.of(address.model)
    if known is not None and known.state == "active":
        raise SpacesRefusedError(f"{address.model} is active already")
    if known is not None and known.state == "pruning":
        raise SpacesRefusedError(
            f"vectors of {address.model} are being pruned: finish that with "
            f"`memoire embeddings prune --model {address.model}`"
        )
    if spaces.filling is not None and spaces.filling is not known:
        raise SpacesRefusedError(
            f"vectors of {spaces.filling.model} are being made: finish that with `memoire "
            f"embeddings migrate --to {spaces.filling.model}`, or give it up with "
            "`memoire embeddings cancel`"
        )
    if known is not None and known.dimensions not in (None, dimensions):
        raise SpacesRefusedError(
            f"{address.model} now answers {dimensions} dimensions, its vectors here have "
            f"{known.dimensions}: prune them first (`memoire embeddings prune --model "
            f"{address.model}`), or ask for as many"
        )
    filling = replace(known or Space(address, "filling"), address=address, state="filling")
    return _with(spaces, replace(filling, dimensions=dimensions, retired_seconds=None))


def switched(spaces: Spaces, model: str, skipped: int) -> Spaces | None:
    """Make a complete space the active one; None where facts were left out of it since `skipped`.

    Raises SpacesRefusedError when it is not being filled any more.
    """
    new = spaces.filling
    if new is None or new.model != model:
        raise SpacesRefusedError(f"vectors of {model} are not being made any more")
    if new.skipped != skipped:
        return None
    old = spaces.active
    return _with(
        spaces,
        replace(old, state="retired", retired_seconds=0.0),
        replace(new, state="active", epoch=old.epoch),
    )


def cancelled(spaces: Spaces) -> Spaces:
    """Stop filling; what was made stays until it is pruned."""
    if spaces.filling is None:
        raise SpacesRefusedError("no vectors are being made")
    return _with(spaces, replace(spaces.filling, state="retired", retired_seconds=None))


def pruned(spaces: Spaces, model: str) -> Spaces:
    """Mark a space whose vectors are about to be deleted."""
    found = spaces.of(model)
    if found is None:
        raise SpacesRefusedError(f"there are no vectors of {model}")
    if found.state in ("active", "filling"):
        raise SpacesRefusedError(f"{model} is {found.state}: only what is retired can be pruned")
    if _follows(found):
        raise SpacesRefusedError(
            f"{model} was active a moment ago, and a gateway may still read it: wait a minute"
        )
    return _with(spaces, replace(found, state="pruning"))


def _with(spaces: Spaces, *changed: Space) -> Spaces:
    """These in place of what they were; whoever thought before writes nothing after."""
    by_model = {space.model: space for space in (*spaces.every, *changed)}
    return Spaces(tuple(_grown(by_model.values())))


def _grown(spaces: Iterable[Space]) -> Iterable[Space]:
    for space in spaces:
        yield replace(space, epoch=space.epoch + 1) if space.state == "active" else space
