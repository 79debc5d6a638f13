-- After `pg_restore` into another cluster, before any process of Mémoire is started:
--
--   psql --single-transaction --set ON_ERROR_STOP=1 --file deploy/postgres/after-restore.sql "$URL"
--
-- Ids of transactions belong to one cluster. In a younger one, rows that came with ids from the old
-- one would seem to be of transactions that have yet to run: readers of events would be shown
-- nothing for days, and a change of slots would wait as long. (A physical backup keeps the counter:
-- nothing of this is needed there.)

-- Who does not see every row would change none, and not be told.
DO $$ BEGIN
    IF NOT pg_has_role('memoire_operator', 'USAGE') THEN
        RAISE EXCEPTION 'not a member of memoire_operator: deploy/postgres/roles.sql comes first';
    END IF;
END $$;

-- Events keep their order, which is that of `seq`, and get positions of this cluster.
UPDATE events SET xid = pg_current_xact_id();
UPDATE event_horizons SET xid = pg_current_xact_id();

UPDATE slot_refolds SET xid = pg_current_xact_id();

-- What gateways kept in memory is gone with them: one fresh mark a user, as migrations 0013 and 0026 began.
DELETE FROM recall_marks;
INSERT INTO recall_marks (tenant_id, user_id, fact_id)
SELECT DISTINCT tenant_id, user_id, '00000000-0000-0000-0000-000000000000'::uuid FROM memory_facts;
DELETE FROM message_marks;
INSERT INTO message_marks (tenant_id, user_id, ids) SELECT tenant_id, user_id, '{}' FROM users;

-- Plans of young tables are bad ones.
ANALYZE;
