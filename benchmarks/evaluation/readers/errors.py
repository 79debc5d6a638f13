"""What is wrong with a data file, and where: for the person who brought it."""

from __future__ import annotations

from pathlib import Path


class DataError(Exception):
    """`place` is a line ("line 12") or a path inside the document ("session_3, turn 2")."""

    def __init__(self, path: Path | str, place: str, problem: str) -> None:
        super().__init__(f"{path}: {place}: {problem}" if place else f"{path}: {problem}")
        self.place = place
        self.problem = problem


class ShapeError(ValueError):
    """A value does not look as the format says; a reader adds the file and the line."""
