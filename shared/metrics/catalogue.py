"""Every metric there is, once each: its unit, its labels, and what it means.

`docs/metrics.md` is generated from this; what the sweeper tells is in `sweeping`. Names are a
contract with dashboards and alerts: one that was published keeps its name and its meaning.
Durations are in seconds, sizes in bytes, shares between 0 and 1; money is in whatever currency the
operator's prices are.
"""

from __future__ import annotations

from shared.metrics import labels as by
from shared.metrics import sweeping
from shared.metrics.kinds import Counter, Gauge, Histogram, Metric
from shared.topology import PROCESSES, STAGES

_EVERY = PROCESSES
_STAGES = tuple(STAGES)
_GATEWAY = ("gateway",)
_FACT_STAGES = ("embedder", "deduper", "superseder")
_ASKS_MODELS = ("gateway", "extractor", "embedder", "deduper", "maintenance")

_WORK_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_REQUEST_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_CALL_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 120)
_WAY_SECONDS = (0.1, 0.25, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 900, 3_600)
_HOW_MANY = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500)

# ---- what a stage does

STAGE_SECONDS = Histogram(
    "memoire_stage_duration_seconds",
    "seconds",
    "From a batch's beginning to its acknowledgement, waiting for servers and models included; "
    "`refused`: it was recorded as failed, `stopped`: the process ended first.",
    by.STAGE,
    by.WORKED,
    by=_STAGES,
    bounds=_WORK_SECONDS,
)
BATCH_ENTRIES = Histogram(
    "memoire_stage_batch_entries",
    "entries",
    "Entries that came with one read.",
    by.STAGE,
    by=_STAGES,
    bounds=_HOW_MANY,
)
BATCH_ROWS = Histogram(
    "memoire_stage_batch_rows",
    "rows",
    "Rows that one commit of the stage moved.",
    by.STAGE,
    by=("extractor", *_FACT_STAGES),
    bounds=_HOW_MANY,
)
ENTRIES = Counter(
    "memoire_entries_total",
    "entries",
    "Entries whose work has begun: `claimed` from a worker that died, `alone` on suspicion that "
    "they killed it.",
    by.STAGE,
    by.DELIVERY,
    by=_STAGES,
)
COMMITTED_ROWS = Counter(
    "memoire_commit_rows_total",
    "rows",
    "Rows in commits: `moved` on by this stage, or `fenced`, which means that somebody else had "
    "moved them and nothing was written (of the extractor, messages).",
    by.STAGE,
    by.COMMITTED,
    by=("extractor", *_FACT_STAGES),
)
FAILED_ATTEMPTS = Counter(
    "memoire_failed_attempts_total",
    "attempts",
    "Attempts at an item that failed: it is tried again (`retry`), or given up (`dead`).",
    by.STAGE,
    by.ERROR_CLASS,
    by.ATTEMPTED,
    by=_STAGES,
)
STAGE_PAUSES = Counter(
    "memoire_stage_pauses_total",
    "pauses",
    "Times a batch had to wait: for a server that is away, an operator, or a model or budget that "
    "may not be asked now.",
    by.STAGE,
    by.PAUSE,
    by=_STAGES,
)
END_TO_END_SECONDS = Histogram(
    "memoire_end_to_end_seconds",
    "seconds",
    "From a message's commit to the commit that settled a fact of it, or that found no fact in it. "
    "Facts of replays and those stated directly are not counted.",
    by.ENDED,
    by=("extractor", "superseder"),
    bounds=_WAY_SECONDS,
)
EXTRACTED_FACTS = Counter(
    "memoire_extracted_facts_total",
    "facts",
    "Facts that were kept of what was extracted.",
    by.EXTRACTOR,
    by=("extractor",),
)
DROPPED_FACTS = Counter(
    "memoire_dropped_facts_total",
    "facts",
    "Facts that were dropped of what was extracted, by reason.",
    by.DROPPED,
    by=("extractor",),
)
BELLS = Counter(
    "memoire_bells_total",
    "bells",
    "Bells and events put on the stream; `lost`: Redis was away, and the sweep will ring.",
    by.STREAM,
    by.BELL,
    by=_EVERY,
)
FACT_EVENTS = Counter(
    "memoire_fact_events_total",
    "facts",
    "What became of facts, as told on memoire:facts:settled.",
    by.EVENT,
    by=("superseder", "maintenance", "gateway", "sweeper"),
)
JOB_SECONDS = Histogram(
    "memoire_job_duration_seconds",
    "seconds",
    "How long a job, or one slice of a long one, took.",
    by.KIND,
    by.JOB_ENDED,
    by=("maintenance",),
    bounds=_WORK_SECONDS,
)

# ---- what models are asked

