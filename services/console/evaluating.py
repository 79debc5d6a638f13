"""`memoire eval`: the checkout's quality figures, by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from services.console.errors import MISCONFIGURED, CommandError


def evaluate(
    names: Sequence[str], data: Path | None, *, seed: int, embeddings: str, as_json: bool
) -> bool:
    """Run evaluations, all of them without a name; whether every aim was met."""
    embed_model = _local(embeddings)
    try:
        from benchmarks.evaluation import main  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise CommandError(
            "the evaluations are part of the project's checkout", MISCONFIGURED
        ) from error
    if unknown := [name for name in names if name not in main.EVALUATIONS]:
        known = ", ".join(main.EVALUATIONS)
        raise CommandError(
            f"no evaluation is called {unknown[0]!r}; there are {known}", MISCONFIGURED
        )
    try:
        figures = main.run(names, data, seed=seed, as_json=as_json, embed_model=embed_model)
    except main.DataError as error:
        raise CommandError(str(error), MISCONFIGURED) from error
    except (main.EvaluationError, TimeoutError) as error:
        raise CommandError(f"the evaluation cannot go on: {error}") from error
    return all(figure.met is not False for figure in figures)


def _local(embeddings: str) -> str:
    """The full name of a model that runs here and is installed."""
    from shared.embeddings import LocalEmbedder  # noqa: PLC0415
    from shared.errors import ConfigurationError  # noqa: PLC0415
    from shared.local_models import local_model  # noqa: PLC0415

    try:
        return LocalEmbedder(local_model(embeddings) or embeddings).model
    except ConfigurationError as error:
        raise CommandError(str(error), MISCONFIGURED) from error
