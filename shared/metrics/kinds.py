"""The three kinds of metric, as the catalogue declares them and as the code speaks to them.

A metric is declared once, with its unit, its labels and what it means. Until a process opens its
registry (`shared.metrics.serving`), telling it something costs one comparison and nothing is kept.
Every label is bounded: a value outside its declared ones is told as `other`.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any, ClassVar, Literal, TypeVar

Unit = Literal[
    "seconds", "bytes", "rows", "entries", "messages", "facts", "bells", "calls", "tokens",
    "money", "ratio", "requests", "attempts", "tenants", "consumers", "connections", "keys",
    "users", "sweeps", "pauses", "jobs", "timestamp", "yes or no", "recalls",
]  # fmt: skip

OTHER = "other"
_MOST_FROM_BIRTH = 20
"""Series of one counter."""


@dataclass(frozen=True, slots=True)
class Label:
    """One label: its values, or (`values` None) in words what keeps them few."""

    name: str
    values: frozenset[str] | None
    bound: str

    @classmethod
    def of(cls, name: str, *values: str) -> Label:
        """One of these values, which are all there are."""
        return cls(name, frozenset(values), ", ".join(values))

    def told(self, value: str) -> str:
        """The value as it is told: one that was not declared is `other`."""
        return value if self.values is None or value in self.values else OTHER


class Metric(ABC):
    """One metric of the catalogue."""

    kind: ClassVar[str]

    def __init__(
        self, name: str, unit: Unit, meaning: str, *labels: Label, by: tuple[str, ...]
    ) -> None:
        """`by`: the processes that tell it."""
        self.name = name
        self.unit = unit
        self.meaning = meaning
        self.labels = labels
        self.by = by
        self._names = tuple(label.name for label in labels)
        self._family: Any = None

    @abstractmethod
    def _build(self, registry: Any) -> Any:
        """What keeps its numbers, in prometheus_client's terms."""

    @property
    def sample(self) -> str:
        """Its name as it is read, and as queries write it."""
        return self.name

    def open(self, registry: Any) -> None:
        """Keep numbers from now on, in this registry."""
        self._family = self._build(registry)

    def begin(self, process: str) -> None:  # noqa: B027  most have nothing to tell before
        """Tell what is known before anything has happened in this process."""

    def close(self) -> None:
        """Keep none any more."""
        self._family = None

    @property
    def is_open(self) -> bool:
        return self._family is not None

    def _child(self, labels: Mapping[str, str]) -> Any:
        if not self._names:
            return self._family
        if labels.keys() != set(self._names):
            raise ValueError(f"{self.name} is labelled {self._names}, not {tuple(labels)}")
        told = (label.told(labels[label.name]) for label in self.labels)
        return self._family.labels(*told)


class Counter(Metric):
    """What only grows, while its process lives."""

    kind = "counter"

    def begin(self, process: str) -> None:
        """Tell 0 of everything that may yet happen in this process, where that is not too much.

        A series that comes into being with its first event hides it: a rate needs two values.
        """
        told = [_possible(label, process) for label in self.labels]
        if self._family is None or not told or not all(told):
            return
        if prod(map(len, told)) <= _MOST_FROM_BIRTH:
            for values in product(*told):
                self._family.labels(*values)

    def add(self, amount: float = 1, /, **labels: str) -> None:
        if self._family is not None:
            self._child(labels).inc(amount)

    def _build(self, registry: Any) -> Any:
        from prometheus_client import Counter as Kept  # noqa: PLC0415  paid where it is served

        return Kept(self.name, self.meaning, self._names, registry=registry)


class Gauge(Metric):
    """What is so at the moment."""

    kind = "gauge"

    def set(self, value: float, /, **labels: str) -> None:
        if self._family is not None:
            self._child(labels).set(value)

    def add(self, amount: float, /, **labels: str) -> None:
        if self._family is not None:
            self._child(labels).inc(amount)

    def follow(self, read: Callable[[], float], /, **labels: str) -> None:
        """Ask for the value whenever somebody looks; of the same labels the last `read` counts."""
        if self._family is not None:
            self._child(labels).set_function(read)

    def replace(self, values: Mapping[tuple[str, ...], float]) -> None:
        """Tell all there is: what is not among these label values is told no more."""
        if self._family is None:
            return
        self._family.clear()
        for told, value in values.items():
            self.set(value, **dict(zip(self._names, told, strict=True)))

    def _build(self, registry: Any) -> Any:
        from prometheus_client import Gauge as Kept  # noqa: PLC0415

        return Kept(self.name, self.meaning, self._names, registry=registry)


class Histogram(Metric):
    """How something is spread: counted by upper bounds."""

    kind = "histogram"

    def __init__(
        self,
        name: str,
        unit: Unit,
        meaning: str,
        *labels: Label,
        by: tuple[str, ...],
        bounds: tuple[float, ...],
    ) -> None:
        super().__init__(name, unit, meaning, *labels, by=by)
        self.bounds = bounds

    def observe(self, value: float, /, **labels: str) -> None:
        if self._family is not None:
            self._child(labels).observe(value)

    @contextmanager
    def timing(self, **labels: str) -> Iterator[None]:
        """Observe how long a block took, whatever became of it."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.observe(time.perf_counter() - begun, **labels)

    def _build(self, registry: Any) -> Any:
        from prometheus_client import Histogram as Kept  # noqa: PLC0415

        return Kept(self.name, self.meaning, self._names, registry=registry, buckets=self.bounds)


def _possible(label: Label, process: str) -> list[str]:
    """What a label can say in this process: of stages only its own; [] where nobody can list it."""
    if label.values is None:
        return []
    return [process] if label.name == "stage" else sorted(label.values)


AnyMetric = TypeVar("AnyMetric", bound=Metric)
