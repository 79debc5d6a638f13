-- The whole truth about the database, as the migrations leave it. Generated from a migrated
-- database by `python -m tests.contract.schema_dump`; a test compares the two.

CREATE TABLE api_keys (
    id uuid NOT NULL,
    tenant_id text NOT NULL,
    name text NOT NULL,
    scope text NOT NULL,
    secret_sha256 bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone,
    revoked_at timestamp with time zone,
    user_id text,
    last_used_at timestamp with time zone,
    CONSTRAINT api_keys_pkey PRIMARY KEY (id),
    CONSTRAINT api_keys_bound CHECK (((user_id IS NULL) OR (scope <> 'admin'::text))),
    CONSTRAINT api_keys_scope_check CHECK ((scope = ANY (ARRAY['admin'::text, 'write'::text, 'read'::text]))),
    CONSTRAINT api_keys_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(tenant_id)
);
CREATE INDEX api_keys_of_tenant ON public.api_keys USING btree (tenant_id, created_at);
ALTER TABLE api_keys FORCE ROW LEVEL SECURITY;

CREATE TABLE belief_acts (
    tenant_id text NOT NULL,
    user_id text NOT NULL,
    id uuid NOT NULL,
    kind text NOT NULL,
    fact_id uuid,
    subject text,
    slot text,
    value text,
    value_key text,
    old_value_key text,
    valid_from timestamp with time zone,
    valid_to timestamp with time zone,
    source_message_ids uuid[] DEFAULT '{}'::uuid[] NOT NULL,
    acted_at timestamp with time zone DEFAULT now() NOT NULL,
    actor text NOT NULL,
    reason text,
    deed uuid NOT NULL,
    undoes uuid,
    labels jsonb,
    review_key text,
    origin text,
    learnt_since timestamp with time zone,
    sweeping boolean DEFAULT false NOT NULL,
    CONSTRAINT belief_acts_pkey PRIMARY KEY (tenant_id, user_id, id),
    CONSTRAINT belief_acts_kind_check CHECK ((kind = ANY (ARRAY['approval'::text, 'correction'::text, 'labels'::text, 'other_words'::text, 'rejection'::text, 'tombstone'::text, 'undo'::text])))
);
CREATE UNIQUE INDEX belief_acts_undone_once ON public.belief_acts USING btree (undoes, user_id, tenant_id) WHERE (undoes IS NOT NULL);
CREATE TRIGGER keep_out_erased BEFORE INSERT ON public.belief_acts FOR EACH ROW EXECUTE FUNCTION keep_out_erased('derived');
ALTER TABLE belief_acts FORCE ROW LEVEL SECURITY;

CREATE TABLE budget_days (
    tenant_id text NOT NULL,
    day date NOT NULL,
    tokens bigint DEFAULT 0 NOT NULL,
    money numeric(20,6) DEFAULT 0 NOT NULL,
    refused_at timestamp with time zone,
    CONSTRAINT budget_days_pkey PRIMARY KEY (tenant_id, day)
);
ALTER TABLE budget_days FORCE ROW LEVEL SECURITY;

CREATE TABLE budgets (
    tenant_id text NOT NULL,
    tokens_per_day bigint,
    money_per_day numeric(20,6),
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT budgets_pkey PRIMARY KEY (tenant_id),
    CONSTRAINT budgets_money_per_day_check CHECK ((money_per_day >= (0)::numeric)),
    CONSTRAINT budgets_tokens_per_day_check CHECK ((tokens_per_day >= 0))
);
ALTER TABLE budgets FORCE ROW LEVEL SECURITY;

