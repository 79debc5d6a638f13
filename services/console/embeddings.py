"""`memoire embeddings`: whose vectors count, and changing the model, straight on PostgreSQL."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from services.console import replay_screen as screens
from services.console.environment import read_settings
from services.console.errors import FAILED, MISCONFIGURED, CommandError, explained
from services.console.screen import print_json, screen, table
from services.console.servers import find_servers

if TYPE_CHECKING:
    from services.embedder.migration.work import Estimate, Migration, Outcome
    from services.models import Models
    from shared.settings import Settings
    from shared.spaces.law import Address, Spaces

Result = TypeVar("Result")
_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line asks for."""

    model: str
    base_url: str | None = None
    dimensions: int | None = None
    dry_run: bool = False
    switch: bool = True
    leave_refused: bool = False
    sure: bool = False
    as_json: bool = False
    data: Path | None = None


def _with_migration(
    data: Path | None, action: Callable[[Migration, Models, Settings], Awaitable[Result]]
) -> Result:
    """Act on the database in question; what is refused is one sentence."""
    from services.row_commands import migration  # noqa: PLC0415
    from shared.errors import ConfigurationError, MemoireError  # noqa: PLC0415

    async def run(settings: Settings) -> Result:
        async with migration(settings) as (work, models):
            return await action(work, models, settings)

    with explained():
        settings = read_settings(database_url=find_servers(data).database_url)
        try:
            return asyncio.run(run(settings))
        except ConfigurationError:
            raise
        except MemoireError as error:
            raise CommandError(str(error)) from error


# ---- looking


def read_spaces(data: Path | None) -> dict[str, Any]:
    """Every space with its vectors, and which model this shell has configured."""

    async def read(work: Migration, models: Models, _settings: Settings) -> dict[str, Any]:
        spaces = await work.spaces()
        facts, vectors = await work.counts()
        return {
            "active_model": spaces.active.model,
            "configured_model": models.embedding_model,
            "facts": facts,
            "spaces": [
                {
                    "model": space.model,
                    "state": space.state,
                    "base_url": space.address.base_url,
                    "dimensions": space.dimensions,
                    "vectors": vectors.get(space.model, 0),
                }
                for space in spaces.every
            ],
        }

    return _with_migration(data, read)


def print_spaces(found: dict[str, Any]) -> None:
    from shared.spaces.embedders import mismatch  # noqa: PLC0415

    numbers = ("dimensions", "vectors", "of all facts")
    shown = table(None, "model", "state", *numbers, "server", right=numbers)
    for space in found["spaces"]:
        share = f"{space['vectors'] / found['facts']:.1%}" if found["facts"] else "–"
        shown.add_row(
            space["model"], space["state"], str(space["dimensions"] or "–"),
            f"{space['vectors']:,}", share, space["base_url"] or "–",
        )  # fmt: skip
    screen().print(shown)
    active, configured = found["active_model"], found["configured_model"]
    if active != configured:
        screen().print(f"! {mismatch(active, configured)}")


# ---- changing


def migrate(asked: Wanted) -> int:
    """Change the model, or say what that would cost; returns the exit code."""

    async def run(work: Migration, models: Models, settings: Settings) -> int:
        spaces = await work.spaces()
        wanted = _fully_named(asked, spaces)
        if spaces.active.model == wanted.model:
            return _told_active(wanted)
        address = _address(wanted, spaces, settings)
        embedder = await models.embedder("migration", address)
        estimate = await work.estimate(address, embedder)
        price = settings.embed_price * estimate.tokens / 1e6 if address.remote else 0.0
        if wanted.dry_run:
            return _told_estimate(wanted, address, estimate, price)
        _agree(wanted, address, estimate, price)
        with screens.progress(address.model, quiet=wanted.as_json) as advance:
            outcome = await work.migrate(
                address,
                embedder,
                lambda done, of: advance("vectors", done, of),
                switch=wanted.switch,
                leave_refused=wanted.leave_refused,
            )
        return _told(wanted, outcome)

    return _with_migration(asked.data, run)


def _fully_named(asked: Wanted, spaces: Spaces) -> Wanted:
    """With the whole name of a model that runs here, unless another is known by the short one."""
    from shared.local_models import local_model  # noqa: PLC0415

    if asked.base_url is not None or spaces.of(asked.model) is not None:
        return asked
    return replace(asked, model=local_model(asked.model) or asked.model)


