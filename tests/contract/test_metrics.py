"""The catalogue keeps Prometheus' conventions, and its page says what it says."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from services.console.instance import programs
from shared.metrics.catalogue import CATALOGUE
from shared.metrics.kinds import Counter, Gauge, Histogram, Metric
from shared.settings import Settings
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


_LOADED = """
import sys
import services.composition, services.gateway.app, services.extractor.consumer
import services.maintenance.sweeper, shared.process, shared.tracing.otlp
for name in ("prometheus_client", "opentelemetry.exporter", "google.protobuf"):
    assert name not in sys.modules, name
"""


def test_what_is_off_is_not_even_imported() -> None:
    """Neither metrics nor what sends traces (redis-py looks at the SDK itself, where that is)."""
    subprocess.run([sys.executable, "-c", _LOADED], check=True, timeout=120)


def test_each_process_of_one_machine_has_a_port_of_its_own() -> None:
    made = programs(Settings(metrics_port=9464), "key", {"extractor": 2})
    ports = [program.env["MEMOIRE_METRICS_PORT"] for program in made]
    assert ports == [str(9464 + place) for place in range(len(PROCESSES) + 1)]
    assert {
        program.env["MEMOIRE_METRICS_PORT"]
        for program in programs(Settings(metrics_port=0), "key", {})
    } == {"0"}
    highest = programs(Settings(metrics_port=65_535), "key", {})
    assert [program.env["MEMOIRE_METRICS_PORT"] for program in highest][:2] == ["65535", "0"]