CREATE TABLE chat_logs (
    tenant_id text NOT NULL,
    user_id text NOT NULL,
    id uuid NOT NULL,
    session_id text NOT NULL,
    message_key text NOT NULL,
    content_sha256 bytea NOT NULL,
    role text NOT NULL,
    content text NOT NULL,
    agent_id text,
    speaker text,
    metadata jsonb,
    said_at timestamp with time zone NOT NULL,
    recorded_at timestamp with time zone DEFAULT now() NOT NULL,
    state text DEFAULT 'received'::text NOT NULL,
    extraction_id uuid,
    announced_at timestamp with time zone,
    rings smallint DEFAULT 0 NOT NULL,
    retry_at timestamp with time zone,
    extracted_at timestamp with time zone,
    erased_at timestamp with time zone,
    generation integer,
    postponed_until timestamp with time zone,
    lexemes tsvector GENERATED ALWAYS AS (to_tsvector('memoire'::regconfig, (COALESCE((speaker || ' '::text), ''::text) || "left"(content, 20000)))) STORED,
    traceparent text,
    CONSTRAINT chat_logs_pkey PRIMARY KEY (tenant_id, user_id, id),
    CONSTRAINT chat_logs_role_check CHECK ((role = ANY (ARRAY['user'::text, 'assistant'::text, 'system'::text, 'tool'::text]))),
    CONSTRAINT chat_logs_state_check CHECK ((state = ANY (ARRAY['received'::text, 'extracting'::text, 'extracted'::text])))
);
CREATE INDEX chat_logs_by_age ON public.chat_logs USING btree (tenant_id, recorded_at) WHERE (extracted_at IS NOT NULL);
CREATE INDEX chat_logs_by_id ON public.chat_logs USING btree (id);
CREATE INDEX chat_logs_held_back ON public.chat_logs USING btree (tenant_id, recorded_at, user_id, id) WHERE (COALESCE(announced_at, extracted_at) IS NULL);
CREATE INDEX chat_logs_of_session ON public.chat_logs USING btree (session_id, user_id, tenant_id, said_at);
CREATE INDEX chat_logs_open ON public.chat_logs USING btree (tenant_id, announced_at) WHERE (extracted_at IS NULL);
CREATE INDEX chat_logs_open_of_session ON public.chat_logs USING btree (session_id, user_id, tenant_id) WHERE (state = ANY (ARRAY['received'::text, 'extracting'::text]));
CREATE TRIGGER keep_out_erased BEFORE INSERT ON public.chat_logs FOR EACH ROW EXECUTE FUNCTION keep_out_erased('first');
CREATE TRIGGER message_mark_deleted AFTER DELETE ON public.chat_logs REFERENCING OLD TABLE AS marked FOR EACH STATEMENT EXECUTE FUNCTION mark_messages();
CREATE TRIGGER message_mark_inserted AFTER INSERT ON public.chat_logs REFERENCING NEW TABLE AS marked FOR EACH STATEMENT EXECUTE FUNCTION mark_messages();
CREATE TRIGGER message_mark_updated AFTER UPDATE OF content, speaker, session_id, said_at, recorded_at, erased_at ON public.chat_logs FOR EACH ROW EXECUTE FUNCTION mark_changed_message();
ALTER TABLE chat_logs FORCE ROW LEVEL SECURITY;

CREATE TABLE embedding_spaces (
    model text NOT NULL,
    state text NOT NULL,
    remote boolean NOT NULL,
    base_url text,
    asked_dimensions integer,
    dimensions integer,
    epoch bigint DEFAULT 0 NOT NULL,
    skipped bigint DEFAULT 0 NOT NULL,
    begun_at timestamp with time zone DEFAULT now() NOT NULL,
    activated_at timestamp with time zone,
    retired_at timestamp with time zone,
    CONSTRAINT embedding_spaces_pkey PRIMARY KEY (model),
    CONSTRAINT embedding_spaces_state_check CHECK ((state = ANY (ARRAY['active'::text, 'filling'::text, 'retired'::text, 'pruning'::text])))
);
CREATE UNIQUE INDEX embedding_spaces_one_each ON public.embedding_spaces USING btree (state) WHERE (state = ANY (ARRAY['active'::text, 'filling'::text]));

CREATE TABLE erased_ids (
    tenant_id text NOT NULL,
    id uuid NOT NULL,
    CONSTRAINT erased_ids_pkey PRIMARY KEY (tenant_id, id)
);
ALTER TABLE erased_ids FORCE ROW LEVEL SECURITY;

CREATE TABLE erasures (
    tenant_id text NOT NULL,
    user_sha256 bytea NOT NULL,
    id uuid NOT NULL,
    scope text NOT NULL,
    session_sha256 bytea,
    user_id text,
    requested_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    requested_by text NOT NULL,
    stream_ms numeric(20,0) NOT NULL,
    stream_seq numeric(20,0) NOT NULL,
    counts jsonb DEFAULT '{}'::jsonb NOT NULL,
    streams jsonb,
    gone_at timestamp with time zone,
    finished_at timestamp with time zone,
    CONSTRAINT erasures_pkey PRIMARY KEY (tenant_id, user_sha256, id),
    CONSTRAINT erasures_scope_check CHECK ((scope = ANY (ARRAY['user'::text, 'session'::text, 'message'::text])))
);
CREATE INDEX erasures_by_time ON public.erasures USING btree (requested_at);
CREATE INDEX erasures_unfinished ON public.erasures USING btree (requested_at) WHERE (finished_at IS NULL);
CREATE UNIQUE INDEX erasures_one_at_a_time ON public.erasures USING btree (tenant_id, user_sha256) WHERE ((scope = 'user'::text) AND (gone_at IS NULL));
ALTER TABLE erasures FORCE ROW LEVEL SECURITY;

