"""The part of the catalogue that the sweeper tells: what waits, and what it did about that."""

from __future__ import annotations

from shared.metrics import labels as by
from shared.metrics.kinds import Counter, Gauge, Histogram

_SWEEPER = ("sweeper",)
_SWEEP_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

# ---- what waits, as the sweeper sees it every few seconds

OPEN_ROWS = Gauge(
    "memoire_open_rows",
    "rows",
    "Rows that wait for the stage or are being worked on; dead ones are not among them.",
    by.STAGE,
    by=_SWEEPER,
)
OLDEST_OPEN_ROW = Gauge(
    "memoire_oldest_open_row_seconds",
    "seconds",
    "Age of the row that has waited longest for the stage; 0 where none waits.",
    by.STAGE,
    by=_SWEEPER,
)
DEAD_ROWS = Gauge(
    "memoire_dead_rows",
    "rows",
    "Dead letters: what the stage has given up, until somebody redrives or drops it.",
    by.STAGE,
    by=_SWEEPER,
)
HELD_BACK_MESSAGES = Gauge(
    "memoire_held_back_messages",
    "messages",
    "Messages that are not announced yet, because their tenant's window is full.",
    by=_SWEEPER,
)
HELD_BACK_TENANTS = Gauge(
    "memoire_held_back_tenants",
    "tenants",
    "Tenants whose window is full.",
    by=_SWEEPER,
)
TENANT_OPEN_MESSAGES = Gauge(
    "memoire_tenant_open_messages",
    "messages",
    "Messages that wait, of the tenants that have most of them, by rank and without a name.",
    by.RANK,
    by=_SWEEPER,
)
STREAM_ENTRIES = Gauge(
    "memoire_stream_entries",
    "entries",
    "Entries on the stream; of a work stream that is its backlog, unread and pending.",
    by.STREAM,
    by=_SWEEPER,
)
STREAM_PENDING = Gauge(
    "memoire_stream_pending_entries",
    "entries",
    "Entries that a consumer has read and not acknowledged yet.",
    by.WORK_STREAM,
    by=_SWEEPER,
)
OLDEST_PENDING = Gauge(
    "memoire_oldest_pending_entry_seconds",
    "seconds",
    "Age of the oldest pending entry, since it was put on the stream; 0 where none is pending.",
    by.WORK_STREAM,
    by=_SWEEPER,
)
CONSUMERS = Gauge(
    "memoire_consumers",
    "consumers",
    "Consumers of the stage's group that asked for entries during the last minute.",
    by.STAGE,
    by=_SWEEPER,
)
IDLE_CONSUMERS = Gauge(
    "memoire_idle_consumers",
    "consumers",
    "Consumers of the stage's group that have not asked for anything for over a minute: dead ones, "
    "or processes that hang.",
    by.STAGE,
    by=_SWEEPER,
)
BUDGET_LEFT = Gauge(
    "memoire_budget_left_ratio",
    "ratio",
    "Share of today's budget that is left (UTC), reservations counted as spent.",
    by.TENANT,
    by.RESOURCE,
    by=_SWEEPER,
)
LEAST_BUDGET_LEFT = Gauge(
    "memoire_budget_least_left_ratio",
    "ratio",
    "The smallest such share among all tenants that have a budget, their own or the default one; "
    "1 where nobody has spent anything.",
    by.RESOURCE,
    by=_SWEEPER,
)
SPENT_TENANTS = Gauge(
    "memoire_budget_spent_tenants",
    "tenants",
    "Tenants whose calls found no room in today's budget lately.",
    by=_SWEEPER,
)
SERVER_UP = Gauge(
    "memoire_server_up",
    "yes or no",
    "Whether the server answered when the sweeper last looked. While it does not, what is read "
    "from it is not told at all.",
    by.SERVER,
    by=_SWEEPER,
)
WATCHED_AT = Gauge(
    "memoire_watch_timestamp_seconds",
    "timestamp",
    "When the sweeper last looked at both servers, in Unix time.",
    by=_SWEEPER,
)
REDIS_EVICTED = Counter(
    "memoire_redis_evicted_keys_total",
    "keys",
    "Keys that Redis has evicted since this process began: it must never evict any (noeviction).",
    by=_SWEEPER,
)
REDIS_MEMORY = Gauge(
    "memoire_redis_memory_bytes", "bytes", "Memory that Redis uses, as it says itself.", by=_SWEEPER
)
REDIS_MEMORY_LIMIT = Gauge(
    "memoire_redis_memory_limit_bytes",
    "bytes",
    "Redis' maxmemory; 0 where there is none.",
    by=_SWEEPER,
)
OLDEST_TRANSACTION = Gauge(
    "memoire_postgres_oldest_transaction_seconds",
    "seconds",
    "Age of the oldest open transaction in this database, anybody's; 0 where there is none.",
    by=_SWEEPER,
)
CONNECTIONS = Gauge(
    "memoire_postgres_connections", "connections", "Connections to the server.", by=_SWEEPER
)
CONNECTION_LIMIT = Gauge(
    "memoire_postgres_connection_limit",
    "connections",
    "PostgreSQL's max_connections.",
    by=_SWEEPER,
)

# ---- what the sweeper does

SWEEPS = Counter(
    "memoire_sweeps_total",
    "sweeps",
    "Turns of the sweep: `not_elected` is another sweeper's turn, `failed` a server that is away.",
    by.SWEPT,
    by=_SWEEPER,
)
SWEEP_SECONDS = Histogram(
    "memoire_sweep_duration_seconds",
    "seconds",
    "How long one sweep took, whatever became of it.",
    by=_SWEEPER,
    bounds=_SWEEP_SECONDS,
)
RUNG_AGAIN = Counter(
    "memoire_bells_rung_again_total",
    "bells",
    "Bells that were lost, retries and leases that ran out: rung again by the sweep.",
    by.WORK_STREAM,
    by=_SWEEPER,
)
JOBS_SCHEDULED = Counter(
    "memoire_jobs_scheduled_total",
    "jobs",
    "Jobs that the schedule has asked for.",
    by.KIND,
    by=_SWEEPER,
)
