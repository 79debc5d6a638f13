"""Which embedding models run in this process, by name (pure).

A name says how its weights are rounded: vectors of the same model at another precision, or asked
with other prefixes, are another space's.
"""

from __future__ import annotations

LOCAL_MODEL = "all-MiniLM-L6-v2-int8"
"""What embeds where nothing else is asked for: English."""
MULTILINGUAL_MODEL = "multilingual-e5-small-q4"
"""About a hundred languages; its package is an extra of its own."""

LOCAL_MODELS = (LOCAL_MODEL, MULTILINGUAL_MODEL)
_WITHOUT_PRECISION = {name.rpartition("-")[0]: name for name in LOCAL_MODELS}


def local_model(name: str) -> str | None:
    """The full name of a model that runs here, also by its short one; None for any other."""
    return name if name in LOCAL_MODELS else _WITHOUT_PRECISION.get(name)
