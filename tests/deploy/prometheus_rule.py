"""Writes the operator's PrometheusRule from the rule files: `python -m tests.deploy.prometheus_rule`."""

from __future__ import annotations

import yaml

from tests.deploy.files import K8S, ROOT, documents

PAGE = K8S / "components" / "monitoring" / "prometheus-rule.yaml"
RULES = sorted((ROOT / "deploy" / "prometheus" / "rules").glob("*.yml"))
_HEAD = "# Made of deploy/prometheus/rules by `python -m tests.deploy.prometheus_rule`.\n"


def prometheus_rule() -> str:
    groups = [group for path in RULES for group in documents(path)[0]["groups"]]
    labels = {"memoire.dev/step": "rollout"}
    rule = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "memoire", "labels": labels},
        "spec": {"groups": groups},
    }
    return _HEAD + yaml.safe_dump(rule, sort_keys=False, allow_unicode=True, width=100)


if __name__ == "__main__":
    PAGE.write_text(prometheus_rule())
