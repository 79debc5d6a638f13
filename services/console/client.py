"""The HTTP client of the command line: finds its server, and says clearly when there is none."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import httpx
import httpx_sse

from services.console.environment import read_settings
from services.console.errors import NOT_RUNNING, CommandError
from services.console.instance import key_path
from services.console.runtime import read_runtime
from services.console.servers import not_running

TIMEOUT_SECONDS = 30.0
_SILENCE_SECONDS = 40.0  # the server says something every 15


class RefusedError(CommandError):
    """The server answered with an error; `details` are those of its answer."""

    def __init__(
        self, status: int, code: str, message: str, details: Any, retry_after: str | None = None
    ) -> None:
        super().__init__(f"{message} ({code}, {status})")
        self.status = status
        self.code = code
        self.details = details
        self.retry_after_seconds = (
            int(retry_after) if retry_after and retry_after.isdecimal() else None
        )


class InterruptedStreamError(CommandError):
    """A stream that had begun broke off; going on behind its last event is safe."""


class Client:
    """JSON in, JSON out; every failure is a CommandError."""

    def __init__(self, url: str, key: str | None) -> None:
        self.url = url.rstrip("/")
        headers = {"X-API-Key": key} if key else {}
        local = httpx.URL(self.url).host in ("127.0.0.1", "localhost", "::1")
        self._http = httpx.Client(
            base_url=self.url, headers=headers, timeout=TIMEOUT_SECONDS, trust_env=not local
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(
        self, path: str, params: dict[str, Any] | None = None, *, patience: float = TIMEOUT_SECONDS
    ) -> Any:
        return self._call("GET", path, params=params, timeout=patience)

    def post(self, path: str, body: Any = None, *, headers: dict[str, str] | None = None) -> Any:
        return self._call("POST", path, json=body, headers=headers)

    def put(self, path: str, body: Any) -> Any:
        return self._call("PUT", path, json=body)

    def delete(self, path: str) -> Any:
        return self._call("DELETE", path)

    def events(self, path: str, params: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield each server-sent event's data with its `id`, as it comes; some have an id alone.

        Raises InterruptedStreamError where the server goes away, RefusedError where it refuses.
        """
        timeout = httpx.Timeout(TIMEOUT_SECONDS, read=_SILENCE_SECONDS)
        try:
            with httpx_sse.connect_sse(
                self._http, "GET", path, params=params, timeout=timeout
            ) as source:
                if source.response.is_error:
                    source.response.read()
                    raise _refused(source.response)
                for event in source.iter_sse():
                    yield {**(json.loads(event.data) if event.data else {}), "id": event.id}
        except httpx.HTTPError as error:
            raise InterruptedStreamError(
                f"nothing answers at {self.url}: {error or type(error).__name__}", NOT_RUNNING
            ) from error

    def _call(self, method: str, path: str, **rest: Any) -> Any:
        try:
            response = self._http.request(method, path, **rest)
        except httpx.ConnectError as error:
            raise CommandError(f"nothing answers at {self.url}: {error}", NOT_RUNNING) from error
        except httpx.HTTPError as error:
            raise CommandError(f"{self.url}{path}: {error or type(error).__name__}") from error
        if response.is_error:
            raise _refused(response)
        return response.json() if response.content else None


def _refused(response: httpx.Response) -> RefusedError:
    """The server's own words, where it is our server."""
    try:
        error = response.json()["error"]
        code, message = str(error["code"]), str(error["message"])
        details = error.get("details")
    except (ValueError, KeyError, TypeError):
        code, message, details = "http", f"{response.url} answers {response.status_code}", None
    if response.status_code == httpx.codes.UNAUTHORIZED:
        message += "; set MEMOIRE_API_KEY"
    retry_after = response.headers.get("Retry-After")
    return RefusedError(response.status_code, code, message, details, retry_after)


def connect(data_dir: Path | None = None) -> Client:
    """The server of MEMOIRE_URL and MEMOIRE_API_KEY, else the one that runs on the data folder.

    Raises CommandError (exit 3) when there is neither.
    """
    settings = read_settings(data_dir=data_dir)
    folder = settings.data_dir.expanduser().resolve()
    admin_key = settings.admin_key.get_secret_value() if settings.admin_key else None
    key = os.environ.get("MEMOIRE_API_KEY") or admin_key
    if data_dir is None and (url := os.environ.get("MEMOIRE_URL")):
        return Client(url, key)  # and never with the key of a data folder: that one is not theirs
    runtime = read_runtime(folder)
    if runtime is None:
        raise _no_server(folder)
    return Client(runtime.gateway_url, key or _kept_key(folder))


def _kept_key(folder: Path) -> str | None:
    path = key_path(folder)
    return path.read_text().strip() if path.exists() else None


def _no_server(folder: Path) -> CommandError:
    advice = str(not_running(folder)).partition(": ")[0]
    return CommandError(
        f"{advice}: start it with `memoire up`, or set MEMOIRE_URL and MEMOIRE_API_KEY",
        NOT_RUNNING,
    )
