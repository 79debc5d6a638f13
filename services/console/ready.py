"""Waiting for the gateway to answer."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request

POLL_SECONDS = 0.1


def wait_until_ready(gateway_url: str, timeout_seconds: float, stopping: threading.Event) -> bool:
    """Whether /v1/health/ready answered 200 in time; gives up when `stopping` is set."""
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline and not stopping.is_set():
        if is_ready(gateway_url):
            return True
        stopping.wait(POLL_SECONDS)
    return False


def is_ready(gateway_url: str) -> bool:
    """Whether it serves right now. Asked without any proxy: it is our own machine."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"{gateway_url}/v1/health/ready", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def embedding_warning(gateway_url: str) -> str | None:
    """What the gateway's health says is wrong with the embedding model it was configured with."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"{gateway_url}/v1/health", timeout=2) as answer:
            found = json.load(answer).get("embeddings", {}).get("warning")
    except (urllib.error.URLError, OSError, ValueError):
        return None
    return str(found) if found else None
