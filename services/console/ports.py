"""Which port the gateway listens on: the one asked for, or a free one."""

import secrets
import socket

from services.console.errors import CommandError

# Below the ephemeral ports of Linux (32768) and macOS (49152): no outgoing connection of ours can
# be given this port between our look and the gateway's start.
FREE_PORTS = range(20_000, 32_768)


def listening_port(host: str, port: int) -> int:
    """The port itself if nobody listens there, a free one for 0; else CommandError."""
    if port == 0:
        return _free_port(host)
    problem = _problem(host, port)
    if problem:
        raise CommandError(
            f"cannot listen on {host}:{port} ({problem}): stop what listens there, or choose "
            "another with --port (0 takes a free one)"
        )
    return port


def _free_port(host: str) -> int:
    for _ in range(1_000):
        port = secrets.choice(FREE_PORTS)
        if _problem(host, port) is None:
            return port
    raise CommandError(f"no free port on {host} between {FREE_PORTS[0]} and {FREE_PORTS[-1]}")


def _problem(host: str, port: int) -> str | None:
    """Why we cannot listen there; asked with SO_REUSEADDR, as uvicorn will."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            return error.strerror or str(error)
    return None


def url_of(host: str, port: int) -> str:
    """Where a client on this machine reaches it, also when it listens on every address."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104  a lookup
    if ":" in reachable and not reachable.startswith("["):
        reachable = f"[{reachable}]"
    return f"http://{reachable}:{port}"
