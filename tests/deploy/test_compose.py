"""compose.yaml: every process, what it waits for, its secrets, and what the world sees."""

from __future__ import annotations

import importlib.util
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.setting_files import variables
from shared.settings import Settings
from shared.topology import PROCESSES
from tests.deploy.files import ROOT, ran, tool
from tests.deploy.test_image import PINNED

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: each for name, each in SERVICES.items() if each["image"].startswith("memoire:")}
KNOWN = {
    variable + suffix
    for name, field in Settings.model_fields.items()
    for variable in variables("MEMOIRE_", name, field)
    for suffix in ("", "_FILE")
}
OF_CLIENTS = {"MEMOIRE_URL"}
"""Read by the command line, not by a process."""


def test_every_process_is_a_service():
    """And runs what it is called."""
    assert set(OURS) == {*PROCESSES, "migrate"}
    assert all(SERVICES[name]["command"] == ["run", name] for name in PROCESSES)
    assert SERVICES["migrate"]["command"] == ["migrate"]


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_waits_for_exists_and_can_be_waited_for(name: str):
    """`healthy` needs a health check, and the migration comes first."""
    waits = SERVICES[name].get("depends_on", {})
    for other, how in waits.items():
        if how["condition"] == "service_healthy":
            assert "test" in SERVICES[other]["healthcheck"]
    if name in PROCESSES:
        assert waits["migrate"]["condition"] == "service_completed_successfully"
        assert {"postgres", "redis"} <= set(waits)


def test_only_the_gateway_and_grafana_are_published_and_only_here():
    """On the loopback, until somebody says otherwise."""
    published = {name: each["ports"] for name, each in SERVICES.items() if "ports" in each}
    assert set(published) == {"gateway", "grafana"}
    assert all(":-127.0.0.1:" in port for ports in published.values() for port in ports)
    assert all(each.get("networks") for each in SERVICES.values())


@pytest.mark.parametrize("name", OURS)
def test_our_processes_have_no_rights(name: str):
    """A root file system that cannot be written, no capabilities, no new privileges."""
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_the_images_of_others_are_pinned():
    """By tag and digest."""
    others = [each["image"] for each in SERVICES.values() if each not in OURS.values()]
    assert len(others) == 4
    assert all(PINNED.match(image) for image in others)


@pytest.mark.parametrize("name", OURS)
def test_settings_and_secrets_are_those_the_code_knows(name: str):
    """What a `_FILE` names is mounted, and nothing is mounted that nobody reads."""
    service = SERVICES[name]
    given: dict[str, str] = service["environment"]
    assert set(given) <= KNOWN | OF_CLIENTS, set(given) - KNOWN - OF_CLIENTS
    read = {Path(value).name for key, value in given.items() if key.endswith("_FILE")}
    assert read == set(service["secrets"])
    Settings.model_validate(
        {
            key.removeprefix("MEMOIRE_").lower(): re.sub(r"^\$\{\w+:-(.*)\}$", r"\1", value)
            for key, value in given.items()
            if not key.endswith("_FILE")
        }
    )


def test_a_stopping_process_has_the_time_it_takes():
    """Docker's patience is longer than the process' own."""
    for name in PROCESSES:
        grace = float(SERVICES[name]["environment"]["MEMOIRE_STOP_GRACE_SECONDS"])
        assert int(SERVICES[name]["stop_grace_period"].removesuffix("s")) >= grace + 15


def test_every_secret_is_made_by_the_script_and_used(tmp_path: Path):
    """Twice run, it makes nothing new; the folder is its owner's, the files are readable."""
    shutil.copytree(ROOT / "deploy" / "redis", tmp_path / "redis")
    (tmp_path / "compose").mkdir()
    script = tmp_path / "compose" / "secrets.sh"
    shutil.copy(ROOT / "deploy" / "compose" / "secrets.sh", script)
    ran("sh", str(script), cwd=tmp_path)
    folder = tmp_path / "compose" / "secrets"
    made = {path.name: path.read_text() for path in folder.iterdir()}
    declared = COMPOSE["secrets"]
    assert {Path(each["file"]).name for each in declared.values()} <= set(made)
    assert all(name == Path(each["file"]).name for name, each in declared.items())
    assert set(declared) == {
        secret for each in SERVICES.values() for secret in each.get("secrets", [])
    }
    ran("sh", str(script), cwd=tmp_path)
    assert made == {path.name: path.read_text() for path in folder.iterdir()}
    assert folder.stat().st_mode & 0o777 == 0o700
    assert "PASSWORD" not in made["redis_acl"]


def test_what_is_mounted_from_here_exists():
    for service in SERVICES.values():
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            exists = (ROOT / source).exists() if source.startswith(".") else True
            assert exists or source in COMPOSE["volumes"], mount


def test_prometheus_asks_every_process():
    """By the names that compose gives them, on the port that the image exposes."""
    scraped = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text("utf-8"))
    (found,) = scraped["scrape_configs"][0]["dns_sd_configs"]
    assert set(found["names"]) == set(PROCESSES)
    assert found["port"] == 9464


def test_compose_itself_agrees(tmp_path: Path):
    """`docker-compose config` reads it, with every variable's default."""
    spec = importlib.util.find_spec("compose")
    beside = list(spec.submodule_search_locations or ()) if spec else []
    # The package's own launcher forgets the exit code: the binary beside it is asked.
    binary = tool("docker-compose", *beside)
    packaged = next((Path(each) / "docker-compose" for each in beside), Path(binary))
    ran(str(packaged), "--file", str(ROOT / "compose.yaml"), "config", "--quiet", cwd=tmp_path)
