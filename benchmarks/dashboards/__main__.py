"""`python -m benchmarks.dashboards`: minutes of mixed load, then one SVG for each dashboard.

Needs a `prometheus`: on PATH, or where `make deploy-check` unpacks it. Ends with 1 when a panel
shows nothing at all and is not among those that this load cannot fill.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from benchmarks.dashboards import load
from benchmarks.dashboards.drawing import Series, Span, draw
from benchmarks.dashboards.panels import Dashboard, Panel, read, variables
from benchmarks.dashboards.server import Prometheus, serving
from benchmarks.instance import Instance, running
from shared.topology import PROCESSES

_ROOT = Path(__file__).parents[2]
DASHBOARDS = sorted((_ROOT / "deploy" / "grafana" / "dashboards").glob("*.json"))
_IMAGES = _ROOT / "docs" / "images"
_SCRAPE_SECONDS = 5
_POINTS = 120
_DRAWN = {"stage": "extractor"}
"""The value that is drawn, of a variable that has several; all of them are asked."""


def record(folder: Path, minutes: float) -> Span:
    """Run an instance under load while Prometheus reads it; what was read stays in the folder."""
    port = 20_000 + time.time_ns() % 10_000  # as many free ports in a row as there are processes
    targets = {name: [f"127.0.0.1:{port + place}"] for place, name in enumerate(PROCESSES)}
    with (
        load.model() as url,
        _instance(url, port) as instance,
        serving(folder, targets, _SCRAPE_SECONDS),
    ):
        time.sleep(6 * _SCRAPE_SECONDS)  # a rate needs some reads before
        begun = time.time()
        load.Load(instance, url, 60 * minutes).run()
        span = _span(begun, time.time(), instance)
        time.sleep(2 * _SCRAPE_SECONDS)
    (folder / "span.json").write_text(json.dumps([span.begin, span.end, span.step]))
    return span


def _instance(url: str, metrics_port: int) -> AbstractContextManager[Instance]:
    settings: dict[str, Any] = load.settings(url, metrics_port)
    return running(**settings)


def _span(begun: float, ended: float, instance: Instance) -> Span:
    [(messages, facts)] = instance.rows(
        "SELECT (SELECT count(*) FROM chat_logs), (SELECT count(*) FROM memory_facts)"
    )
    print(f"{messages} messages, {facts} facts in {ended - begun:.0f} s")
    step = max(_SCRAPE_SECONDS, round((ended - begun) / _POINTS))
    return Span(begun - begun % step, ended - ended % step, step)


def pictures(prometheus: Prometheus, span: Span, out: Path) -> Iterator[tuple[str, Panel, int]]:
    """Draw every dashboard, and tell how many points each panel shows."""
    day = time.strftime("%d %B %Y, %H:%M", time.gmtime(span.begin))
    note = f"Drawn from the panels' own queries, not by Grafana. {day} UTC, times are UTC."
    for path in DASHBOARDS:
        text = path.read_text("utf-8")
        for values in _fillings(prometheus, text, span):
            dashboard = read(text, values)
            found = {panel: asked(prometheus, panel, span) for panel in dashboard.asking()}
            if values.items() >= _DRAWN.items() or not dashboard.filled:
                out.mkdir(parents=True, exist_ok=True)
                (out / f"{path.stem}.svg").write_text(draw(dashboard, found, span, note))
            for panel, series in found.items():
                yield _named(dashboard), panel, sum(len(one.points) for one in series)


def _fillings(prometheus: Prometheus, text: str, span: Span) -> Iterator[dict[str, str]]:
    """Grafana's `$__rate_interval`, and each value of a variable that the dashboard asks for."""
    rate = max(4 * _SCRAPE_SECONDS, int(span.step) + _SCRAPE_SECONDS)
    given = {"__rate_interval": f"{rate}s"}
    own = variables(text)
    if not own:
        yield given
    for name, query in own.items():
        for value in prometheus.values(query, span):
            yield {**given, name: value}


def asked(prometheus: Prometheus, panel: Panel, span: Span) -> list[Series]:
    """A panel's series, those without a value left out."""
    return [
        Series(query.name(labels), points)
        for query in panel.queries
        for labels, points in prometheus.series(query.expression, span)
        if points
    ]


def _named(dashboard: Dashboard) -> str:
    return " ".join([dashboard.title, *dashboard.filled.values()])


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dashboards", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--out", type=Path, default=_IMAGES)
    parser.add_argument("--data", type=Path, help="keep what was read here; kept before, draw it")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.data or Path(temporary)
        kept = folder / "span.json"
        span = (
            _kept(json.loads(kept.read_text())) if kept.exists() else record(folder, given.minutes)
        )
        with serving(folder, {}, _SCRAPE_SECONDS) as prometheus:
            empty = [
                f"{dashboard}: {panel.title}"
                for dashboard, panel, points in pictures(prometheus, span, given.out)
                if not points
            ]
    print("\n".join(["Nothing to show:", *empty]) if empty else "Every panel shows something.")
    return 0


def _kept(numbers: list[Any]) -> Span:
    return Span(*map(float, numbers))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
