"""Everything as it runs in earnest: two servers, every process several times, proxies between.

Servers and processes are started and revived by the main thread (whoever forks must outlive its
children); clients, faults, proxies and the model server live in a loop of their own beside it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import uvloop

from services.console.children import Child, Program
from shared.embedded import EmbeddedPostgres, EmbeddedServerError, EmbeddedValkey
from shared.migrate import migrate
from shared.topology import PROCESSES
from tests.acceptance.instance import environment, free_port
from tests.chaos.provider import Provider
from tests.chaos.proxy import Proxy, tcp, unix

Outcome = TypeVar("Outcome")
_TICK_SECONDS = 0.02
_STOP_SECONDS = 10.0
ADMIN_KEY = "mem_chaos"
COMMAND = (sys.executable, "-P", "-m", "services.cli", "run")


@dataclass(frozen=True, slots=True)
class Member:
    """One process to run: which, with what more in its environment, and how it is started."""

    process: str
    env: Mapping[str, str] = field(default_factory=dict)
    command: Sequence[str] = COMMAND


def two_of_each(copies: int = 2) -> list[Member]:
    return [Member(process) for process in PROCESSES for _ in range(copies)]


class Instance:
    """Servers, proxies, the model server, and processes that are started again when they die."""

    def __init__(
        self,
        data: Path,
        postgres: EmbeddedPostgres,
        valkey: EmbeddedValkey,
        settings: Mapping[str, str],
        *,
        proxied: bool = True,
    ) -> None:
        """`proxied`: processes reach the servers through proxies, whose faults are the network's.

        All of them are one loop of Python's, shared with clients and model: too slow to measure by.
        """
        self.data = data
        self._proxied = proxied
        self.servers = {"postgres": postgres, "valkey": valkey}
        self.provider = Provider()
        socket_folder = parse_qs(urlsplit(postgres.url).query)["host"][0]
        self.proxies = {
            "postgres": Proxy(unix(f"{socket_folder}/.s.PGSQL.5432")),
            "redis": Proxy(tcp("127.0.0.1", urlsplit(valkey.url).port or 0)),
        }
        self.gateways: list[str] = []
        self._settings = settings
        self._children: dict[str, Child] = {}
        self._wanted: list[tuple[str, Member]] = []
        self._unwanted: set[str] = set()
        self._held: set[str] = set()

    # ---- addresses

    @property
    def database_url(self) -> str:
        """PostgreSQL itself, past the proxy."""
        return self.servers["postgres"].url

    @property
    def redis_url(self) -> str:
        """Redis itself, past the proxy."""
        return self.servers["valkey"].url

    @property
    def proxied_database_url(self) -> str:
        port = self.proxies["postgres"].port
        return f"postgresql://memoire@127.0.0.1:{port}/memoire?sslmode=disable&gssencmode=disable"

    @property
    def proxied_redis_url(self) -> str:
        parts = urlsplit(self.redis_url)
        return f"redis://:{parts.password}@127.0.0.1:{self.proxies['redis'].port}/0"

    # ---- processes

    def add(self, members: Sequence[Member]) -> None:
        """Have these run too, from the next tick on."""
        for member in members:
            taken = {*self._children, *(label for label, _ in self._wanted)}
            numbers = (n for n in range(1, 1_000) if f"{member.process}-{n}" not in taken)
            self._wanted.append((f"{member.process}-{next(numbers)}", member))

    def dismiss(self, label: str) -> None:
        """Have a process end (SIGTERM) and not come back."""
        self._unwanted.add(label)
        self.signal(label, signal.SIGTERM)

    def labels(self, process: str = "") -> list[str]:
        """The processes that live just now."""
        return [label for label, child in list(self._children.items()) if child.pid
                and label.startswith(process)]  # fmt: skip

    def pid(self, label: str) -> int | None:
        child = self._children.get(label)
        return child.pid if child else None

    def signal(self, label: str, number: int) -> int | None:
        """Send a signal to a process; its pid, or None when it is dead just now."""
        pid = self.pid(label)
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        return pid

    # ---- servers

    def kill_server(self, name: str, number: int, *, hold: bool = False) -> None:
        """End a server; held, it stays away until released."""
        if hold:
            self._held.add(name)
        pid = self.servers[name].pid
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def hold(self, name: str) -> None:
        self._held.add(name)

    def release(self, name: str) -> None:
        self._held.discard(name)

    def server_up(self, name: str) -> bool:
        return self.servers[name].poll() is None

    # ---- the main thread's part

    def tick(self) -> None:
        """Look once at everybody: servers first, for the processes need them."""
        for name, server in self.servers.items():
            if server.poll() is not None and name not in self._held:
                with suppress(EmbeddedServerError):  # the next tick tries again
                    server.restart_if_dead()
        while self._wanted:
            label, member = self._wanted.pop(0)
            self._children[label] = Child(self._program(label, member), label, self.data)
        for label, child in list(self._children.items()):
            child.note_death()
            if label in self._unwanted and child.pid is None:
                del self._children[label]
                self._unwanted.discard(label)
            elif label not in self._unwanted:
                child.start_if_due()

    def _program(self, label: str, member: Member) -> Program:
        env = environment(
            MEMOIRE_DATABASE_URL=(
                self.proxied_database_url if self._proxied else self.database_url
            ),
            MEMOIRE_REDIS_URL=self.proxied_redis_url if self._proxied else self.redis_url,
            MEMOIRE_ADMIN_KEY=ADMIN_KEY,
            MEMOIRE_LLM_BASE_URL=self.provider.url,
            MEMOIRE_LLM_API_KEY="fake",
            MEMOIRE_EMBED_BASE_URL=self.provider.url,
            MEMOIRE_EMBED_API_KEY="fake",
            **self._settings,
            **member.env,
        )
        if member.process == "gateway":
            port = free_port()
            env["MEMOIRE_PORT"] = str(port)
            self.gateways.append(f"http://127.0.0.1:{port}")
        return Program(member.process, [*member.command, member.process], env)

    def run(self, work: Callable[[Instance], Awaitable[Outcome]]) -> Outcome:
        """Do the work in a loop of its own, keeping everybody alive meanwhile; its outcome."""
        done: list[Any] = []

        async def beside() -> None:
            await self.provider.start()
            for proxy in self.proxies.values():
                await proxy.start()
            try:
                done.append(await work(self))
            finally:
                for proxy in self.proxies.values():
                    await proxy.stop()
                await self.provider.stop()

        thread = threading.Thread(target=_capture, args=(beside, done), name="chaos")
        thread.start()
        while thread.is_alive():
            self.tick()
            thread.join(_TICK_SECONDS)
        if isinstance(done[-1], BaseException):
            raise done[-1]
        outcome: Outcome = done[0]
        return outcome

    def stop(self) -> None:
        """End all processes: SIGTERM, and SIGKILL for who does not listen."""
        for child in self._children.values():
            for number in (signal.SIGCONT, signal.SIGTERM):
                child.send(number)
        deadline = time.monotonic() + _STOP_SECONDS
        while time.monotonic() < deadline and self.labels():
            time.sleep(0.05)
        for child in self._children.values():
            child.kill()


def _capture(work: Callable[[], Awaitable[None]], done: list[Any]) -> None:
    try:
        uvloop.run(work())
    except BaseException as error:  # noqa: BLE001  raised where it is waited for
        done.append(error)


@contextmanager
def built(data: Path, settings: Mapping[str, str], *, proxied: bool = True) -> Iterator[Instance]:
    """Start the two servers, migrated; processes are added by the caller."""
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    with ExitStack() as stack:
        postgres = stack.enter_context(EmbeddedPostgres(data))
        valkey = stack.enter_context(EmbeddedValkey(data))
        migrate(postgres.url)
        instance = Instance(data, postgres, valkey, settings, proxied=proxied)
        stack.callback(instance.stop)
        yield instance