CREATE TABLE essential_rankings (
    tenant_id text NOT NULL,
    user_id text NOT NULL,
    inputs_sha256 bytea NOT NULL,
    ranked uuid[],
    model text NOT NULL,
    prompt text NOT NULL,
    input_tokens integer NOT NULL,
    output_tokens integer NOT NULL,
    ranked_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT essential_rankings_pkey PRIMARY KEY (tenant_id, user_id)
);
CREATE TRIGGER keep_out_erased BEFORE INSERT ON public.essential_rankings FOR EACH ROW EXECUTE FUNCTION keep_out_erased('derived');
ALTER TABLE essential_rankings FORCE ROW LEVEL SECURITY;

CREATE TABLE event_horizons (
    tenant_id text NOT NULL,
    xid xid8 NOT NULL,
    seq bigint NOT NULL,
    CONSTRAINT event_horizons_pkey PRIMARY KEY (tenant_id)
);
ALTER TABLE event_horizons FORCE ROW LEVEL SECURITY;

CREATE TABLE events (
    seq bigint GENERATED ALWAYS AS IDENTITY NOT NULL,
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    tenant_id text NOT NULL,
    user_id text NOT NULL,
    event text NOT NULL,
    fact_id uuid,
    trace_id uuid,
    at timestamp with time zone DEFAULT now() NOT NULL,
    data jsonb,
    CONSTRAINT events_pkey PRIMARY KEY (seq)
);
CREATE INDEX events_of_fact ON public.events USING btree (tenant_id, user_id, fact_id);
CREATE INDEX events_to_follow ON public.events USING btree (tenant_id, xid, seq);
CREATE TRIGGER keep_out_erased BEFORE INSERT ON public.events FOR EACH ROW EXECUTE FUNCTION keep_out_erased('derived');
ALTER TABLE events FORCE ROW LEVEL SECURITY;

CREATE TABLE extractions (
    tenant_id text NOT NULL,
    user_id text NOT NULL,
    id uuid NOT NULL,
    session_id text NOT NULL,
    state text DEFAULT 'open'::text NOT NULL,
    lease_until timestamp with time zone NOT NULL,
    worker text NOT NULL,
    attempts smallint DEFAULT 1 NOT NULL,
    extractor text,
    model text,
    prompt text,
    answer jsonb,
    input_tokens integer,
    output_tokens integer,
    dropped jsonb,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    finished_at timestamp with time zone,
    facts integer,
    message_ids uuid[],
    CONSTRAINT extractions_pkey PRIMARY KEY (tenant_id, user_id, id),
    CONSTRAINT extractions_state_check CHECK ((state = ANY (ARRAY['open'::text, 'done'::text, 'failed'::text])))
);
CREATE UNIQUE INDEX extractions_open ON public.extractions USING btree (session_id, user_id, tenant_id) WHERE (state = 'open'::text);
CREATE TRIGGER keep_out_erased BEFORE INSERT ON public.extractions FOR EACH ROW EXECUTE FUNCTION keep_out_erased('derived');
ALTER TABLE extractions FORCE ROW LEVEL SECURITY;

CREATE TABLE fact_uses (
    tenant_id text NOT NULL,
    user_id text NOT NULL,
    fact_id uuid NOT NULL,
    last_used_at timestamp with time zone DEFAULT now() NOT NULL,
    uses bigint NOT NULL,
    CONSTRAINT fact_uses_pkey PRIMARY KEY (tenant_id, user_id, fact_id)
);
CREATE TRIGGER keep_out_erased BEFORE INSERT ON public.fact_uses FOR EACH ROW EXECUTE FUNCTION keep_out_erased('derived');
ALTER TABLE fact_uses FORCE ROW LEVEL SECURITY;

CREATE TABLE fact_vectors (
    tenant_id text NOT NULL,
    user_id text NOT NULL,
    fact_id uuid NOT NULL,
    model text NOT NULL,
    embedding halfvec NOT NULL,
    CONSTRAINT fact_vectors_pkey PRIMARY KEY (tenant_id, user_id, model, fact_id)
);
CREATE TRIGGER keep_out_erased BEFORE INSERT ON public.fact_vectors FOR EACH ROW EXECUTE FUNCTION keep_out_erased('derived');
CREATE TRIGGER recall_mark AFTER INSERT OR DELETE OR UPDATE ON public.fact_vectors FOR EACH ROW EXECUTE FUNCTION mark_changed_vector();
ALTER TABLE fact_vectors FORCE ROW LEVEL SECURITY;

