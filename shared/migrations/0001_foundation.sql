-- Everything Mémoire holds. (tenant_id, user_id) lead the key of every table about a user, so one
-- user's cost never depends on another's rows and tables can be distributed by user. Other indexes begin
-- with another column: while a table has no statistics the planner takes any index that begins with
-- (tenant_id, user_id) for as good as the primary key, and reads all of a user's rows to find one.

CREATE EXTENSION IF NOT EXISTS vector;
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE EXTENSION IF NOT EXISTS unaccent;

-- English stems after accents are folded: "Café" and "cafes" meet.
CREATE TEXT SEARCH CONFIGURATION memoire (COPY = pg_catalog.english);
ALTER TEXT SEARCH CONFIGURATION memoire
    ALTER MAPPING FOR asciiword, asciihword, hword_asciipart, word, hword, hword_part
    WITH unaccent, english_stem;

CREATE TABLE tenants (
    tenant_id   text        PRIMARY KEY,
    created_at  timestamptz NOT NULL DEFAULT now()
);
INSERT INTO tenants (tenant_id) VALUES ('default');

-- Only the SHA-256 of a secret is stored.
CREATE TABLE api_keys (
    id             uuid        PRIMARY KEY,
    tenant_id      text        NOT NULL REFERENCES tenants,
    name           text        NOT NULL,
    scope          text        NOT NULL CHECK (scope IN ('admin', 'write', 'read')),
    secret_sha256  bytea       NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    expires_at     timestamptz,
    revoked_at     timestamptz
);
CREATE INDEX api_keys_of_tenant ON api_keys (tenant_id, created_at);

CREATE TABLE users (
    tenant_id       text        NOT NULL,
    user_id         text        NOT NULL,
    generation      integer     NOT NULL DEFAULT 1,  -- whose facts count; replay promotes another
    belief_version  bigint      NOT NULL DEFAULT 0,  -- grows with every fact that others are compared with
    created_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, user_id)
);

CREATE TABLE sessions (
    tenant_id   text        NOT NULL,
    user_id     text        NOT NULL,
    session_id  text        NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, user_id, session_id)
);

-- The raw messages. id = uuid5 of the caller's message_id, so a second delivery finds the first.
CREATE TABLE chat_logs (
    tenant_id      text        NOT NULL,
    user_id        text        NOT NULL,
    id             uuid        NOT NULL,
    session_id     text        NOT NULL,
    message_key    text        NOT NULL,              -- breaks ties of said_at, in natural order
    content_sha256 bytea       NOT NULL,              -- of all the caller said: same key, other content
    role           text        NOT NULL CHECK (role IN ('user', 'assistant', 'system', 'tool')),
    content        text        NOT NULL,
    agent_id       text,
    speaker        text,
    metadata       jsonb,
    said_at        timestamptz NOT NULL,
    recorded_at    timestamptz NOT NULL DEFAULT now(),
    state          text        NOT NULL DEFAULT 'received'
                   CHECK (state IN ('received', 'extracting', 'extracted')),
    extraction_id  uuid,                              -- the reservation that holds or held it
    announced_at   timestamptz,                       -- null: waits for its tenant's window
    rings          smallint    NOT NULL DEFAULT 0,    -- re-announcements since the last transition
    retry_at       timestamptz,                       -- due retry; infinity: dead
    extracted_at   timestamptz,
    PRIMARY KEY (tenant_id, user_id, id)
);
CREATE INDEX chat_logs_by_id ON chat_logs (id);
CREATE INDEX chat_logs_of_session ON chat_logs (session_id, user_id, tenant_id, said_at);
-- What the sweeper asks tenant by tenant. Its condition is another one than that of the index below, so
-- that a question about one session never reads all that a tenant waits for.
CREATE INDEX chat_logs_open ON chat_logs (tenant_id, announced_at) WHERE extracted_at IS NULL;
CREATE INDEX chat_logs_open_of_session ON chat_logs (session_id, user_id, tenant_id)
    WHERE state IN ('received', 'extracting');

-- What a retried request was answered, by the caller's Idempotency-Key.
CREATE TABLE idempotency_keys (
    tenant_id    text        NOT NULL,
    key          text        NOT NULL,
    body_sha256  bytea       NOT NULL,
    ids          uuid[]      NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, key)
);

