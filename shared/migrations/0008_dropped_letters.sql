-- A dead letter that is dropped stays as a record of who gave it up and why; its payload goes.
ALTER TABLE failures
    ADD COLUMN dropped_at timestamptz,
    ADD COLUMN dropped_by text,
    ADD COLUMN drop_reason text;

DROP INDEX failures_dead;
CREATE INDEX failures_dead ON failures (tenant_id, dead_at, id) WHERE dead_at IS NOT NULL AND dropped_at IS NULL;
