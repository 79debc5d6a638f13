-- name: slots_of_tenants
-- Reads the slots that these tenants added or changed.
SELECT tenant_id, name, category, cardinality, as_said, kind, synonyms, lasts_days, updated_at
  FROM slots
 WHERE tenant_id = ANY(%(tenants)s::text[])
 ORDER BY tenant_id, name;

-- name: lock_slots
-- Lets one change of a tenant's slots go at a time, so that no two take the same synonym.
SELECT pg_advisory_xact_lock(hashtextextended('slots' || chr(31) || %(tenant)s::text, 0));

-- name: put_slot
-- Adds or replaces a tenant's slot, and the tenant if it is its first row.
WITH new_tenant AS (
    INSERT INTO tenants (tenant_id) VALUES (%(tenant)s) ON CONFLICT DO NOTHING
)
INSERT INTO slots (tenant_id, name, category, cardinality, as_said, kind, synonyms, lasts_days)
VALUES (%(tenant)s, %(name)s, %(category)s, %(cardinality)s, %(as_said)s, %(kind)s,
        %(synonyms)s::text[], %(lasts_days)s)
    ON CONFLICT (tenant_id, name) DO UPDATE
   SET category = excluded.category, cardinality = excluded.cardinality, as_said = excluded.as_said,
       kind = excluded.kind, synonyms = excluded.synonyms, lasts_days = excluded.lasts_days,
       updated_at = now();

-- name: remove_slot
-- Removes a tenant's slot.
DELETE FROM slots WHERE tenant_id = %(tenant)s AND name = %(name)s RETURNING name;

-- name: ask_refold
-- Notes that facts under these names are to be folded anew; a change before it is joined with it.
INSERT INTO slot_refolds AS r (tenant_id, names) VALUES (%(tenant)s, %(names)s::text[])
    ON CONFLICT (tenant_id) DO UPDATE
   SET names = ARRAY(SELECT DISTINCT unnest(r.names || excluded.names) ORDER BY 1), after_user = '',
       xid = pg_current_xact_id(), requested_at = now();

-- name: refold_open
-- Says whether a tenant's users still follow a change.
SELECT EXISTS (SELECT FROM slot_refolds WHERE tenant_id = %(tenant)s) AS open;

-- name: anything_to_refold
-- Says whether any tenant's users have to follow a change.
SELECT EXISTS (SELECT FROM slot_refolds) AS open;

-- name: spread_refold
-- Asks for the consolidation of the next users of the longest waiting change, and moves on; it ends
-- when no user is left. The users are read by key, so that a step costs the same in a tenant of millions.
WITH due AS MATERIALIZED (
    SELECT tenant_id, names, after_user FROM slot_refolds
     WHERE xid < pg_snapshot_xmin(pg_current_snapshot())
     ORDER BY requested_at, tenant_id LIMIT 1 FOR UPDATE SKIP LOCKED
), next AS MATERIALIZED (
    SELECT u.user_id FROM due JOIN users u ON u.tenant_id = due.tenant_id AND u.user_id > due.after_user
     ORDER BY u.user_id LIMIT %(limit)s
), moved AS (
    UPDATE slot_refolds r SET after_user = (SELECT max(user_id) FROM next)
      FROM due WHERE r.tenant_id = due.tenant_id AND EXISTS (SELECT FROM next)
), ended AS (
    DELETE FROM slot_refolds r USING due
     WHERE r.tenant_id = due.tenant_id AND NOT EXISTS (SELECT FROM next)
)
INSERT INTO jobs (tenant_id, user_id, id, kind, announced_at)
SELECT due.tenant_id, next.user_id, gen_random_uuid(), 'consolidate', now()
  FROM due CROSS JOIN next
 WHERE EXISTS (SELECT FROM memory_facts f
                WHERE f.tenant_id = due.tenant_id AND f.user_id = next.user_id AND f.slot = ANY(due.names)
                  AND f.state = 'settled')
RETURNING tenant_id, user_id, id, announced_at;

-- name: proposed_slots
-- Lists names that a tenant's facts have and no catalogue knows, from name to name along the index;
-- of each at most so many facts are counted.
WITH RECURSIVE names (slot) AS (
    (SELECT slot FROM memory_facts WHERE slot IS NOT NULL ORDER BY slot LIMIT 1)
    UNION ALL
    SELECT (SELECT slot FROM memory_facts WHERE slot IS NOT NULL AND slot > names.slot
             ORDER BY slot LIMIT 1)
      FROM names WHERE names.slot IS NOT NULL
)
SELECT names.slot AS name, found.facts, found.many
  FROM names
 CROSS JOIN LATERAL (
       SELECT count(*)::int AS facts, bool_or(cardinality = 'many') AS many
         FROM (SELECT cardinality FROM memory_facts f
                WHERE f.slot = names.slot AND f.tenant_id = %(tenant)s
                  AND coalesce(f.standing, '') NOT IN ('forgotten', 'quarantined')
                LIMIT %(counted)s) AS sample) AS found
 WHERE names.slot <> ALL(%(known)s::text[]) AND found.facts > 0
 ORDER BY names.slot
 LIMIT %(limit)s;