-- One per model call (or pass of the rules): first the reservation of a session, then its record.
CREATE TABLE extractions (
    tenant_id      text        NOT NULL,
    user_id        text        NOT NULL,
    id             uuid        NOT NULL,
    session_id     text        NOT NULL,
    state          text        NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'done', 'failed')),
    lease_until    timestamptz NOT NULL,
    worker         text        NOT NULL,
    attempts       smallint    NOT NULL DEFAULT 1,    -- that began; a crash loop shows here
    extractor      text,                              -- llm or rules
    model          text,
    prompt         text,                              -- version of the prompt, as in extract.v1
    answer         jsonb,                             -- the paid answer; the first saved one wins
    input_tokens   integer,
    output_tokens  integer,
    dropped        jsonb,                             -- facts refused, counted by reason
    created_at     timestamptz NOT NULL DEFAULT now(),
    finished_at    timestamptz,
    PRIMARY KEY (tenant_id, user_id, id)
);
CREATE UNIQUE INDEX extractions_open ON extractions (session_id, user_id, tenant_id)
    WHERE state = 'open';

-- One observation: what one message said. Content never changes; the columns below "what follows
-- from the law" are a cache of the fold in shared/beliefs.
CREATE TABLE memory_facts (
    tenant_id           text        NOT NULL,
    user_id             text        NOT NULL,
    id                  uuid        NOT NULL,
    generation          integer     NOT NULL,          -- 0: stated directly, counts in every generation
    content             text        NOT NULL,
    lexemes             tsvector    GENERATED ALWAYS AS (to_tsvector('memoire', content)) STORED,
    category            text        NOT NULL,
    subject             text        NOT NULL,
    slot                text,
    value               text,
    value_key           text,
    cardinality         text        CHECK (cardinality IN ('one', 'many')),
    claim               text        NOT NULL CHECK (claim IN ('holds', 'ends', 'denies')),
    temporal_state      text        NOT NULL
                        CHECK (temporal_state IN ('current', 'past', 'future', 'recurring')),
    occurred_at         timestamptz,
    occurred_precision  text,
    ended_at            timestamptz,
    ended_precision     text,
    said_at             timestamptz NOT NULL,
    recorded_at         timestamptz NOT NULL,          -- the message's arrival; survives a replay
    message_key         text        NOT NULL,
    ordinal             integer     NOT NULL,          -- within the message
    confidence          real        NOT NULL,
    quote               text,
    source_message_ids  uuid[]      NOT NULL,
    extraction_id       uuid,
    session_id          text,
    agent_id            text,
    speaker             text,
    metadata            jsonb,
    essential           boolean     NOT NULL DEFAULT false,
    created_at          timestamptz NOT NULL DEFAULT now(),
    -- how far processing got
    state               text        NOT NULL DEFAULT 'extracted'
                        CHECK (state IN ('extracted', 'embedded', 'compared', 'settled')),
    announced_at        timestamptz,
    rings               smallint    NOT NULL DEFAULT 0,
    retry_at            timestamptz,
    embedded_at         timestamptz,
    compared_at         timestamptz,
    settled_at          timestamptz,
    -- what follows from the law
    standing            text        CHECK (standing IN ('belief', 'merged', 'plan', 'retired', 'forgotten')),
    canonical_id        uuid,
    believed            tstzmultirange,                -- when it is held true; may have gaps
    planned_for         timestamptz,
    planned_since       timestamptz,
    superseded_by       uuid,
    evidence_count      integer     NOT NULL DEFAULT 1,
    PRIMARY KEY (tenant_id, user_id, id)
);
CREATE INDEX memory_facts_by_id ON memory_facts (id);
CREATE INDEX memory_facts_of_slot ON memory_facts (slot, subject, user_id, tenant_id) WHERE slot IS NOT NULL;
CREATE INDEX memory_facts_open ON memory_facts (state, announced_at) WHERE state <> 'settled';
CREATE INDEX memory_facts_open_of_user ON memory_facts (tenant_id, user_id) WHERE state <> 'settled';

