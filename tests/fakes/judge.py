"""Scripts of a chat server that judges pairs by rule: the same pair, the same verdict."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Rule = Callable[[str, str], str]
"""From the new and the old content to a verdict."""


def judging(rule: Rule, reason: str = "by rule") -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Answer every pair of a judge's document by a rule."""

    def script(document: dict[str, Any]) -> dict[str, Any]:
        assert document["task"] == "judge"
        return {
            "verdicts": [
                {
                    "id": pair["id"],
                    "verdict": rule(pair["new"]["content"], pair["old"]["content"]),
                    "reason": reason,
                }
                for pair in document["pairs"]
            ]
        }

    return script


def pairs_asked(documents: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Every pair (new, old) that was asked about, as often as it was."""
    return [
        (pair["new"]["content"], pair["old"]["content"])
        for document in documents
        for pair in document["pairs"]
    ]


def same_topic_supersedes(new: str, old: str) -> str:
    """ "tea: black" / "tea: green" are about one topic: the later replaces the earlier."""
    mine, other = (text.split(":")[0] for text in (new, old))
    return "supersedes" if mine == other else "independent"
