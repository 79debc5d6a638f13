-- Erasing everything about a user: a tombstone first, then the rows, in batches.
--
-- The tombstone takes the user's row with it. From then on nothing about the user comes in or into being:
-- every table about users asks before a row is added. While rows are left (`gone_at` is null) nothing is
-- admitted; afterwards the user may begin anew, and what was thought about the old ones adds nothing.
CREATE TABLE erasures (
    tenant_id       text        NOT NULL,
    user_sha256     bytea       NOT NULL,
    id              uuid        NOT NULL,
    scope           text        NOT NULL CHECK (scope IN ('user', 'session', 'message')),
    session_sha256  bytea,
    user_id         text,                    -- until it is finished: then the digest alone is left
    requested_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    requested_by    text        NOT NULL,
    stream_ms       numeric(20) NOT NULL,    -- entries of memoire:messages up to here came before
    stream_seq      numeric(20) NOT NULL,
    counts          jsonb       NOT NULL DEFAULT '{}',
    streams         jsonb,                   -- what was taken out of Redis; null: it was away
    gone_at         timestamptz,
    finished_at     timestamptz,
    PRIMARY KEY (tenant_id, user_sha256, id)
);
CREATE UNIQUE INDEX erasures_one_at_a_time ON erasures (tenant_id, user_sha256)
 WHERE scope = 'user' AND gone_at IS NULL;
CREATE INDEX erasures_unfinished ON erasures (requested_at) WHERE finished_at IS NULL;
CREATE INDEX erasures_by_time ON erasures (requested_at);

-- Ids of erased messages and stated facts, so that a retry of an old one is told from a new one. They are
-- digests of what the caller named them; nothing says whose they were.
CREATE TABLE erased_ids (
    tenant_id  text        NOT NULL,
    id         uuid        NOT NULL,
    PRIMARY KEY (tenant_id, id)
);

CREATE INDEX failures_of_user ON failures (user_id, tenant_id) WHERE user_id IS NOT NULL;

CREATE FUNCTION memoire_user_sha256(of_tenant text, of_user text) RETURNS bytea
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN sha256(convert_to(of_tenant || chr(31) || of_user, 'UTF8'));

-- Names the lock that a user's tombstone waits for: whoever adds rows holds it shared until its end. A few
-- hundred of them serve everybody.
CREATE FUNCTION memoire_erasure_lock(of_tenant text, of_user text) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (hashtextextended(of_tenant || chr(31) || of_user, 0) & 255)::integer;

-- Keeps a tombstone of this user from being set before our transaction ends, and tells whether rows about
-- the user may be added. First rows (a message, the user) may once all old ones are gone; those that
-- come of others only while the user is there.
CREATE FUNCTION memoire_admits(of_tenant text, of_user text, first_rows boolean) RETURNS boolean
    LANGUAGE plpgsql AS $$
DECLARE
    erasing boolean;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(1835362657, memoire_erasure_lock(of_tenant, of_user));
    SELECT bool_or(gone_at IS NULL) INTO erasing FROM erasures
     WHERE tenant_id = of_tenant AND user_sha256 = memoire_user_sha256(of_tenant, of_user)
       AND scope = 'user';
    IF erasing IS NULL THEN
        RETURN true;
    ELSIF erasing THEN
        RETURN false;
    END IF;
    RETURN first_rows OR EXISTS (SELECT FROM users WHERE tenant_id = of_tenant AND user_id = of_user);
END $$;

CREATE FUNCTION keep_out_erased() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF memoire_admits(NEW.tenant_id, NEW.user_id, TG_ARGV[0] = 'first') THEN
        RETURN NEW;
    END IF;
    RETURN NULL;
END $$;

