"""Every route does what its document says, whatever is sent. Needs the extra `fuzz`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from tests.acceptance.instance import running
from tests.fuzz.documented import fuzz
from tests.fuzz.malformed import NO_LIMITS

_BOUNDED = ("--seed=1", "--generation-deterministic", "--max-examples=5")


@pytest.mark.nightly
def test_all_checks_of_schemathesis_pass_on_every_route(tmp_path: Path) -> None:
    if shutil.which("schemathesis", path=str(Path(sys.executable).parent)) is None:
        pytest.skip("schemathesis is not installed: make fuzz")
    with running(tmp_path / "data", **NO_LIMITS) as instance:
        assert fuzz(instance.url, instance.key, _BOUNDED, tmp_path) == 0
