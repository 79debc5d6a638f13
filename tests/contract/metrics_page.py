"""Writes `docs/metrics.md` from the catalogue itself."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from shared.metrics.catalogue import CATALOGUE
from shared.metrics.kinds import Histogram, Label, Metric

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
_HEAD = """# Metrics

Each process tells its own of these at `/metrics` on a port of its own, never on the public one; see
[observability.md](observability.md). This page is generated from `shared/metrics/catalogue.py` by
`python -m tests.contract.metrics_page`; a test compares the two, and another one that each is told.

Names keep their meaning. No label is an id, a user or a text: each has the values listed below, and
anything else is told as `other`. Beside these every process tells prometheus_client's own
`process_*` and `python_info` (CPU, memory, open files). What several sweepers tell is the same thing
seen twice: take the `max`, not the `sum`.

| metric | kind, unit | labels | told by | meaning |
|---|---|---|---|---|
"""
_LABELS = """
## Labels

| label | of | values |
|---|---|---|
"""
_BOUNDS = """
## Bounds of the histograms

| metric | upper bounds |
|---|---|
"""


def describe_metrics() -> str:
    rows = "".join(map(_row, CATALOGUE))
    bounds = "".join(_bounds(each) for each in CATALOGUE if isinstance(each, Histogram))
    return _HEAD + rows + _LABELS + "".join(_label_rows()) + _BOUNDS + bounds


def _row(metric: Metric) -> str:
    names = ", ".join(f"`{label.name}`" for label in metric.labels)
    by = ", ".join(metric.by) if len(metric.by) < 7 else "every process"
    what = f"{metric.kind}, {metric.unit}"
    return f"| `{metric.name}` | {what} | {names} | {by} | {metric.meaning} |\n"


def _label_rows() -> Iterable[str]:
    """One row per label and set of values, with the metrics that have it."""
    used: dict[Label, list[str]] = {}
    for metric in CATALOGUE:
        for label in metric.labels:
            used.setdefault(label, []).append(f"`{metric.name}`")
    for label, names in sorted(used.items(), key=lambda one: one[0].name):
        yield f"| `{label.name}` | {', '.join(names)} | {label.bound} |\n"


def _bounds(metric: Histogram) -> str:
    return f"| `{metric.name}` | {', '.join(f'{bound:g}' for bound in metric.bounds)} |\n"


if __name__ == "__main__":
    PAGE.write_text(describe_metrics())
