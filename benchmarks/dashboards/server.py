"""A real Prometheus: started with the rules of `deploy/`, and asked what panels ask."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

from benchmarks.dashboards.drawing import Span
from benchmarks.instance import free_port, wait_for

_ROOT = Path(__file__).parents[2]
_RULES = _ROOT / "deploy" / "prometheus" / "rules"
_UNPACKED = _ROOT / ".venv" / "prometheus" / "usr" / "bin"
"""Where `make deploy-check` unpacks Debian's package."""

Found = tuple[dict[str, str], dict[float, float]]
"""A series: its labels, and its values by Unix time."""


def binary() -> str:
    """The program's path; raises FileNotFoundError, with what to do, where there is none."""
    places = os.pathsep.join([os.environ.get("PATH", ""), str(_UNPACKED)])
    if found := shutil.which("prometheus", path=places):
        return found
    raise FileNotFoundError("no prometheus on PATH; `make deploy-check` unpacks Debian's")


class Prometheus:
    """What is asked of it."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=60)

    def series(self, expression: str, span: Span) -> list[Found]:
        """Values over a stretch of time; what is not a number is left out, as a panel does."""
        asked = {"query": expression, "start": span.begin, "end": span.end, "step": span.step}
        answered = self._asked("/api/v1/query_range", asked)["result"]
        return [(each["metric"], dict(_numbers(each["values"]))) for each in answered]

    def values(self, query: str, span: Span) -> list[str]:
        """What a variable's `label_values(metric, label)` offers."""
        metric, label = query.removeprefix("label_values(").removesuffix(")").split(", ")
        asked = {"match[]": metric, "start": span.begin, "end": span.end}
        found: list[str] = self._asked(f"/api/v1/label/{label}/values", asked)
        return found

    def ready(self) -> bool:
        try:
            return self._client.get("/-/ready").status_code == 200
        except httpx.HTTPError:
            return False

    def _asked(self, path: str, asked: Mapping[str, Any]) -> Any:
        answer = self._client.get(path, params=dict(asked))
        if answer.status_code != 200:
            raise RuntimeError(f"{asked}: {answer.text}")
        return answer.json()["data"]


@contextmanager
def serving(
    folder: Path, targets: Mapping[str, Sequence[str]], every_seconds: int
) -> Iterator[Prometheus]:
    """Run one over a folder, which keeps what was read; `targets` are addresses by process."""
    folder.mkdir(parents=True, exist_ok=True)
    written = folder / "prometheus.yml"
    written.write_text(yaml.safe_dump(_configuration(targets, every_seconds)))
    address = f"127.0.0.1:{free_port()}"
    command = [binary(), f"--config.file={written}", f"--storage.tsdb.path={folder / 'data'}"]
    command += [f"--web.listen-address={address}", "--storage.tsdb.retention.time=30d"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    asked = Prometheus(f"http://{address}")
    try:
        wait_for(asked.ready, 60, f"Prometheus: see {folder / 'log'}")
        yield asked
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _configuration(targets: Mapping[str, Sequence[str]], every_seconds: int) -> dict[str, Any]:
    """That of compose, but for its addresses and how often it reads."""
    static = [
        {"targets": list(addresses), "labels": {"process": process}}
        for process, addresses in targets.items()
    ]
    interval = f"{every_seconds}s"
    return {
        "global": {"scrape_interval": interval, "evaluation_interval": interval},
        "rule_files": [f"{_RULES}/*.yml"],
        "scrape_configs": [{"job_name": "memoire", "static_configs": static}],
    }


def _numbers(values: Sequence[tuple[float, str]]) -> Iterator[tuple[float, float]]:
    for time, text in values:
        if text not in {"NaN", "+Inf", "-Inf"}:
            yield float(time), float(text)