CREATE TABLE failures (
    id uuid NOT NULL,
    stage text NOT NULL,
    subject_id text NOT NULL,
    tenant_id text NOT NULL,
    user_id text,
    attempts integer NOT NULL,
    error_class text NOT NULL,
    error text NOT NULL,
    payload jsonb,
    first_failed_at timestamp with time zone DEFAULT now() NOT NULL,
    next_attempt_at timestamp with time zone,
    dead_at timestamp with time zone,
    dropped_at timestamp with time zone,
    dropped_by text,
    drop_reason text,
    CONSTRAINT failures_pkey PRIMARY KEY (id),
    CONSTRAINT failures_stage_tenant_id_subject_id_key UNIQUE (stage, tenant_id, subject_id)
);
CREATE INDEX failures_dead ON public.failures USING btree (tenant_id, dead_at, id) WHERE ((dead_at IS NOT NULL) AND (dropped_at IS NULL));
CREATE INDEX failures_due ON public.failures USING btree (next_attempt_at) WHERE (next_attempt_at IS NOT NULL);
CREATE INDEX failures_of_user ON public.failures USING btree (user_id, tenant_id) WHERE (user_id IS NOT NULL);
CREATE TRIGGER keep_out_erased BEFORE INSERT ON public.failures FOR EACH ROW WHEN ((new.user_id IS NOT NULL)) EXECUTE FUNCTION keep_out_failure();
ALTER TABLE failures FORCE ROW LEVEL SECURITY;

CREATE TABLE idempotency_keys (
    tenant_id text NOT NULL,
    key text NOT NULL,
    body_sha256 bytea NOT NULL,
    ids uuid[] NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT idempotency_keys_pkey PRIMARY KEY (tenant_id, key)
);
CREATE INDEX idempotency_keys_by_age ON public.idempotency_keys USING btree (created_at);
ALTER TABLE idempotency_keys FORCE ROW LEVEL SECURITY;

CREATE TABLE job_runs (
    tenant_id text NOT NULL,
    user_id text NOT NULL,
    kind text NOT NULL,
    last_version bigint NOT NULL,
    last_run_at timestamp with time zone DEFAULT now() NOT NULL,
    news bigint DEFAULT 0 NOT NULL,
    seen_news bigint DEFAULT 0 NOT NULL,
    due_at timestamp with time zone,
    rules text DEFAULT ''::text NOT NULL,
    CONSTRAINT job_runs_pkey PRIMARY KEY (tenant_id, user_id, kind)
);
CREATE TRIGGER keep_out_erased BEFORE INSERT ON public.job_runs FOR EACH ROW EXECUTE FUNCTION keep_out_erased('derived');
ALTER TABLE job_runs FORCE ROW LEVEL SECURITY;

CREATE TABLE jobs (
    tenant_id text NOT NULL,
    user_id text NOT NULL,
    id uuid NOT NULL,
    kind text NOT NULL,
    state text DEFAULT 'requested'::text NOT NULL,
    requested_at timestamp with time zone DEFAULT now() NOT NULL,
    announced_at timestamp with time zone,
    rings smallint DEFAULT 0 NOT NULL,
    retry_at timestamp with time zone,
    finished_at timestamp with time zone,
    result jsonb,
    due_slot timestamp with time zone,
    started_at timestamp with time zone,
    attempt integer DEFAULT 0 NOT NULL,
    seen_version bigint,
    cursor jsonb,
    traceparent text,
    seen_news bigint,
    CONSTRAINT jobs_pkey PRIMARY KEY (tenant_id, user_id, id),
    CONSTRAINT jobs_kind_check CHECK ((kind <> ''::text)),
    CONSTRAINT jobs_state_check CHECK ((state = ANY (ARRAY['requested'::text, 'done'::text])))
);
CREATE INDEX jobs_by_id ON public.jobs USING btree (id);
CREATE INDEX jobs_done ON public.jobs USING btree (kind, finished_at) WHERE (state = 'done'::text);
CREATE INDEX jobs_open ON public.jobs USING btree (kind, announced_at) WHERE (state = 'requested'::text);
CREATE INDEX jobs_open_of_user ON public.jobs USING btree (tenant_id, user_id, kind) WHERE (state = 'requested'::text);
CREATE INDEX jobs_scheduled ON public.jobs USING btree (kind) WHERE ((state = 'requested'::text) AND (due_slot IS NOT NULL) AND (retry_at IS DISTINCT FROM 'infinity'::timestamp with time zone));
CREATE UNIQUE INDEX jobs_of_slot ON public.jobs USING btree (tenant_id, user_id, kind, due_slot) WHERE (due_slot IS NOT NULL);
CREATE TRIGGER keep_out_erased BEFORE INSERT ON public.jobs FOR EACH ROW EXECUTE FUNCTION keep_out_erased('derived');
ALTER TABLE jobs FORCE ROW LEVEL SECURITY;

