-- What gives a kind of job work beside what the pipeline learns: something that only this kind counts, as
-- far as its last run had seen it; the moment at which time alone does; other rules than the last run had.
ALTER TABLE job_runs
    ADD COLUMN news      bigint NOT NULL DEFAULT 0,
    ADD COLUMN seen_news bigint NOT NULL DEFAULT 0,
    ADD COLUMN due_at    timestamptz,
    ADD COLUMN rules     text   NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN seen_news bigint;  -- the kind's news of the user when it began
