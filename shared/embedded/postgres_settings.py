"""The texts PostgreSQL reads at its start: settings sized for this machine, and who may enter."""

import os
from pathlib import Path

MEGABYTE = 1024 * 1024
GIGABYTE = 1024 * MEGABYTE


def machine_memory_bytes() -> int:
    """Memory we may use: the machine's, or the container's limit where that is lower.

    Without the second a 512 MB container on a large host is sized like the host and killed.
    """
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            text = Path(path).read_text().strip()
        except OSError:
            continue
        if text.isdigit():  # "max" means no limit
            limits.append(int(text))
    return min(limits)


def settings_text(memory_bytes: int, *, socket_folder: Path, durable: bool) -> str:
    """postgresql.conf, written anew at every start; ALTER SYSTEM still overrides it.

    Buffers decide how fast the exact scan over one user's vectors is: with 350 MB of facts
    a 10,000-fact scan took 30 ms at 128 MB and 14 ms at 1 GB. A sixteenth of the memory, at
    most 1 GB, leaves the machine to the application we are a sidecar of. Parallel query is
    off: every query is about one user, the cores belong to the stages, and its shared memory
    overflows the 64 MB /dev/shm of a default container. JIT costs more than our short
    statements take. `max_wal_size` lets the stages' many updates run between checkpoints.
    """
    shared = min(GIGABYTE, max(32 * MEGABYTE, memory_bytes // 16))
    settings: dict[str, str | int] = {
        "listen_addresses": "",
        "unix_socket_directories": str(socket_folder),
        "unix_socket_permissions": "0700",
        "max_connections": 200,
        "shared_buffers": _megabytes(shared if durable else 128 * MEGABYTE),
        "effective_cache_size": _megabytes(max(2 * shared, memory_bytes // 2)),
        "maintenance_work_mem": _megabytes(max(16 * MEGABYTE, shared // 4)),
        "work_mem": "8MB",
        "max_wal_size": _megabytes(max(GIGABYTE, 2 * shared)),
        "jit": "off",
        "max_parallel_workers_per_gather": 0,
        "max_parallel_maintenance_workers": 0,
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_line_prefix": "%m [%p] %a ",
        "password_encryption": "scram-sha-256",
    }
    if not durable:
        # For tests that kill processes: the system's cache outlives them, so nothing is lost,
        # and only a crash of the machine would. Hence commits stay synchronous (else a killed
        # server forgets what it confirmed), and pages stay whole in the WAL (SIGKILL may
        # interrupt a write between its 4 kB halves).
        settings["fsync"] = "off"
    lines = [f"{name} = {_quoted(value)}" for name, value in settings.items()]
    return "# Written by Mémoire at every start. Use ALTER SYSTEM instead.\n" + _text(lines)


def access_text() -> str:
    """pg_hba.conf: the unix socket, by the kernel's word on who is calling; no network."""
    return _text(["local all all peer map=memoire"])


def identity_text(operating_system_user: str) -> str:
    """pg_ident.conf: only the user who runs Mémoire.

    Under root that is root alone, so another program of the account that lends PostgreSQL
    its uid (often `nobody`) does not get in.
    """
    return _text([f'memoire "{operating_system_user}" memoire'])


def _megabytes(count_bytes: int) -> str:
    return f"{count_bytes // MEGABYTE}MB"


def _quoted(value: str | int) -> str:
    return "'" + str(value).replace("'", "''") + "'"


def _text(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"
