"""The labels of the catalogue and all their values: nothing else is ever told.

No id is a label, no user and no text. A tenant is one only where an operator has given it a budget
of its own, and then of the fewest that matter; see `TENANT`.
"""

from __future__ import annotations

from shared.metrics.kinds import Label
from shared.topology import JOBS, SETTLED, STAGES

STREAMS = tuple(dict.fromkeys(name for streams in STAGES.values() for name in streams))

STAGE = Label.of("stage", *STAGES)
STREAM = Label.of("stream", *STREAMS, SETTLED)
WORK_STREAM = Label.of("stream", *STREAMS)
KIND = Label.of("kind", *JOBS)
SERVER = Label.of("server", "postgres", "redis")
RESOURCE = Label.of("resource", "tokens", "money")
RANK = Label.of("rank", "1", "2", "3", "4", "5")

MOST_TENANTS = 50
TENANT = Label(
    "tenant",
    None,
    f"tenants that an operator has given a budget of their own; the {MOST_TENANTS} with least left",
)

SWEPT = Label.of("outcome", "swept", "nothing_open", "not_elected", "failed")
WORKED = Label.of("outcome", "done", "refused", "stopped")
DELIVERY = Label.of("delivery", "read", "claimed", "alone")
COMMITTED = Label.of("outcome", "moved", "fenced")
ATTEMPTED = Label.of("outcome", "retry", "dead")
ERROR_CLASS = Label.of("error_class", "retry", "poison", "configuration", "crash_loop", "other")
PAUSE = Label.of("reason", "outage", "configuration", "not_now")
ENDED = Label.of("outcome", "fact", "no_facts")
EXTRACTOR = Label.of("extractor", "llm", "rules")
BELL = Label.of("outcome", "rung", "lost")
JOB_ENDED = Label.of("outcome", "done", "failed")

EVENT = Label.of(
    "event",
    *(
        f"fact.{what}"
        for what in (
            "settled", "superseded", "merged", "forgotten", "removed", "replaced", "restored",
            "revised", "revived", "corrected", "promoted", "demoted", "faded",
        )
    ),
    "other",
)  # fmt: skip
DROPPED = Label.of(
    "reason",
    "duplicate", "too_many", "not_an_object", "no_source", "unknown_source", "not_said_by_user",
    "quote_not_found", "secret", "invalid", "cut_off", "junk", "other",
)  # fmt: skip

PURPOSE = Label.of(
    "purpose", "extraction", "judging", "essential", "profile", "embedding", "recall", "other"
)
PROVIDER = Label("provider", None, "hosts that the settings, or a model migration, name")
MODEL = Label("model", None, "models that the settings, or a model migration, name")
ANSWERED = Label.of(
    "outcome", "ok", "retry", "away", "poison", "configuration", "cancelled", "other"
)
HELD = Label.of("reason", "breaker", "budget")
DIRECTION = Label.of("direction", "input", "output")

METHOD = Label.of("method", "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "other")
ROUTE = Label("route", None, "templates of the routes there are, else `unmatched`")
STATUS = Label("status", None, "status codes that the gateway answers")
WAY = Label.of("way", "http", "redis")
INGESTED = Label.of("outcome", "accepted", "duplicate", "conflict", "over_quota", "refused")
ARM = Label.of("arm", "vector", "lexical", "messages", "hints")
FOUND_BY = Label.of("arm", "vector", "lexical", "both", "neighbours")
SOURCE = Label.of("source", "memory", "sql")
VERSION = Label("version", None, "the one that runs")
