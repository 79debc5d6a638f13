"""The evaluations by name: each a module with `measure(run)`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from benchmarks.evaluation.evaluations import (
    duplicates,
    history,
    poisoning,
    recall,
    rules,
    slots,
    updates,
)
from benchmarks.evaluation.figures import Figure
from benchmarks.evaluation.run import Run

EVALUATIONS: Mapping[str, Callable[[Run], list[Figure]]] = {
    slots.NAME: slots.measure,
    history.NAME: history.measure,
    updates.NAME: updates.measure,
    duplicates.NAME: duplicates.measure,
    rules.NAME: rules.measure,
    recall.NAME: recall.measure,
    poisoning.NAME: poisoning.measure,
}
