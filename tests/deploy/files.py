"""Reads what is tested here, and finds the tools that test it further where they are installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
K8S = ROOT / "deploy" / "k8s"
OVERLAYS = ("try", "production")


def documents(path: Path) -> list[dict[str, Any]]:
    """The YAML documents of a file."""
    return [each for each in yaml.safe_load_all(path.read_text("utf-8")) if each]


def resources_below(folder: Path) -> Iterator[dict[str, Any]]:
    """Every object that a folder's kustomization names as a resource, and what lies below."""
    for name in documents(folder / "kustomization.yaml")[0].get("resources", []):
        path = folder / name
        if path.is_dir():
            yield from resources_below(path.resolve())
        else:
            yield from documents(path)


def of_kind(found: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    """Objects of a kind, by name."""
    return {each["metadata"]["name"]: each for each in found if each["kind"] == kind}


def tool(name: str, *beside: str) -> str:
    """A tool's path: beside this Python, elsewhere in its packages, or on PATH.

    Skips the test where there is none, unless MEMOIRE_DEPLOY_TOOLS names it (`make deploy-check`).
    """
    places = [str(Path(sys.executable).parent), *beside, os.environ.get("PATH", "")]
    if found := shutil.which(name, path=os.pathsep.join(places)):
        return found
    if name in os.environ.get("MEMOIRE_DEPLOY_TOOLS", "").split():
        pytest.fail(f"{name} is not installed: see `make deploy-check`")
    pytest.skip(f"{name} is not installed")


def ran(*command: str, cwd: Path = ROOT) -> str:
    """What a command prints; fails the test with that where it fails."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@cache
def built(overlay: str) -> list[dict[str, Any]]:
    """An overlay as `kubectl apply -k` would send it."""
    text = ran(tool("kubectl"), "kustomize", str(K8S / "overlays" / overlay))
    return [each for each in yaml.safe_load_all(text) if each]
