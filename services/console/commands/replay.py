"""`memoire replay`: the command; the work is in `services.console.replaying`."""
# ruff: noqa: PLC0415

from __future__ import annotations

from typing import Annotated

import typer

from services.console.commands import AsJson, Data, command

Users = Annotated[list[str] | None, typer.Option("--user", help="Whose; may be repeated.")]
AllUsers = Annotated[bool, typer.Option("--all-users", help="Everybody of the tenant.")]
Tenant = Annotated[str, typer.Option(help="Whose users.")]
Session = Annotated[str | None, typer.Option(help="Read again this session only.")]
Since = Annotated[
    str | None, typer.Option(metavar="DAY", help="Read again what was said from then on.")
]
Until = Annotated[str | None, typer.Option(metavar="DAY", help="… and before then.")]
Prompt = Annotated[
    str | None, typer.Option(metavar="vN", help="Version of the prompt; default: the one in use.")
]
Model = Annotated[str | None, typer.Option(help="Chat model; default: MEMOIRE_LLM_MODEL.")]
Extractor = Annotated[
    str | None, typer.Option(metavar="llm|rules", help="Default: MEMOIRE_EXTRACTOR.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show what would be asked; write and call nothing.")
]
Promote = Annotated[bool, typer.Option("--promote", help="Let it count when it is made.")]
Drop = Annotated[bool, typer.Option("--drop", help="Show how it differs, and delete it.")]
Keep = Annotated[bool, typer.Option("--keep", help="Leave it beside the one in use for now.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Make the calls without asking.")]
PromoteGeneration = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="Let generation N count: a kept one, or an old one."),
]
DropGeneration = Annotated[
    int | None, typer.Option(metavar="N", min=1, help="Delete the kept generation N.")
]
Generations = Annotated[
    bool, typer.Option("--generations", help="List what generations there are.")
]


def add_to(app: typer.Typer, panel: str) -> None:
    """Declare the command."""

    @command(
        app,
        "memoire replay --user ana --since 2026-01-01 --prompt v1 --dry-run",
        "memoire replay --user ana --extractor rules --promote",
        "memoire replay --all-users --prompt v1 --model gpt-4.1 --yes --keep --json",
        "memoire replay --user ana --generations",
        "memoire replay --user ana --promote-generation 1",
        panel=panel,
    )
    def replay(
        user: Users = None,
        all_users: AllUsers = False,
        tenant: Tenant = "default",
        session: Session = None,
        since: Since = None,
        until: Until = None,
        prompt: Prompt = None,
        model: Model = None,
        extractor: Extractor = None,
        dry_run: DryRun = False,
        promote: Promote = False,
        drop: Drop = False,
        keep: Keep = False,
        yes: Yes = False,
        promote_generation: PromoteGeneration = None,
        drop_generation: DropGeneration = None,
        generations: Generations = False,
        data: Data = None,
        as_json: AsJson = False,
    ) -> None:
        """Read a user's stored messages again, and compare what is believed then.

        The facts go into a generation of their own, which counts only when it is promoted, all at
        once; the old one stays, and can be promoted back. Messages outside --session, --since and
        --until keep their facts. Answers of the same prompt and model are used again without a
        call. Stopped in the middle, the same command goes on. Needs the pipeline to be running.
        """
        from services.console import replaying

        if extractor not in (None, "llm", "rules"):
            raise typer.BadParameter(f"{extractor!r} is neither llm nor rules")
        wanted = replaying.Wanted(
            users=user or [],
            everybody=all_users,
            tenant=tenant,
            session=session,
            since=replaying.moment(since, "--since") if since else None,
            until=replaying.moment(until, "--until") if until else None,
            prompt=prompt,
            model=model,
            extractor=extractor,
            dry_run=dry_run,
            decision=replaying.decision_of(promote=promote, drop=drop, keep=keep),
            sure=yes,
            as_json=as_json,
            promote_generation=promote_generation,
            drop_generation=drop_generation,
            list_generations=generations,
            data=data,
        )
        raise typer.Exit(replaying.replay(wanted))