CREATE TABLE judgements (
    tenant_id text NOT NULL,
    user_id text NOT NULL,
    id uuid NOT NULL,
    model text NOT NULL,
    prompt text NOT NULL,
    pairs integer NOT NULL,
    input_tokens integer NOT NULL,
    output_tokens integer NOT NULL,
    dropped jsonb,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT judgements_pkey PRIMARY KEY (tenant_id, user_id, id)
);
CREATE TRIGGER keep_out_erased BEFORE INSERT ON public.judgements FOR EACH ROW EXECUTE FUNCTION keep_out_erased('derived');
ALTER TABLE judgements FORCE ROW LEVEL SECURITY;

CREATE TABLE memory_facts (
    tenant_id text NOT NULL,
    user_id text NOT NULL,
    id uuid NOT NULL,
    generation integer NOT NULL,
    content text NOT NULL,
    category text NOT NULL,
    subject text NOT NULL,
    slot text,
    value text,
    value_key text,
    cardinality text,
    claim text NOT NULL,
    temporal_state text NOT NULL,
    occurred_at timestamp with time zone,
    occurred_precision text,
    ended_at timestamp with time zone,
    ended_precision text,
    said_at timestamp with time zone NOT NULL,
    recorded_at timestamp with time zone NOT NULL,
    message_key text NOT NULL,
    ordinal integer NOT NULL,
    confidence real NOT NULL,
    quote text,
    source_message_ids uuid[] NOT NULL,
    extraction_id uuid,
    session_id text,
    agent_id text,
    speaker text,
    metadata jsonb,
    essential boolean DEFAULT false NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    state text DEFAULT 'extracted'::text NOT NULL,
    announced_at timestamp with time zone,
    rings smallint DEFAULT 0 NOT NULL,
    retry_at timestamp with time zone,
    embedded_at timestamp with time zone,
    compared_at timestamp with time zone,
    settled_at timestamp with time zone,
    standing text,
    canonical_id uuid,
    believed tstzmultirange,
    planned_for timestamp with time zone,
    planned_since timestamp with time zone,
    superseded_by uuid,
    evidence_count integer DEFAULT 1 NOT NULL,
    lexemes tsvector GENERATED ALWAYS AS (memoire_lexemes(content)) STORED,
    pinned boolean DEFAULT false NOT NULL,
    fades_at timestamp with time zone,
    faded boolean DEFAULT false NOT NULL,
    source text DEFAULT 'user'::text NOT NULL,
    suspicions text[],
    traceparent text,
    CONSTRAINT memory_facts_pkey PRIMARY KEY (tenant_id, user_id, id),
    CONSTRAINT memory_facts_cardinality_check CHECK ((cardinality = ANY (ARRAY['one'::text, 'many'::text]))),
    CONSTRAINT memory_facts_claim_check CHECK ((claim = ANY (ARRAY['holds'::text, 'ends'::text, 'denies'::text]))),
    CONSTRAINT memory_facts_source_check CHECK ((source = ANY (ARRAY['user'::text, 'operator'::text, 'assistant'::text, 'tool'::text, 'document'::text]))),
    CONSTRAINT memory_facts_standing_check CHECK ((standing = ANY (ARRAY['belief'::text, 'merged'::text, 'plan'::text, 'retired'::text, 'forgotten'::text, 'quarantined'::text]))),
    CONSTRAINT memory_facts_state_check CHECK ((state = ANY (ARRAY['extracted'::text, 'embedded'::text, 'compared'::text, 'settled'::text]))),
    CONSTRAINT memory_facts_suspicions_check CHECK ((cardinality(suspicions) > 0)),
    CONSTRAINT memory_facts_temporal_state_check CHECK ((temporal_state = ANY (ARRAY['current'::text, 'past'::text, 'future'::text, 'recurring'::text])))
);
CREATE INDEX memory_facts_by_id ON public.memory_facts USING btree (id);
CREATE INDEX memory_facts_essential ON public.memory_facts USING btree (user_id, tenant_id) WHERE essential;
CREATE INDEX memory_facts_of_message ON public.memory_facts USING btree ((source_message_ids[1])) WHERE (session_id IS NOT NULL);
CREATE INDEX memory_facts_of_slot ON public.memory_facts USING btree (slot, subject, user_id, tenant_id) WHERE (slot IS NOT NULL);
CREATE INDEX memory_facts_open ON public.memory_facts USING btree (state, announced_at) WHERE (state <> 'settled'::text);
CREATE INDEX memory_facts_open_of_user ON public.memory_facts USING btree (tenant_id, user_id) WHERE (state <> 'settled'::text);
CREATE INDEX memory_facts_quarantined ON public.memory_facts USING btree (tenant_id, user_id, recorded_at, id) WHERE (standing = 'quarantined'::text);
CREATE INDEX memory_facts_stated ON public.memory_facts USING btree (user_id, tenant_id, said_at, recorded_at) WHERE (session_id IS NULL);
CREATE INDEX memory_facts_superseded ON public.memory_facts USING btree (tenant_id, recorded_at) WHERE (superseded_by IS NOT NULL);
CREATE TRIGGER keep_out_erased BEFORE INSERT ON public.memory_facts FOR EACH ROW EXECUTE FUNCTION keep_out_erased('derived');
CREATE TRIGGER recall_mark_deleted AFTER DELETE ON public.memory_facts FOR EACH ROW WHEN ((old.state = 'settled'::text)) EXECUTE FUNCTION mark_changed_fact();
CREATE TRIGGER recall_mark_inserted AFTER INSERT ON public.memory_facts FOR EACH ROW WHEN ((new.state = 'settled'::text)) EXECUTE FUNCTION mark_changed_fact();
CREATE TRIGGER recall_mark_updated AFTER UPDATE ON public.memory_facts FOR EACH ROW WHEN (((new.state = 'settled'::text) OR (old.state = 'settled'::text))) EXECUTE FUNCTION mark_changed_fact();
ALTER TABLE memory_facts FORCE ROW LEVEL SECURITY;