-- An entry's failure is its first row, a row's failure comes of it: where somebody was ever erased, only if
-- that row is there. (What a stage says of a failure may quote what it worked on.)
CREATE FUNCTION keep_out_failure() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT memoire_admits(NEW.tenant_id, NEW.user_id, NEW.payload IS NOT NULL) THEN
        RETURN NULL;
    END IF;
    IF NEW.payload IS NULL
       AND EXISTS (SELECT FROM erasures WHERE tenant_id = NEW.tenant_id AND scope = 'user'
                      AND user_sha256 = memoire_user_sha256(NEW.tenant_id, NEW.user_id))
       AND NOT EXISTS (SELECT FROM chat_logs WHERE tenant_id = NEW.tenant_id AND user_id = NEW.user_id
                          AND id::text = NEW.subject_id
                       UNION ALL
                       SELECT FROM memory_facts WHERE tenant_id = NEW.tenant_id AND user_id = NEW.user_id
                          AND id::text = NEW.subject_id
                       UNION ALL
                       SELECT FROM jobs WHERE tenant_id = NEW.tenant_id AND user_id = NEW.user_id
                          AND id::text = NEW.subject_id) THEN
        RETURN NULL;
    END IF;
    RETURN NEW;
END $$;

-- Who begins anew has a version that no stage has seen: what was decided about the old facts never fits.
CREATE FUNCTION begin_anew() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT memoire_admits(NEW.tenant_id, NEW.user_id, true) THEN
        RETURN NULL;
    END IF;
    IF EXISTS (SELECT FROM erasures WHERE tenant_id = NEW.tenant_id AND scope = 'user'
                  AND user_sha256 = memoire_user_sha256(NEW.tenant_id, NEW.user_id)) THEN
        NEW.belief_version := greatest(NEW.belief_version,
                                       floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint);
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER keep_out_erased BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION begin_anew();
CREATE TRIGGER keep_out_erased BEFORE INSERT ON sessions
    FOR EACH ROW EXECUTE FUNCTION keep_out_erased('first');
CREATE TRIGGER keep_out_erased BEFORE INSERT ON chat_logs
    FOR EACH ROW EXECUTE FUNCTION keep_out_erased('first');
CREATE TRIGGER keep_out_erased BEFORE INSERT ON failures
    FOR EACH ROW WHEN (NEW.user_id IS NOT NULL) EXECUTE FUNCTION keep_out_failure();

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'belief_acts', 'essential_rankings', 'events', 'extractions', 'fact_uses', 'fact_vectors',
        'job_runs', 'jobs', 'judgements', 'memory_facts', 'profile_edges', 'profiles',
        'removed_messages', 'replay_messages', 'replays', 'verdicts']
    LOOP
        EXECUTE format('CREATE TRIGGER keep_out_erased BEFORE INSERT ON %I
                            FOR EACH ROW EXECUTE FUNCTION keep_out_erased(''derived'')', name);
    END LOOP;
END $$;

-- Deletes rows about a user from one table, at most so many (all, if null); returns how many. The ids of
-- messages, and of facts that were stated without one, are remembered.
CREATE FUNCTION memoire_erase(from_table text, of_tenant text, of_user text, at_most integer)
    RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    chosen text := 'tenant_id = $1 AND user_id = $2';
    remembered text := CASE WHEN from_table IN ('chat_logs', 'removed_messages') THEN 'true'
                            WHEN from_table = 'memory_facts' THEN 'session_id IS NULL' END;
    erased bigint;
BEGIN
    IF at_most IS NOT NULL THEN
        chosen := format('ctid = ANY (ARRAY(SELECT ctid FROM %I WHERE %s LIMIT $3 FOR UPDATE))',
                         from_table, chosen);
    END IF;
    IF remembered IS NULL THEN
        EXECUTE format('DELETE FROM %I WHERE %s', from_table, chosen) USING of_tenant, of_user, at_most;
        GET DIAGNOSTICS erased = ROW_COUNT;
    ELSE
        EXECUTE format('WITH gone AS (DELETE FROM %I WHERE %s RETURNING id, %s AS remembered), kept AS (
                            INSERT INTO erased_ids (tenant_id, id) SELECT $1, id FROM gone WHERE remembered
                                ON CONFLICT DO NOTHING)
                        SELECT count(*) FROM gone', from_table, chosen, remembered)
           INTO erased USING of_tenant, of_user, at_most;
    END IF;
    RETURN erased;
END $$;
