"""The README's commands work as they stand there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.instance import environment, running

pytestmark = [pytest.mark.timeout(400), pytest.mark.long]

README = Path(__file__).parents[2] / "README.md"


def test_the_readmes_commands_run(tmp_path: Path) -> None:
    """Every block marked as bash runs against a fresh instance, and finds what was said."""
    said = run_blocks(README, tmp_path)
    assert "Lives in Lisbon" in said
    assert "Google" in said


def run_blocks(page: Path, tmp_path: Path) -> str:
    """Run a page's blocks marked as bash against a fresh instance; returns what they printed."""
    blocks = re.findall(r"```bash\n(.*?)```", page.read_text(), re.DOTALL)
    assert len(blocks) >= 2
    with running(tmp_path / "data") as instance:
        more = {
            "MEMOIRE_DATA_DIR": str(instance.data),
            "MEMOIRE_URL": instance.url,
            "MEMOIRE_API_KEY": instance.key,
        }
        env = environment(**more)
        env["PATH"] = f"{Path(sys.executable).parent}:{env['PATH']}"
        said = ""
        for block in blocks:
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", block],
                capture_output=True,
                text=True,
                env=env,
                check=False,
            )
            assert done.returncode == 0, done.stdout + done.stderr
            said += done.stdout
    return said
