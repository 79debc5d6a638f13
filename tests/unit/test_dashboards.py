"""Dashboards drawn without Grafana: every panel can be asked and drawn, and the axes are round."""

from __future__ import annotations

import itertools
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.dashboards.drawing import Series, Span, draw
from benchmarks.dashboards.numbers import shown, ticks
from benchmarks.dashboards.panels import Dashboard, Panel, Query, read, variables

FOLDER = Path(__file__).parents[2] / "deploy" / "grafana" / "dashboards"
IMAGES = Path(__file__).parents[2] / "docs" / "images"
FILES = sorted(FOLDER.glob("*.json"))
SPAN = Span(1000.0, 1100.0, 5.0)
every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
units = st.sampled_from(["short", "s", "bytes", "percentunit", "ops", "reqps"])
points = st.dictionaries(st.sampled_from(SPAN.times()), st.floats(0, 1e12), min_size=1)
names = st.text("ab &<>\"'", max_size=60)
several = st.lists(st.builds(Series, names, points), max_size=20)


def dashboard(path: Path) -> Dashboard:
    text = path.read_text("utf-8")
    values = {"__rate_interval": "20s", **dict.fromkeys(variables(text), "extractor")}
    return read(text, values)


@every_file
def test_every_panel_can_be_asked_and_drawn(path: Path) -> None:
    """Its variables have values, its unit is known, and it lies beside the others."""
    found = dashboard(path)
    taken: set[tuple[int, int]] = set()
    for panel in found.asking():
        assert panel.queries
        assert "$" not in "".join(query.expression for query in panel.queries)
        assert shown(1.0, panel.unit)
        columns = range(panel.x, panel.x + panel.width)
        place = {(x, y) for x in columns for y in range(panel.y, panel.y + panel.height)}
        assert not place & taken, panel.title
        assert max(columns) < 24
        taken |= place
    ET.fromstring(draw(found, {}, SPAN, "note"))


@every_file
def test_every_dashboard_is_shown_as_it_is_now(path: Path) -> None:
    """A panel that was added since is missing in the picture: draw them again."""
    drawn = (IMAGES / f"{path.stem}.svg").read_text("utf-8")
    told = {element.text for element in ET.fromstring(drawn).iter()}
    assert {panel.title for panel in dashboard(path).panels} <= told
    assert len(drawn.encode()) < 200_000


def test_a_variable_without_a_value_is_refused() -> None:
    with pytest.raises(ValueError, match="no value"):
        read((FOLDER / "cost.json").read_text("utf-8"), {})


def test_a_legend_names_its_series() -> None:
    assert Query("up", "{{ stage }}, p95").name({"stage": "deduper"}) == "deduper, p95"
    assert Query("up", "{{missing}}").name({}) == ""


@given(units, st.sampled_from(["timeseries", "stat", "bargauge"]), st.booleans(), several)
def test_whatever_was_told_can_be_drawn(
    unit: str, kind: str, stacked: bool, series: list[Series]
) -> None:
    """Gaps, single points, nothing at all, and names with signs that mark-up knows."""
    panel = Panel(kind, 'A "panel" & <more>', 0, 0, 12, 8, unit, stacked)
    drawn = draw(Dashboard("D", "", (panel,)), {panel: series}, SPAN, "note")
    ET.fromstring(drawn)
    assert "nan" not in drawn
    assert ("No data" in drawn) == (not series)


@given(st.floats(1e-6, 1e12), units)
def test_an_axis_reaches_its_highest_value_in_few_equal_steps(highest: float, unit: str) -> None:
    steps = ticks(highest, unit)
    assert steps[0] == 0
    assert steps[-1] >= highest * (1 - 1e-6)
    assert 2 <= len(steps) <= 6
    assert all(b - a == pytest.approx(steps[1]) for a, b in itertools.pairwise(steps))


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0, "s", "0 s"), (0.0004, "s", "400 µs"), (0.25, "s", "250 ms"), (90.0, "s", "90 s"),
        (300.0, "s", "5 min"), (7200.0, "s", "2 h"), (1536.0, "bytes", "1.5 KiB"),
        (0.719, "percentunit", "71.9 %"), (1290.0, "short", "1.29 K"), (7.26e6, "short", "7.26 Mil"),
        (12.5, "ops", "12.5 ops/s"), (0.0, "short", "0"), (999.96, "short", "1000"),
    ],
)  # fmt: skip
def test_values_are_shown_with_their_unit(value: float, unit: str, text: str) -> None:
    assert shown(value, unit) == text