CREATE TABLE message_marks (
    tenant_id text NOT NULL,
    user_id text NOT NULL,
    token uuid DEFAULT gen_random_uuid() NOT NULL,
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    ids uuid[] NOT NULL,
    swept uuid[],
    CONSTRAINT message_marks_pkey PRIMARY KEY (tenant_id, user_id, token)
);
ALTER TABLE message_marks FORCE ROW LEVEL SECURITY;

CREATE TABLE profile_edges (
    tenant_id text NOT NULL,
    user_id text NOT NULL,
    fact_id uuid NOT NULL,
    place integer NOT NULL,
    CONSTRAINT profile_edges_pkey PRIMARY KEY (tenant_id, user_id, fact_id)
);
CREATE TRIGGER keep_out_erased BEFORE INSERT ON public.profile_edges FOR EACH ROW EXECUTE FUNCTION keep_out_erased('derived');
ALTER TABLE profile_edges FORCE ROW LEVEL SECURITY;

CREATE TABLE profiles (
    tenant_id text NOT NULL,
    user_id text NOT NULL,
    content text NOT NULL,
    written_at timestamp with time zone DEFAULT now() NOT NULL,
    stale_since timestamp with time zone,
    stale_fact uuid,
    written_by text DEFAULT 'template'::text NOT NULL,
    asked_sha256 bytea,
    holds_until timestamp with time zone,
    asked_for_at timestamp with time zone,
    CONSTRAINT profiles_pkey PRIMARY KEY (tenant_id, user_id)
);
CREATE INDEX profiles_ending ON public.profiles USING btree (holds_until) WHERE (stale_since IS NULL);
CREATE INDEX profiles_stale ON public.profiles USING btree (stale_since) WHERE (asked_for_at IS NULL);
CREATE TRIGGER keep_out_erased BEFORE INSERT ON public.profiles FOR EACH ROW EXECUTE FUNCTION keep_out_erased('derived');
ALTER TABLE profiles FORCE ROW LEVEL SECURITY;

CREATE TABLE provider_pauses (
    purpose text NOT NULL,
    provider text NOT NULL,
    model text NOT NULL,
    kind text NOT NULL,
    reason text NOT NULL,
    since timestamp with time zone DEFAULT now() NOT NULL,
    until timestamp with time zone NOT NULL,
    CONSTRAINT provider_pauses_pkey PRIMARY KEY (purpose, provider, model),
    CONSTRAINT provider_pauses_kind_check CHECK ((kind = ANY (ARRAY['away'::text, 'configuration'::text])))
);

CREATE TABLE quota_days (
    tenant_id text NOT NULL,
    day date NOT NULL,
    quota text NOT NULL,
    shard integer NOT NULL,
    used bigint DEFAULT 0 NOT NULL,
    CONSTRAINT quota_days_pkey PRIMARY KEY (tenant_id, day, quota, shard),
    CONSTRAINT quota_days_quota_check CHECK ((quota = ANY (ARRAY['messages_per_day'::text, 'facts_per_day'::text]))),
    CONSTRAINT quota_days_used_check CHECK ((used >= 0))
);
ALTER TABLE quota_days FORCE ROW LEVEL SECURITY;

