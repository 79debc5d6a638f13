"""One measured figure: what, in which mode, over how many cases, and what it should be (pure)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

Bound = Literal["at least", "at most"]


@dataclass(frozen=True, slots=True)
class Aim:
    bound: Bound
    value: float

    def met_by(self, figure: float) -> bool:
        """Compare as printed: four decimals."""
        rounded = round(figure, 4)
        return rounded >= self.value if self.bound == "at least" else rounded <= self.value

    def __str__(self) -> str:
        return f"{'≥' if self.bound == 'at least' else '≤'} {self.value:g}"


def at_least(value: float) -> Aim:
    return Aim("at least", value)


def at_most(value: float) -> Aim:
    return Aim("at most", value)


@dataclass(frozen=True, slots=True)
class Figure:
    """A share of the cases, or a count; None where there was no case. `failing` are examples."""

    evaluation: str
    mode: str
    name: str
    value: float | None
    cases: int
    aim: Aim | None = None
    failing: tuple[str, ...] = ()
    is_count: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the aim is met; None without an aim or without a case."""
        if self.aim is None or self.value is None:
            return None
        return self.aim.met_by(self.value)

    def as_json(self) -> dict[str, Any]:
        aim = asdict(self.aim) if self.aim else None
        return {**asdict(self), "aim": aim, "met": self.met, "failing": list(self.failing)}


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that was looked at: whether it counts, and how to describe it if it is wrong."""

    counts: bool
    about: str = ""


_EXAMPLES = 5


def share(
    evaluation: str, mode: str, name: str, cases: Iterable[Case], aim: Aim | None = None
) -> Figure:
    """The share of cases that count; those on the wrong side of the aim are kept as examples."""
    looked_at = list(cases)
    counted = sum(case.counts for case in looked_at)
    value = counted / len(looked_at) if looked_at else None
    wrong = aim is not None and aim.bound == "at most"
    failing = [case.about for case in looked_at if case.counts == wrong and case.about]
    return Figure(evaluation, mode, name, value, len(looked_at), aim, tuple(failing[:_EXAMPLES]))