-- Written once, apart from the facts, so that a fact's transitions never rewrite a vector.
CREATE TABLE fact_vectors (
    tenant_id  text     NOT NULL,
    user_id    text     NOT NULL,
    fact_id    uuid     NOT NULL,
    model      text     NOT NULL,
    embedding  halfvec  NOT NULL,
    PRIMARY KEY (tenant_id, user_id, model, fact_id)
);

-- What was decided about an unordered pair of free-text facts (first < second): an input of the law.
CREATE TABLE verdicts (
    tenant_id    text        NOT NULL,
    user_id      text        NOT NULL,
    first_id     uuid        NOT NULL,
    second_id    uuid        NOT NULL,
    verdict      text        NOT NULL
                 CHECK (verdict IN ('independent', 'duplicate', 'refines', 'supersedes', 'doubtful')),
    judge        text        NOT NULL,                -- guards, or the model
    reason       text        NOT NULL,
    cosine       real,
    recorded_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, user_id, first_id, second_id),
    CHECK (first_id < second_id)
);
CREATE INDEX verdicts_by_second ON verdicts (second_id, user_id, tenant_id);

-- Operators' acts and tombstones: inputs of the law beside the observations.
CREATE TABLE belief_acts (
    tenant_id           text        NOT NULL,
    user_id             text        NOT NULL,
    id                  uuid        NOT NULL,
    kind                text        NOT NULL CHECK (kind IN ('correction', 'tombstone')),
    fact_id             uuid,
    subject             text        NOT NULL,
    slot                text,
    value               text,
    value_key           text,
    old_value_key       text,                         -- what a correction denies,
    valid_from          timestamptz,                  -- for the stretch the operator saw
    valid_to            timestamptz,
    source_message_ids  uuid[]      NOT NULL DEFAULT '{}',
    acted_at            timestamptz NOT NULL DEFAULT now(),
    actor               text        NOT NULL,
    reason              text,
    PRIMARY KEY (tenant_id, user_id, id)
);

-- What failed, at which stage, how often, when it is tried again, and since when it is dead.
CREATE TABLE failures (
    id               uuid        PRIMARY KEY,
    stage            text        NOT NULL,
    subject_id       text        NOT NULL,            -- a chat log, fact, job or stream entry
    tenant_id        text        NOT NULL,
    user_id          text,
    attempts         integer     NOT NULL,
    error_class      text        NOT NULL,
    error            text        NOT NULL,
    payload          jsonb,                           -- only where there is no row yet
    first_failed_at  timestamptz NOT NULL DEFAULT now(),
    next_attempt_at  timestamptz,
    dead_at          timestamptz,
    UNIQUE (stage, tenant_id, subject_id)
);
CREATE INDEX failures_dead ON failures (tenant_id, dead_at, id) WHERE dead_at IS NOT NULL;
CREATE INDEX failures_due ON failures (next_attempt_at) WHERE next_attempt_at IS NOT NULL;

CREATE TABLE jobs (
    tenant_id     text        NOT NULL,
    user_id       text        NOT NULL,
    id            uuid        NOT NULL,
    kind          text        NOT NULL CHECK (kind IN ('optimize', 'decay', 'consolidate')),
    state         text        NOT NULL DEFAULT 'requested' CHECK (state IN ('requested', 'done')),
    requested_at  timestamptz NOT NULL DEFAULT now(),
    announced_at  timestamptz,
    rings         smallint    NOT NULL DEFAULT 0,
    retry_at      timestamptz,
    finished_at   timestamptz,
    result        jsonb,
    PRIMARY KEY (tenant_id, user_id, id)
);
CREATE INDEX jobs_by_id ON jobs (id);
CREATE INDEX jobs_open ON jobs (kind, announced_at) WHERE state = 'requested';

-- What happened, append only. A reader goes no further than its snapshot's xmin, because sequence
-- numbers commit out of order.
CREATE TABLE events (
    seq        bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    xid        xid8        NOT NULL DEFAULT pg_current_xact_id(),
    tenant_id  text        NOT NULL,
    user_id    text        NOT NULL,
    event      text        NOT NULL,
    fact_id    uuid,
    trace_id   uuid,
    at         timestamptz NOT NULL DEFAULT now(),
    data       jsonb
);
CREATE INDEX events_of_fact ON events (tenant_id, user_id, fact_id);
