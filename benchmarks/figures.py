"""How figures are shown, beside the load of the machine they were measured on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any


def show(title: str, figures: dict[str, Any]) -> None:
    """Print one figure a line, beside the machine's load."""
    print(f"\n{title}")
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    for name, value in {**figures, "load average": load}.items():
        text = f"{value:.3f}" if isinstance(value, float) else str(value)
        print(f"  {name:<44} {text}", flush=True)


def quantile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
