"""`python -m benchmarks.burst`: a burst, with the scaler's replicas and with one copy of each."""

from __future__ import annotations

import argparse
import json
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from benchmarks.burst.drain import Burst, Outcome, Stage, drain
from benchmarks.burst.scaler import Policy, Scaler

_MANIFESTS = Path(__file__).parents[2] / "deploy" / "k8s" / "components" / "autoscaling"
NAMES = ("extractor", "embedder", "deduper", "superseder")
RATES: dict[str, Any] = tomllib.loads(Path(__file__).with_name("rates.toml").read_text("utf-8"))


def policies() -> dict[str, Policy]:
    """Each stage's, as its ScaledObject says."""
    return {
        name: Policy.of(yaml.safe_load((_MANIFESTS / f"{name}.yaml").read_text("utf-8"))["spec"])
        for name in NAMES
    }


def stages(call_seconds: float, messages_a_call: float, window: float) -> list[Stage]:
    """The four stages at the rates measured; the extractor bound by its calls or its CPU."""
    extractor, entries = RATES["extractor"], RATES["pods"]["entries_a_fact"]
    by_calls = extractor["calls_at_once"] * messages_a_call / call_seconds
    in_hand = call_seconds + extractor["read_seconds"]
    return [
        Stage("extractor", min(extractor["by_cpu"], by_calls), window, in_hand),
        Stage("embedder", RATES["embedder"]["local"], entries_each=entries),
        Stage("deduper", RATES["deduper"]["facts"], entries_each=entries),
        Stage("superseder", RATES["superseder"]["facts"], entries_each=entries),
    ]


def run(burst: Burst, found: list[Stage], most: int | None = None) -> Outcome:
    """Simulate; `most` caps every stage's copies (1: nothing is scaled)."""
    scalers = {
        name: Scaler(policy if most is None else replace(policy, most=most))
        for name, policy in policies().items()
    }
    return drain(burst, found, scalers, RATES["pods"]["start_seconds"])


def report(outcome: Outcome) -> dict[str, Any]:
    return {
        "drained_seconds": round(outcome.drained_seconds, 1),
        "half_settled_seconds": outcome.within(0.5),
        "settled_99_percent_seconds": outcome.within(0.99),
        "most_copies": dict(outcome.most_copies),
        "most_waiting": {name: round(each) for name, each in outcome.most_waiting.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--over-seconds", type=float, default=0.0)
    parser.add_argument("--tenants", type=int, default=20)
    parser.add_argument("--call-seconds", type=float, default=0.2)
    parser.add_argument("--messages-a-call", type=float, default=1.0)
    parser.add_argument("--window", type=float, default=RATES["extractor"]["window"])
    given = parser.parse_args()
    burst = Burst(given.messages, given.over_seconds, given.tenants)
    found = stages(given.call_seconds, given.messages_a_call, given.window)
    figures = {"scaled": report(run(burst, found)), "one_copy_each": report(run(burst, found, 1))}
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
