"""Every table that holds something about a user, in the order in which it is erased.

What others are made of goes first. A test compares this with the database: a table with a `user_id`
that is not named here fails it.
"""

from __future__ import annotations

AT_ONCE = ("api_keys",)
"""Erased with the tombstone: with a key of the user alone no device begins anew."""

BY_BATCH = (
    "chat_logs",
    "extractions",
    "memory_facts",
    "fact_vectors",
    "verdicts",
    "judgements",
    "events",
    "belief_acts",
    "fact_uses",
    "replay_messages",
    "replays",
    "failures",
    "jobs",
    "job_runs",
    "profile_edges",
    "profiles",
    "essential_rankings",
    "removed_messages",
    "sessions",
)
"""Erased a batch at a time, and once more, with what is left, when the erasure ends."""

LAST = ("recall_marks", "message_marks", "users")
"""Erased when it ends, behind everything else: deleting facts and messages leaves marks."""

OWN = ("erasures",)
"""The tombstone's own table: it names its user only until it is finished."""