MODEL_CALLS = Counter(
    "memoire_model_calls_total",
    "calls",
    "Requests to chat and embedding servers. `away`: not there, or wants to be left alone; "
    "`retry`: timed out or failed; `poison`: refused its input; `configuration`: an operator must "
    "act. The local embedding model is not among them.",
    by.PURPOSE,
    by.PROVIDER,
    by.MODEL,
    by.ANSWERED,
    by=_ASKS_MODELS,
)
MODEL_SECONDS = Histogram(
    "memoire_model_call_duration_seconds",
    "seconds",
    "How long one request took.",
    by.PURPOSE,
    by.MODEL,
    by.ANSWERED,
    by=_ASKS_MODELS,
    bounds=_CALL_SECONDS,
)
MODEL_TOKENS = Counter(
    "memoire_model_tokens_total",
    "tokens",
    "Tokens as the servers count them, or the most a request may have cost where they do not.",
    by.PURPOSE,
    by.PROVIDER,
    by.MODEL,
    by.DIRECTION,
    by=_ASKS_MODELS,
)
MODEL_MONEY = Counter(
    "memoire_model_money_total",
    "money",
    "What that cost, by the prices in the settings.",
    by.PURPOSE,
    by.PROVIDER,
    by.MODEL,
    by=_ASKS_MODELS,
)
HELD_CALLS = Counter(
    "memoire_model_calls_held_total",
    "calls",
    "Requests that were not made: the model is left alone, or a tenant's budget is spent.",
    by.PURPOSE,
    by.HELD,
    by=_ASKS_MODELS,
)
BREAKER_OPEN = Gauge(
    "memoire_breaker_open",
    "yes or no",
    "Whether this process leaves the model alone, but for probes.",
    by.PURPOSE,
    by.PROVIDER,
    by.MODEL,
    by=_ASKS_MODELS,
)

# ---- what the gateway answers

HTTP_REQUESTS = Counter(
    "memoire_http_requests_total",
    "requests",
    "Requests answered; status 5xx is our error.",
    by.METHOD,
    by.ROUTE,
    by.STATUS,
    by=_GATEWAY,
)
HTTP_SECONDS = Histogram(
    "memoire_http_request_duration_seconds",
    "seconds",
    "From a request's head to the head of its answer (streams go on after that).",
    by.METHOD,
    by.ROUTE,
    by=_GATEWAY,
    bounds=_REQUEST_SECONDS,
)
HTTP_IN_PROGRESS = Gauge(
    "memoire_http_requests_in_progress",
    "requests",
    "Requests that are being answered now, streams included.",
    by=_GATEWAY,
)
INGESTED = Counter(
    "memoire_ingested_messages_total",
    "messages",
    "Messages that came in. `conflict`: the same key with other content, `over_quota`: beyond the "
    "tenant's quota, `refused`: what made no sense; all three are dead letters of the stream (over "
    "HTTP they are answered 4xx, and counted as requests only).",
    by.WAY,
    by.INGESTED,
    by=("gateway", "extractor"),
)
RECALL_SECONDS = Histogram(
    "memoire_recall_duration_seconds",
    "seconds",
    "How long a recall took in all; `memory`: the user's facts were kept in memory.",
    by.SOURCE,
    by=_GATEWAY,
    bounds=_REQUEST_SECONDS,
)
ARM_SECONDS = Histogram(
    "memoire_recall_arm_duration_seconds",
    "seconds",
    "How long one arm took; `vector` without the query's embedding.",
    by.ARM,
    by=_GATEWAY,
    bounds=_REQUEST_SECONDS,
)
ARM_CANDIDATES = Histogram(
    "memoire_recall_arm_candidates",
    "facts",
    "How many candidates (of `messages`, messages) an arm found.",
    by.ARM,
    by=_GATEWAY,
    bounds=_HOW_MANY,
)
SHOWN_FACTS = Counter(
    "memoire_recall_shown_facts_total",
    "facts",
    "Facts that were shown, by the arm that had found them; `neighbours`: neither vector nor "
    "words, but what a message, a hint or another hit led to.",
    by.FOUND_BY,
    by=_GATEWAY,
)
WITHOUT_VECTOR = Counter(
    "memoire_recall_without_vector_total",
    "recalls",
    "Recalls that words answered alone, since the query had no vector.",
    by=_GATEWAY,
)
RECALL_MEMORY = Gauge(
    "memoire_recall_memory_bytes",
    "bytes",
    "Memory of the facts and messages that are kept for recall, as it is accounted.",
    by=_GATEWAY,
)
RECALL_USERS = Gauge(
    "memoire_recall_memory_users",
    "users",
    "Users whose facts are kept in memory.",
    by=_GATEWAY,
)

# ---- every process

BUILD = Gauge(
    "memoire_build_info", "yes or no", "Always 1; which version runs.", by.VERSION, by=_EVERY
)
BEAT = Gauge(
    "memoire_process_beat_timestamp_seconds",
    "timestamp",
    "When the process' event loop last turned, in Unix time: one that hangs falls behind.",
    by=_EVERY,
)

CATALOGUE: tuple[Metric, ...] = tuple(
    each
    for declared in (vars(sweeping), globals())
    for each in list(declared.values())
    if isinstance(each, Metric)
)
