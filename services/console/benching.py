"""`memoire bench`: the benchmarks of the checkout, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from services.console.errors import MISCONFIGURED, CommandError


def bench(names: Sequence[str], sizes: Mapping[str, int | None]) -> None:
    """Run benchmarks; all of them without a name. Sizes that are not given are the benchmark's."""
    try:
        from benchmarks import scenarios  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise CommandError(
            "the benchmarks are part of the project's checkout", MISCONFIGURED
        ) from error
    if unknown := [name for name in names if name not in scenarios.SCENARIOS]:
        known = ", ".join(scenarios.SCENARIOS)
        raise CommandError(
            f"no benchmark is called {unknown[0]!r}; there are {known}", MISCONFIGURED
        )
    given = {name: value for name, value in sizes.items() if value is not None}
    scenarios.run(names, given)
