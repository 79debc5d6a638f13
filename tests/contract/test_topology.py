"""The tree, the table in `services/__init__.py` and the AsyncAPI document tell one story."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from faststream.specification import AsyncAPI

import services
import shared
from services.composition import STAGE_BUILDERS
from shared.broker import build_broker, subscribe
from shared.topology import PROCESSES, STAGES

ROOT = Path(__file__).parents[2]


def test_the_pipeline_table_names_what_each_group_reads() -> None:
    """Every consumer group of the AsyncAPI document stands in the table with its streams."""
    assert {stage: reads for stage, reads in _table().items() if stage in STAGES} == _groups()


def test_every_process_has_a_row_in_the_table() -> None:
    """Nobody can add a process and leave it out of the picture."""
    assert set(_table()) == set(PROCESSES)


def test_every_stage_has_a_folder_and_a_builder() -> None:
    """A stage is a folder with a consumer, a store and its queries."""
    assert set(STAGE_BUILDERS) == set(STAGES)
    for stage in STAGES:
        folder = ROOT / "services" / stage
        for name in ("consumer.py", "store.py", "queries.sql"):
            assert (folder / name).exists(), f"{stage}/{name}"


def test_our_shared_package_wins() -> None:
    """A package called `shared` exists elsewhere; what is imported is ours."""
    for package in (services, shared):
        assert package.__file__ is not None
        assert Path(package.__file__).is_relative_to(ROOT)
    assert importlib.util.find_spec("shared.topology") is not None


def _table() -> dict[str, set[str]]:
    assert services.__doc__ is not None
    rows = [line.split("|") for line in services.__doc__.splitlines() if line.count("|") == 2]
    return {
        cells[0].strip(): {stream.strip() for stream in cells[1].split(",")} for cells in rows[2:]
    }


def _groups() -> dict[str, set[str]]:
    broker = build_broker("redis://localhost:6379/0")

    async def deliver(_stream: str, _entries: object) -> None:
        return None

    for stage, streams in STAGES.items():
        for stream in streams:
            subscribe(
                broker,
                stream=stream,
                group=stage,
                consumer="any",
                batch=1,
                poll_ms=100,
                deliver=deliver,
            )
    document = AsyncAPI(broker, schema_version="3.0.0").to_specification().to_jsonable()
    groups: dict[str, set[str]] = {}
    for channel in document["channels"].values():
        group = channel["bindings"]["redis"]["groupName"]
        groups.setdefault(group, set()).add(channel["address"])
    return groups
