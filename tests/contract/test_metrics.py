"""The catalogue keeps Prometheus' conventions, and its page says what it says."""

from __future__ import annotations

import re

import pytest

from shared.metrics.catalogue import CATALOGUE
from shared.metrics.kinds import Counter, Gauge, Histogram, Metric
from shared.topology import PROCESSES
from tests.contract.metrics_page import PAGE, describe_metrics

_ENDING = {
    "seconds": "_seconds",
    "bytes": "_bytes",
    "ratio": "_ratio",
    "timestamp": "_timestamp_seconds",
}
_EACH = pytest.mark.parametrize("metric", CATALOGUE, ids=lambda each: each.name)


def test_page_of_metrics_says_what_the_catalogue_says() -> None:
    """`docs/metrics.md` is generated, never written."""
    assert PAGE.read_text() == describe_metrics()


def test_every_metric_is_declared_once() -> None:
    names = [metric.name for metric in CATALOGUE]
    assert len(names) == len(set(names))


@_EACH
def test_a_name_follows_the_conventions(metric: Metric) -> None:
    """`memoire_`, snake case, base units at the end, `_total` on counters and on nothing else."""
    assert re.fullmatch(r"memoire_[a-z]+(_[a-z]+)*", metric.name)
    assert isinstance(metric, Counter) == metric.name.endswith("_total")
    stem = metric.name.removesuffix("_total")
    if metric.unit in _ENDING:
        assert stem.endswith(_ENDING[metric.unit])
    else:
        assert not stem.endswith(tuple(_ENDING.values()))


@_EACH
def test_a_metric_says_what_it_means_and_who_tells_it(metric: Metric) -> None:
    assert len(metric.meaning) > 20
    assert metric.meaning.endswith(".")
    assert "|" not in metric.meaning
    assert metric.by
    assert set(metric.by) <= set(PROCESSES)


@_EACH
def test_labels_are_bounded(metric: Metric) -> None:
    """Either their values are listed, or it is said what keeps them few; none is an id."""
    for label in metric.labels:
        assert not label.name.endswith("_id")
        assert label.name not in {"user", "session", "trace", "key", "path", "error"}
        assert label.bound
        assert label.values is None or 0 < len(label.values) <= 20
        assert label.values is None or label.told("something else") == "other"


@_EACH
def test_a_histogram_has_few_rising_bounds(metric: Metric) -> None:
    if isinstance(metric, Histogram):
        assert list(metric.bounds) == sorted(set(metric.bounds))
        assert len(metric.bounds) <= 16
    else:
        assert isinstance(metric, Counter | Gauge)
