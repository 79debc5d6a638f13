"""How benchmarks print what they measured."""

from __future__ import annotations

import os
from typing import Any


def show(title: str, figures: dict[str, Any]) -> None:
    """Print one figure a line, beside the machine's load."""
    print(f"\n{title}")
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    for name, value in {**figures, "load average": load}.items():
        text = f"{value:.3f}" if isinstance(value, float) else str(value)
        print(f"  {name:<44} {text}", flush=True)
