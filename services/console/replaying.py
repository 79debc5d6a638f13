"""`memoire replay`: user by user, what is made and what becomes of it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from services.console import replay_screen as screens
from services.console.environment import read_settings
from services.console.errors import FAILED, MISCONFIGURED, CommandError, explained
from services.console.servers import find_servers

if TYPE_CHECKING:
    from services.extractor.replay.diff import Diff
    from services.extractor.replay.plan import Estimate
    from services.extractor.replay.reading import Outcome
    from services.extractor.replay.store import Scope
    from services.extractor.replay.work import Replayer
    from shared.settings import Settings

Decision = Literal["ask", "promote", "drop", "keep"]
_USERS_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line asks for."""

    users: Sequence[str]
    everybody: bool = False
    tenant: str = "default"
    session: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    prompt: str | None = None
    model: str | None = None
    extractor: str | None = None
    dry_run: bool = False
    decision: Decision = "ask"
    sure: bool = False
    as_json: bool = False
    promote_generation: int | None = None
    drop_generation: int | None = None
    list_generations: bool = False
    data: Path | None = field(default=None)

    @property
    def interactive(self) -> bool:
        return not self.as_json and sys.stdin.isatty() and sys.stdout.isatty()


def moment(text: str, option: str) -> datetime:
    """Read a day or a time; a day begins at midnight UTC."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise CommandError(
            f"{option} {text}: a day (2026-05-01) or a time (2026-05-01T10:00:00Z)", MISCONFIGURED
        ) from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def decision_of(*, promote: bool, drop: bool, keep: bool) -> Decision:
    chosen: list[Decision] = []
    chosen += ["promote"] if promote else []
    chosen += ["drop"] if drop else []
    chosen += ["keep"] if keep else []
    if len(chosen) > 1:
        raise CommandError("--promote, --drop or --keep: only one of them", MISCONFIGURED)
    return chosen[0] if chosen else "ask"


def replay(wanted: Wanted) -> int:
    """Do what is wanted for every user; returns the exit code: 1 when some user failed."""
    from services.extractor.replay.prompts import named  # noqa: PLC0415
    from shared.errors import ConfigurationError, MemoireError  # noqa: PLC0415

    if bool(wanted.users) == wanted.everybody:
        raise CommandError("say whose: --user USER, or --all-users", MISCONFIGURED)
    with explained():
        settings = _settings(wanted)
        prompt = named(wanted.prompt)
        try:
            return asyncio.run(_run(wanted, settings, prompt))
        except ConfigurationError:
            raise
        except MemoireError as error:
            raise CommandError(str(error)) from error


def _settings(wanted: Wanted) -> Settings:
    """The settings with the servers found, and the model and extractor named."""
    servers = find_servers(wanted.data)
    if servers.redis_url is None:
        raise CommandError("MEMOIRE_REDIS_URL is not set", MISCONFIGURED)
    settings = read_settings(
        database_url=servers.database_url,
        redis_url=servers.redis_url,
        llm_model=wanted.model,
        extractor=wanted.extractor,
    )
    if not settings.uses_model and (wanted.model or wanted.prompt):
        raise CommandError(
            "--model and --prompt are a chat model's, and none is configured: set "
            "MEMOIRE_LLM_BASE_URL or MEMOIRE_LLM_API_KEY, or say --extractor llm",
            MISCONFIGURED,
        )
    return settings


async def _run(wanted: Wanted, settings: Settings, prompt: str) -> int:
    from services.extractor.replay.store import Scope  # noqa: PLC0415
    from services.row_commands import replayer  # noqa: PLC0415

    async with replayer(settings, prompt) as replays:
        users = dict.fromkeys(wanted.users)
        if wanted.everybody:
            users = dict.fromkeys(await replays.users(wanted.tenant))
        scopes = [
            Scope(wanted.tenant, user, wanted.session, wanted.since, wanted.until) for user in users
        ]
        command = Command(wanted, replays)
        reports = await _side_by_side(
            command.one, scopes, 1 if wanted.interactive else _USERS_AT_ONCE
        )
    if wanted.as_json:
        screens.print_reports(reports)
    failures = [report for report in reports if "error" in report]
    if failures and not wanted.as_json:
        screens.print_failures(failures)
    return FAILED if failures else 0


async def _side_by_side(
    action: Callable[[Scope], Awaitable[dict[str, Any]]], scopes: Sequence[Scope], most: int
) -> list[dict[str, Any]]:
    """Act for every user, so many at once; one that is refused stops no other."""
    from shared.errors import ConfigurationError, MemoireError  # noqa: PLC0415

    room = asyncio.Semaphore(most)

    async def act(scope: Scope) -> dict[str, Any]:
        async with room:
            try:
                return await action(scope)
            except ConfigurationError:
                raise
            except MemoireError as error:
                return {"user_id": scope.user, "error": str(error)}

    return list(await asyncio.gather(*map(act, scopes)))


class Command:
    """One invocation, user by user."""

    def __init__(self, wanted: Wanted, replays: Replayer) -> None:
        self._wanted = wanted
        self._replays = replays

    async def one(self, scope: Scope) -> dict[str, Any]:
        wanted = self._wanted
        if wanted.list_generations:
            return await self._listed(scope)
        if wanted.dry_run:
            estimate = await self._replays.estimate(scope)
            return self._told(scope, {"state": "dry_run"} | asdict(estimate), estimate=estimate)
        async with self._replays.holding(scope) as holder:
            if wanted.promote_generation is not None:
                return await self._promoted(scope, wanted.promote_generation)
            if wanted.drop_generation is not None:
                return await self._dropped(scope, wanted.drop_generation)
            estimate = await self._replays.estimate(scope)
            self._agree(scope, estimate)
            with screens.progress(scope.user, quiet=wanted.as_json) as advance:
                outcome = await self._replays.make(holder, scope, advance)
            diff = await self._replays.differences(scope, outcome.generation)
            return await self._decided(scope, estimate, outcome, diff)

    def _agree(self, scope: Scope, estimate: Estimate) -> None:
        """Before money is spent somebody agrees: at the terminal, or by --yes."""
        if not estimate.calls or self._wanted.sure:
            return
        asked = (
            f"{scope.user}: {estimate.calls} calls, about {estimate.input_tokens} tokens of input"
        )
        if not self._wanted.interactive:
            raise CommandError(f"{asked}: say --yes to make them", MISCONFIGURED)
        screens.confirm(f"{asked}. Make them?")

    async def _decided(
        self, scope: Scope, estimate: Estimate, outcome: Outcome, diff: Diff
    ) -> dict[str, Any]:
        from services.extractor.replay import ReplayRefusedError  # noqa: PLC0415
        from services.extractor.replay.work import shown  # noqa: PLC0415

        report = asdict(estimate) | shown(outcome) | {"diff": screens.diff_as_json(diff)}
        if not self._wanted.as_json:
            screens.print_diff(scope.user, outcome, diff)
        decision = self._wanted.decision
        if decision == "ask":
            decision = screens.ask_decision() if self._wanted.interactive else "keep"
        if decision == "promote" and outcome.dead and not self._wanted.interactive:
            raise ReplayRefusedError(
                f"{outcome.dead} facts of {scope.user} are dead letters, so generation "
                f"{outcome.generation} is kept, not promoted: see `memoire dead list`"
            )
        if decision == "promote":
            return report | await self._promoted(scope, outcome.generation)
        if decision == "drop":
            return report | await self._dropped(scope, outcome.generation)
        return self._told(scope, report | {"state": "ready"}, kept=outcome.generation)

    async def _promoted(self, scope: Scope, generation: int) -> dict[str, Any]:
        await self._replays.promote(scope, generation)
        return self._told(scope, {"state": "promoted", "generation": generation})

    async def _dropped(self, scope: Scope, generation: int) -> dict[str, Any]:
        facts = await self._replays.drop(scope, generation)
        report = {"state": "dropped", "generation": generation, "dropped_facts": facts}
        return self._told(scope, report)

    async def _listed(self, scope: Scope) -> dict[str, Any]:
        rows = await self._replays.generations(scope)
        if not self._wanted.as_json:
            screens.print_generations(scope.user, rows)
        return {"user_id": scope.user, "generations": rows}

    def _told(
        self,
        scope: Scope,
        report: dict[str, Any],
        *,
        estimate: Estimate | None = None,
        kept: int | None = None,
    ) -> dict[str, Any]:
        if not self._wanted.as_json:
            if estimate is not None:
                screens.print_estimate(scope.user, estimate)
            else:
                screens.print_state(scope.user, report["state"], report.get("generation"), kept)
        return {"user_id": scope.user, **report}
