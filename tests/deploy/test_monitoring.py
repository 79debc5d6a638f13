"""Alerts and dashboards: they name metrics that exist, and each alert says what to do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.deploy.files import ROOT, documents, ran, tool
from tests.deploy.prometheus_rule import PAGE, RULES, prometheus_rule

PROMETHEUS = ROOT / "deploy" / "prometheus"
DASHBOARDS = sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json"))
OPERATIONS = (ROOT / "docs" / "operations.md").read_text("utf-8")
HEADINGS = {line.lstrip("# ").strip().lower() for line in OPERATIONS.splitlines() if "#" in line}
SUFFIXES = {"counter": ("",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}

every_dashboard = pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)


def rules() -> list[dict[str, Any]]:
    return [
        rule for path in RULES for group in documents(path)[0]["groups"] for rule in group["rules"]
    ]


def alerts() -> list[dict[str, Any]]:
    return [rule for rule in rules() if "alert" in rule]


def recorded() -> set[str]:
    return {rule["record"] for rule in rules() if "record" in rule}


def expressions(dashboard: dict[str, Any]) -> Iterator[str]:
    for each in dashboard["panels"]:
        yield from (target["expr"] for target in each.get("targets", []))
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["query"]


def names(expression: str) -> set[str]:
    """The series that an expression asks for, of ours and of those that rules record."""
    return set(re.findall(r"\bmemoire[_:][a-z0-9_:]+", re.sub(r'"[^"]*"', "", expression)))


def asked_for() -> set[str]:
    found = {name for rule in rules() for name in names(rule["expr"])}
    for path in DASHBOARDS:
        dashboard = json.loads(path.read_text("utf-8"))
        found |= {name for each in expressions(dashboard) for name in names(each)}
    return found


def catalogue() -> dict[str, Any]:
    """Every series there is, and the metric it is of."""
    module = pytest.importorskip("shared.metrics.catalogue")
    return {
        metric.name + suffix: metric
        for metric in module.CATALOGUE
        for suffix in SUFFIXES[metric.kind]
    }


def test_every_metric_that_is_asked_for_exists():
    """In the catalogue, or made by a rule."""
    assert asked_for() - recorded() <= set(catalogue())


def test_labels_that_are_asked_for_exist():
    """A matcher on a label that a metric lacks would be true of nothing, or of everything."""
    known = catalogue()
    selected = re.compile(r"(memoire_\w+)\{([^}]*)\}")
    asked = [rule["expr"] for rule in rules()]
    for path in DASHBOARDS:
        asked += expressions(json.loads(path.read_text("utf-8")))
    for expression in asked:
        for name, matchers in selected.findall(expression):
            labels = {label.name: label for label in known[name].labels}
            for label, operator, value in re.findall(r'(\w+)(=~|!~|!=|=)"([^"]*)"', matchers):
                if label == "le":
                    assert float(value) in known[name].bounds
                    continue
                values = labels[label].values
                if values is not None and operator in ("=", "!=") and not value.startswith("$"):
                    assert value in values, (name, label, value)


def test_every_alert_has_a_runbook_and_says_how_urgent_it_is():
    """Its entry stands in docs/operations.md under its own name."""
    found = alerts()
    assert len({each["alert"] for each in found}) == len(found) > 15
    for each in found:
        name, anchor = each["alert"].lower(), each["annotations"]["runbook"]
        assert anchor == f"docs/operations.md#{name}"
        assert name in HEADINGS, f"{each['alert']} has no entry"
        assert each["labels"]["severity"] in ("page", "ticket")
        assert {"summary", "description"} <= set(each["annotations"])


def test_no_entry_is_left_of_an_alert_that_is_gone():
    assert {each for each in HEADINGS if each.startswith("memoire") and " " not in each} == {
        each["alert"].lower() for each in alerts()
    }


def test_every_alert_is_tried():
    """By `promtool test rules`, on series made up for it, or by its burn rates' tests."""
    tried = {
        test["alertname"]
        for path in (PROMETHEUS / "tests").glob("*.yml")
        for group in documents(path)[0]["tests"]
        for test in group.get("alert_rule_test", [])
        if test["exp_alerts"]
    }
    slow = {"MemoireMessagesOftenLate", "MemoireGatewayOftenFails"}
    assert {each["alert"] for each in alerts()} - tried == slow


def test_the_operators_rule_is_made_of_the_same_files():
    assert PAGE.read_text("utf-8") == prometheus_rule(), (
        "run: python -m tests.deploy.prometheus_rule"
    )


def test_promtool_agrees():
    """Rules and configuration are valid, and the alerts fire and keep silent as their tests say."""
    beside = str(ROOT / ".venv" / "prometheus" / "usr" / "bin")
    promtool = tool("promtool", beside)
    ran(promtool, "check", "rules", *map(str, RULES))
    ran(promtool, "check", "config", "--syntax-only", str(PROMETHEUS / "prometheus.yml"))
    ran(promtool, "test", "rules", *map(str, sorted((PROMETHEUS / "tests").glob("*.yml"))))


@every_dashboard
def test_a_dashboard_is_whole(path: Any):
    """Its panels have ids of their own and do not lie upon each other; all ask one data source."""
    dashboard = json.loads(path.read_text("utf-8"))
    assert dashboard["uid"] == f"memoire-{path.stem}"
    panels = dashboard["panels"]
    assert len({each["id"] for each in panels}) == len(panels)
    squares = [
        (x, y)
        for each in panels
        for x in range(each["gridPos"]["x"], each["gridPos"]["x"] + each["gridPos"]["w"])
        for y in range(each["gridPos"]["y"], each["gridPos"]["y"] + each["gridPos"]["h"])
    ]
    assert len(set(squares)) == len(squares)
    assert max(x for x, _ in squares) < 24
    for each in panels:
        if each["type"] != "row":
            assert each["targets"], each["title"]
            assert each["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_there_is_a_dashboard_for_each_question():
    """And Grafana is given all of them, in compose and in Kubernetes."""
    assert {path.stem for path in DASHBOARDS} == {"pipeline", "stage", "cost", "tenants", "recall"}
    (component,) = documents(ROOT / "deploy" / "grafana" / "kustomization.yaml")
    (made,) = component["configMapGenerator"]
    assert {f"dashboards/{path.name}" for path in DASHBOARDS} == set(made["files"])
