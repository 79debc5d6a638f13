"""`memoire run` and `memoire migrate`: one process, and the schema it needs."""

from __future__ import annotations

import os
from pathlib import Path

from services.console.environment import read_settings
from services.console.errors import MISCONFIGURED, CommandError, explained


def run(process: str) -> None:
    """Run one process until it is told to stop."""
    _one_thread_each()  # before numpy is there
    import uvloop  # noqa: PLC0415

    from services.composition import run_process  # noqa: PLC0415  brings every stage's library
    from shared.errors import ConfigurationError  # noqa: PLC0415
    from shared.observability import configure_logging  # noqa: PLC0415

    # onnxruntime 1.32 reports its use to its vendor, and keeps an id of the machine in /tmp/.ses.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    settings = read_settings()
    configure_logging(settings.log_level, as_json=settings.log_json, process=process)
    try:
        uvloop.run(run_process(process, settings))
    except ConfigurationError as error:
        raise CommandError(str(error), MISCONFIGURED) from error


def _one_thread_each() -> None:
    """Have BLAS do its products where it is asked to: stages scale by processes.

    OpenBLAS takes a thread a core and lets them spin between products. Of the deduper's CPU at full
    load nine tenths were spent so.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def migrate(data_dir: Path | None) -> list[str]:
    """Bring the database to this version; the names of what was applied."""
    from services.console.servers import find_servers  # noqa: PLC0415
    from shared.migrate import migrate as apply  # noqa: PLC0415

    servers = find_servers(data_dir)
    if not servers.database_url:
        raise CommandError("MEMOIRE_DATABASE_URL is not set", MISCONFIGURED)
    with explained():
        return apply(servers.database_url)