CREATE TABLE recall_marks (
    tenant_id text NOT NULL,
    user_id text NOT NULL,
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    fact_id uuid NOT NULL,
    token uuid DEFAULT gen_random_uuid() NOT NULL,
    CONSTRAINT recall_marks_pkey PRIMARY KEY (tenant_id, user_id, xid, fact_id)
);
ALTER TABLE recall_marks FORCE ROW LEVEL SECURITY;

CREATE TABLE removed_messages (
    tenant_id text NOT NULL,
    user_id text NOT NULL,
    id uuid NOT NULL,
    session_id text NOT NULL,
    removed_at timestamp with time zone DEFAULT now() NOT NULL,
    erased_at timestamp with time zone,
    CONSTRAINT removed_messages_pkey PRIMARY KEY (tenant_id, user_id, id)
);
CREATE TRIGGER keep_out_erased BEFORE INSERT ON public.removed_messages FOR EACH ROW EXECUTE FUNCTION keep_out_erased('derived');
ALTER TABLE removed_messages FORCE ROW LEVEL SECURITY;

CREATE TABLE replay_messages (
    tenant_id text NOT NULL,
    user_id text NOT NULL,
    generation integer NOT NULL,
    chat_log_id uuid NOT NULL,
    extraction_id uuid,
    CONSTRAINT replay_messages_pkey PRIMARY KEY (tenant_id, user_id, generation, chat_log_id)
);
CREATE TRIGGER keep_out_erased BEFORE INSERT ON public.replay_messages FOR EACH ROW EXECUTE FUNCTION keep_out_erased('derived');
ALTER TABLE replay_messages FORCE ROW LEVEL SECURITY;

CREATE TABLE replays (
    tenant_id text NOT NULL,
    user_id text NOT NULL,
    generation integer NOT NULL,
    state text NOT NULL,
    extractor text,
    model text,
    prompt text,
    session_id text,
    since timestamp with time zone,
    until timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    promoted_at timestamp with time zone,
    replaced_at timestamp with time zone,
    replaced_by integer,
    CONSTRAINT replays_pkey PRIMARY KEY (tenant_id, user_id, generation),
    CONSTRAINT replays_state_check CHECK ((state = ANY (ARRAY['running'::text, 'ready'::text, 'promoted'::text, 'replaced'::text, 'dropping'::text, 'dropped'::text])))
);
CREATE UNIQUE INDEX replays_open ON public.replays USING btree (tenant_id, user_id) WHERE (state = ANY (ARRAY['running'::text, 'ready'::text, 'dropping'::text]));
CREATE TRIGGER keep_out_erased BEFORE INSERT ON public.replays FOR EACH ROW EXECUTE FUNCTION keep_out_erased('derived');
ALTER TABLE replays FORCE ROW LEVEL SECURITY;

CREATE TABLE retention (
    tenant_id text NOT NULL,
    message_days integer,
    superseded_days integer,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT retention_pkey PRIMARY KEY (tenant_id),
    CONSTRAINT retention_message_days_check CHECK ((message_days >= 0)),
    CONSTRAINT retention_superseded_days_check CHECK ((superseded_days >= 0))
);
ALTER TABLE retention FORCE ROW LEVEL SECURITY;

CREATE TABLE schedules (
    kind text NOT NULL,
    slot timestamp with time zone NOT NULL,
    turn bigint DEFAULT '-1'::integer NOT NULL,
    finished_at timestamp with time zone,
    CONSTRAINT schedules_pkey PRIMARY KEY (kind)
);

CREATE TABLE schema_migrations (
    name text NOT NULL,
    sha256 text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT schema_migrations_pkey PRIMARY KEY (name)
);

CREATE TABLE sessions (
    tenant_id text NOT NULL,
    user_id text NOT NULL,
    session_id text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT sessions_pkey PRIMARY KEY (tenant_id, user_id, session_id)
);
CREATE TRIGGER keep_out_erased BEFORE INSERT ON public.sessions FOR EACH ROW EXECUTE FUNCTION keep_out_erased('first');
ALTER TABLE sessions FORCE ROW LEVEL SECURITY;

CREATE TABLE slot_refolds (
    tenant_id text NOT NULL,
    names text[] NOT NULL,
    after_user text DEFAULT ''::text NOT NULL,
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    requested_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT slot_refolds_pkey PRIMARY KEY (tenant_id)
);
ALTER TABLE slot_refolds FORCE ROW LEVEL SECURITY;

