"""`memoire eval`: which data, which evaluations, and the report."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.evaluation import report
from benchmarks.evaluation.evaluations import EVALUATIONS
from benchmarks.evaluation.figures import Figure
from benchmarks.evaluation.memory import EvaluationError
from benchmarks.evaluation.readers import FORMATS, Data, load
from benchmarks.evaluation.readers.errors import DataError
from benchmarks.evaluation.run import DEFAULT, Run, Size
from shared.local_models import LOCAL_MODEL

__all__ = ["EVALUATIONS", "DataError", "EvaluationError", "read_data", "run"]

_CHECKOUT = Path(__file__).parents[2]
BESIDE_CHECKOUT = _CHECKOUT.parent / "shared" / "data"
OWN = (
    _CHECKOUT / "tests" / "data" / "near_misses.jsonl",
    _CHECKOUT / "tests" / "data" / "paraphrases.jsonl",
    Path(__file__).parent / "data" / "made_up_chat.jsonl",
)


def run(
    names: Sequence[str],
    data: Path | None,
    *,
    seed: int,
    as_json: bool,
    size: Size = DEFAULT,
    embed_model: str = LOCAL_MODEL,
) -> list[Figure]:
    """Measure and print; raises DataError and EvaluationError."""
    begun = time.monotonic()
    found, notes = read_data(data)
    figures: list[Figure] = []
    with Run(
        found, seed=seed, embed_model=embed_model, size=size, report=_progress, notes=notes
    ) as shared:
        for name, measure in EVALUATIONS.items():  # in their order: the last tell things twice
            if not names or name in names:
                figures += measure(shared)
    about: dict[str, Any] = {
        "seed": seed,
        "embeddings": embed_model,
        "data": ", ".join(path.name for path in found.read) or "none",
        "seconds": round(time.monotonic() - begun, 1),
        "notes": notes,
    }
    if as_json:
        print(report.as_json(figures, about))
    else:
        report.print_figures(figures, about)
    return figures


def read_data(given: Path | None) -> tuple[Data, list[str]]:
    """What is given, else the folder beside the checkout; and always our own small files."""
    notes: list[str] = []
    found = Data()
    if given is not None:
        found = load(given)
    elif BESIDE_CHECKOUT.is_dir():
        found = load(BESIDE_CHECKOUT)
    else:
        notes.append(
            "no conversations: only made-up people and the project's own sentences were measured. "
            f"Bring a file or a folder with --data ({FORMATS})."
        )
    notes += [f"{path.name} is in none of the known formats" for path in found.skipped]
    for path in OWN:
        if path.is_file():
            found.add(load(path))
    now = datetime.now(UTC)
    moved = [person for person in found.people if person.in_the_past(now) != person]
    if moved:
        notes.append(f"moved back in time, since they end after today: {len(moved)} people")
    found.people = [person.in_the_past(now) for person in found.people]
    found.quizzes = [quiz.in_the_past(now) for quiz in found.quizzes]
    return found, notes


def _progress(text: str) -> None:
    print(f"… {text}", file=sys.stderr, flush=True)
