-- Jobs that the clock asks for, and jobs that work in batches.

-- What a kind is, the program knows: a module a kind. One that this version does not know is parked.
ALTER TABLE jobs DROP CONSTRAINT jobs_kind_check;
ALTER TABLE jobs ADD CONSTRAINT jobs_kind_check CHECK (kind <> '');

ALTER TABLE jobs
    ADD COLUMN due_slot      timestamptz,                 -- the moment of the schedule it is for; null: asked for
    ADD COLUMN started_at    timestamptz,                 -- what is asked for later than this is another job
    ADD COLUMN attempt       integer NOT NULL DEFAULT 0,  -- the fence: only the last one to begin may commit
    ADD COLUMN seen_version  bigint,                      -- the user's belief_version when it began
    ADD COLUMN cursor        jsonb;                       -- where its last batch came to

-- A slot asks once for a user's job, however many schedulers there are.
CREATE UNIQUE INDEX jobs_of_slot ON jobs (tenant_id, user_id, kind, due_slot) WHERE due_slot IS NOT NULL;
CREATE INDEX jobs_open_of_user ON jobs (tenant_id, user_id, kind) WHERE state = 'requested';
CREATE INDEX jobs_scheduled ON jobs (kind)
 WHERE state = 'requested' AND due_slot IS NOT NULL AND retry_at IS DISTINCT FROM 'infinity';
CREATE INDEX jobs_done ON jobs (kind, finished_at) WHERE state = 'done';

-- The last run of a kind for a user: what it had seen tells whether there is anything new.
CREATE TABLE job_runs (
    tenant_id     text        NOT NULL,
    user_id       text        NOT NULL,
    kind          text        NOT NULL,
    last_version  bigint      NOT NULL,
    last_run_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, user_id, kind)
);

-- How far the round of a kind's last slot has come. Users take their turn in the order of a hash, so
-- that tenants are mixed and a round spreads over time; everybody below `turn` has had theirs.
CREATE TABLE schedules (
    kind         text        PRIMARY KEY,
    slot         timestamptz NOT NULL,
    turn         bigint      NOT NULL DEFAULT -1,
    finished_at  timestamptz
);
CREATE INDEX users_by_turn
    ON users ((hashtextextended(tenant_id || chr(31) || user_id, 0) & 2147483647));