CREATE TABLE slots (
    tenant_id text NOT NULL,
    name text NOT NULL,
    category text NOT NULL,
    cardinality text NOT NULL,
    as_said boolean DEFAULT false NOT NULL,
    kind text NOT NULL,
    synonyms text[] DEFAULT '{}'::text[] NOT NULL,
    lasts_days double precision,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT slots_pkey PRIMARY KEY (tenant_id, name),
    CONSTRAINT slots_cardinality_check CHECK ((cardinality = ANY (ARRAY['one'::text, 'many'::text]))),
    CONSTRAINT slots_lasts_days_check CHECK ((lasts_days > (0)::double precision))
);
ALTER TABLE slots FORCE ROW LEVEL SECURITY;

CREATE TABLE spending (
    tenant_id text NOT NULL,
    day date NOT NULL,
    purpose text NOT NULL,
    provider text NOT NULL,
    model text NOT NULL,
    calls bigint DEFAULT 0 NOT NULL,
    failed bigint DEFAULT 0 NOT NULL,
    input_tokens bigint DEFAULT 0 NOT NULL,
    output_tokens bigint DEFAULT 0 NOT NULL,
    money numeric(20,6) DEFAULT 0 NOT NULL,
    CONSTRAINT spending_pkey PRIMARY KEY (tenant_id, day, purpose, provider, model)
);
ALTER TABLE spending FORCE ROW LEVEL SECURITY;

CREATE TABLE tenant_limits (
    tenant_id text NOT NULL,
    requests_per_minute integer,
    key_requests_per_minute integer,
    messages_per_day bigint,
    facts_per_day bigint,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT tenant_limits_pkey PRIMARY KEY (tenant_id),
    CONSTRAINT tenant_limits_facts_per_day_check CHECK ((facts_per_day >= 0)),
    CONSTRAINT tenant_limits_key_requests_per_minute_check CHECK ((key_requests_per_minute >= 0)),
    CONSTRAINT tenant_limits_messages_per_day_check CHECK ((messages_per_day >= 0)),
    CONSTRAINT tenant_limits_requests_per_minute_check CHECK ((requests_per_minute >= 0))
);
ALTER TABLE tenant_limits FORCE ROW LEVEL SECURITY;

CREATE TABLE tenants (
    tenant_id text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT tenants_pkey PRIMARY KEY (tenant_id)
);
ALTER TABLE tenants FORCE ROW LEVEL SECURITY;

CREATE TABLE users (
    tenant_id text NOT NULL,
    user_id text NOT NULL,
    generation integer DEFAULT 1 NOT NULL,
    belief_version bigint DEFAULT 0 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    judging_by text,
    judging_until timestamp with time zone,
    CONSTRAINT users_pkey PRIMARY KEY (tenant_id, user_id)
);
CREATE INDEX users_by_turn ON public.users USING btree (((hashtextextended(((tenant_id || chr(31)) || user_id), (0)::bigint) & (2147483647)::bigint)));
CREATE TRIGGER keep_out_erased BEFORE INSERT ON public.users FOR EACH ROW EXECUTE FUNCTION begin_anew();
ALTER TABLE users FORCE ROW LEVEL SECURITY;

CREATE TABLE verdicts (
    tenant_id text NOT NULL,
    user_id text NOT NULL,
    first_id uuid NOT NULL,
    second_id uuid NOT NULL,
    verdict text NOT NULL,
    judge text NOT NULL,
    reason text NOT NULL,
    cosine real,
    recorded_at timestamp with time zone DEFAULT now() NOT NULL,
    judgement_id uuid,
    CONSTRAINT verdicts_pkey PRIMARY KEY (tenant_id, user_id, first_id, second_id),
    CONSTRAINT verdicts_check CHECK ((first_id < second_id)),
    CONSTRAINT verdicts_verdict_check CHECK ((verdict = ANY (ARRAY['independent'::text, 'duplicate'::text, 'refines'::text, 'supersedes'::text, 'doubtful'::text])))
);
CREATE INDEX verdicts_by_second ON public.verdicts USING btree (second_id, user_id, tenant_id);
CREATE INDEX verdicts_undecided ON public.verdicts USING btree (recorded_at) WHERE ((verdict = 'doubtful'::text) AND (judge = 'guards'::text));
CREATE TRIGGER keep_out_erased BEFORE INSERT ON public.verdicts FOR EACH ROW EXECUTE FUNCTION keep_out_erased('derived');
ALTER TABLE verdicts FORCE ROW LEVEL SECURITY;
