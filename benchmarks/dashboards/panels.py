"""What a dashboard's file asks for (pure): panels, and queries with their variables filled in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Query:
    """One query of a panel; its series are named by `legend`."""

    expression: str
    legend: str

    def name(self, labels: Labels) -> str:
        """Fill `{{label}}` in; a label that is missing is empty, as Grafana has it."""
        return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda m: labels.get(m[1], ""), self.legend)


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel: where it stands on the grid of 24 columns, and what it shows how."""

    kind: str
    title: str
    x: int
    y: int
    width: int
    height: int
    unit: str = "short"
    stacked: bool = False
    fill: float = 0.1
    steps: tuple[tuple[float, str], ...] = ()
    """Thresholds, lowest first: from which value on which colour."""
    queries: tuple[Query, ...] = ()

    def color(self, value: float) -> str | None:
        """The colour of the highest threshold that a value reaches; None without thresholds."""
        reached = [color for least, color in self.steps if value >= least]
        return reached[-1] if reached else None


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A dashboard, its variables filled in."""

    title: str
    about: str
    panels: tuple[Panel, ...]
    filled: Mapping[str, str] = field(default_factory=dict)

    def asking(self) -> Iterator[Panel]:
        """Its panels without the headings between them."""
        return (panel for panel in self.panels if panel.kind != "row")


def variables(text: str) -> dict[str, str]:
    """The variables whose values are asked for: name and query."""
    listed = json.loads(text)["templating"]["list"]
    return {each["name"]: each["query"] for each in listed if each["type"] == "query"}


def read(text: str, values: Mapping[str, str]) -> Dashboard:
    """Read a dashboard's JSON; `values` fills its variables and `$__rate_interval` in.

    Raises ValueError when a query still has a variable afterwards.
    """
    found = json.loads(text)
    panels = tuple(_panel(each, values) for each in found["panels"])
    asked = {name: values[name] for name in variables(text)}
    return Dashboard(found["title"], found.get("description", ""), panels, asked)


def _panel(found: Mapping[str, Any], values: Mapping[str, str]) -> Panel:
    place, defaults = found["gridPos"], found.get("fieldConfig", {}).get("defaults", {})
    custom = defaults.get("custom", {})
    return Panel(
        found["type"],
        found["title"],
        place["x"],
        place["y"],
        place["w"],
        place["h"],
        defaults.get("unit", "short"),
        custom.get("stacking", {}).get("mode") == "normal",
        custom.get("fillOpacity", 10) / 100,
        tuple(_steps(defaults)),
        tuple(
            Query(_filled(target["expr"], values), target.get("legendFormat", ""))
            for target in found.get("targets", ())
        ),
    )


def _steps(defaults: Mapping[str, Any]) -> Iterator[tuple[float, str]]:
    if defaults.get("color", {}).get("mode") != "thresholds":
        return
    for step in defaults["thresholds"]["steps"]:
        yield float("-inf") if step["value"] is None else float(step["value"]), step["color"]


def _filled(expression: str, values: Mapping[str, str]) -> str:
    filled = re.sub(r"\$\{?(\w+)\}?", lambda m: values.get(m[1], m[0]), expression)
    if "$" in filled:
        raise ValueError(f"a variable has no value: {filled}")
    return filled
