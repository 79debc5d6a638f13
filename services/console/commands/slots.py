"""`memoire slots …`: the commands; the work is in `services.console.slots`."""
# ruff: noqa: PLC0415

from __future__ import annotations

from typing import Annotated

import typer

from services.console.commands import AsJson, Data, command, group

app = group("slots", "See which attributes are known, and add or change the tenant's own.")

Name = Annotated[str, typer.Argument(help="The slot's name, as in parking_spot.")]
Source = Annotated[str | None, typer.Option(help="Only catalogue, tenant or proposed.")]
Cardinality = Annotated[str | None, typer.Option(help="one value at a time, or many.")]
Category = Annotated[str | None, typer.Option(help="As in biographical or work_context.")]
Kind = Annotated[str | None, typer.Option(help="How values are compared: text, place, org, …")]
Synonym = Annotated[list[str] | None, typer.Option(help="Another name for it; may be repeated.")]
Lasts = Annotated[float | None, typer.Option(help="Days that a claim without an end holds.")]


@command(app, "memoire slots list", "memoire slots list --source proposed --json", name="list")
def list_(source: Source = None, data: Data = None, as_json: AsJson = False) -> None:
    """List slots: the catalogue's, the tenant's own, and those that models propose."""
    from services.console import screen, slots

    found = slots.list_slots(data, source)
    if as_json:
        screen.print_json({"slots": found})
    else:
        slots.print_slots(found)


@command(
    app,
    "memoire slots set parking_spot --cardinality one --synonym parking_space",
    "memoire slots set hobby --cardinality one",
    name="set",
)
def set_(
    name: Name,
    cardinality: Cardinality = None,
    category: Category = None,
    kind: Kind = None,
    synonym: Synonym = None,
    lasts_days: Lasts = None,
    data: Data = None,
) -> None:
    """Add a slot, or change one of the catalogue for this tenant; beliefs follow."""
    from services.console import screen, slots

    given = {
        "cardinality": cardinality,
        "category": category,
        "kind": kind,
        "synonyms": synonym,
        "lasts_days": lasts_days,
    }
    wanted = {field: value for field, value in given.items() if value is not None}
    screen.print_json(slots.set_slot(data, name, wanted))


@command(app, "memoire slots remove parking_spot")
def remove(name: Name, data: Data = None) -> None:
    """Remove a slot of the tenant's own; one it changed is again as in the catalogue."""
    from services.console import slots

    slots.remove_slot(data, name)
    typer.echo("removed")