def _address(wanted: Wanted, spaces: Spaces, settings: Settings) -> Address:
    """Where the model is asked: as said, as it was asked before, or at the configured server."""
    from shared.embeddings import OPENAI_BASE_URL  # noqa: PLC0415
    from shared.local_models import LOCAL_MODELS  # noqa: PLC0415
    from shared.spaces.law import Address  # noqa: PLC0415

    if wanted.model in LOCAL_MODELS and wanted.base_url is None:
        return Address(wanted.model)
    known = spaces.of(wanted.model)
    url = wanted.base_url or (known.address.base_url if known else None) or settings.embed_base_url
    if url is None and settings.embed_api_key is None:
        raise CommandError(
            f"{wanted.model} does not run in this process ({' and '.join(LOCAL_MODELS)} do): say "
            "where it is served, by --base-url or MEMOIRE_EMBED_BASE_URL, or set "
            "MEMOIRE_EMBED_API_KEY",
            MISCONFIGURED,
        )
    asked = wanted.dimensions or (known.address.asked_dimensions if known else None)
    return Address(wanted.model, True, url or OPENAI_BASE_URL, asked)


def _told_active(wanted: Wanted) -> int:
    """Whoever was killed behind the switch, and asks again, has what he asked for."""
    if wanted.as_json:
        print_json({"model": wanted.model, "active": True, "switched": False, "problem": None})
    else:
        screen().print(f"{wanted.model} is active already")
    return 0


def _cost(address: Address, estimate: Estimate, price: float) -> str:
    about = f"{estimate.facts:,} facts, about {estimate.tokens:,} tokens"
    money = f", {price:,.4f} of your currency" if price else ""
    return f"{address.model} ({estimate.dimensions} dimensions): {about}{money}"


def _told_estimate(wanted: Wanted, address: Address, estimate: Estimate, price: float) -> int:
    if wanted.as_json:
        print_json({"model": address.model, **asdict(estimate), "money": price, "dry_run": True})
    else:
        screen().print(f"{_cost(address, estimate, price)}. Nothing was written.")
    return 0


def _agree(wanted: Wanted, address: Address, estimate: Estimate, price: float) -> None:
    """Before a server is paid somebody agrees: at the terminal, or by --yes."""
    if wanted.sure or not address.remote or not estimate.facts:
        return
    if wanted.as_json or not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise CommandError(
            f"{_cost(address, estimate, price)}: say --yes to embed them", MISCONFIGURED
        )
    screens.confirm(f"{_cost(address, estimate, price)}. Embed them?")


def _told(wanted: Wanted, outcome: Outcome) -> int:
    """Say what became of it; returns the exit code."""
    problem = _problem(wanted, outcome)
    if wanted.as_json:
        report = asdict(outcome) | {"refused": sorted(outcome.refused)}
        print_json(report | {"waiting": sorted(outcome.waiting), "problem": problem})
    elif problem:
        raise CommandError(problem)
    elif outcome.switched:
        screen().print(
            f"{outcome.embedded:,} facts embedded; {outcome.model} is active now. Configure it: "
            f"{_settings_of(outcome.model)}"
        )
    else:
        screen().print(
            f"{outcome.embedded:,} facts embedded; all have a vector of {outcome.model}. The same "
            "command without --no-switch makes it the active one."
        )
    return FAILED if problem else 0


def _settings_of(model: str) -> str:
    from shared.local_models import LOCAL_MODELS  # noqa: PLC0415

    here = "MEMOIRE_EMBEDDINGS=local " if model in LOCAL_MODELS else ""
    return f"{here}MEMOIRE_EMBED_MODEL={model}"


def _problem(wanted: Wanted, outcome: Outcome) -> str | None:
    """Why the model is not active yet, where it should be."""
    if outcome.waiting:
        return (
            f"today's budget of {', '.join(sorted(outcome.waiting))} is spent: "
            "the same command goes on tomorrow"
        )
    if outcome.refused and not wanted.leave_refused:
        some = ", ".join(sorted(outcome.refused)[:_MOST_NAMED])
        return (
            f"{outcome.model} refuses {len(outcome.refused)} facts ({some}): with --leave-refused "
            "they are found by their words alone"
        )
    if wanted.switch and not outcome.switched:
        return (
            f"the embedder cannot ask {outcome.model}, so new facts lack its vectors: its log says "
            "why. The same command goes on"
        )
    return None


def cancel(data: Path | None) -> str:
    """Give up the change that is under way; the model's name."""
    return _with_migration(data, lambda work, _models, _settings: work.cancel())


def prune(data: Path | None, model: str | None, *, quiet: bool) -> dict[str, int]:
    """Delete the vectors of retired models; how many, by model."""
    from services.embedder.migration.work import prunable  # noqa: PLC0415

    async def run(work: Migration, _models: Models, _settings: Settings) -> dict[str, int]:
        gone: dict[str, int] = {}
        for name in prunable(await work.spaces(), model):
            _, vectors = await work.counts()
            there = vectors.get(name, 0)
            with screens.progress(name, quiet=quiet) as advance:
                gone[name] = await work.prune(
                    name,
                    lambda done, of=there: advance("pruned", done, of),  # type: ignore[misc]
                )
        return gone

    return _with_migration(data, run)
