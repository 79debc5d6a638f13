-- name: hold_user
-- Takes the user's row: most who hold it add rows afterwards, and would wait for us otherwise.
SELECT 1 AS held FROM users WHERE tenant_id = %(tenant)s AND user_id = %(user)s FOR UPDATE;

-- name: lock_user
-- Waits for every transaction that adds rows about this user, and keeps others from beginning.
SELECT pg_advisory_xact_lock(1835362657, memoire_erasure_lock(%(tenant)s::text, %(user)s::text));

-- name: set_tombstone
-- Sets a user's tombstone and takes the user's row; nothing while an earlier one is not done.
WITH person AS (
    DELETE FROM users WHERE tenant_id = %(tenant)s AND user_id = %(user)s RETURNING 1
)
INSERT INTO erasures (tenant_id, user_sha256, id, scope, user_id, requested_by, stream_ms, stream_seq, counts)
SELECT %(tenant)s, memoire_user_sha256(%(tenant)s::text, %(user)s::text), %(id)s, 'user', %(user)s, %(actor)s,
       coalesce(%(ms)s::numeric, floor(extract(epoch FROM clock_timestamp()) * 1000)),
       coalesce(%(sequence)s::numeric, 0), jsonb_strip_nulls(jsonb_build_object('users', nullif(count(*), 0)))
  FROM person
    ON CONFLICT (tenant_id, user_sha256) WHERE scope = 'user' AND gone_at IS NULL DO NOTHING
RETURNING id;

-- name: set_finished_tombstone
-- Sets the tombstone of a session or message that is erased in the same transaction.
INSERT INTO erasures (tenant_id, user_sha256, id, scope, session_sha256, requested_by, stream_ms, stream_seq,
                      counts, streams, gone_at, finished_at)
VALUES (%(tenant)s, memoire_user_sha256(%(tenant)s::text, %(user)s::text), %(id)s, %(scope)s,
        %(session_sha256)s::bytea, %(actor)s,
        coalesce(%(ms)s::numeric, floor(extract(epoch FROM clock_timestamp()) * 1000)),
        coalesce(%(sequence)s::numeric, 0), %(counts)s::jsonb, '{}', clock_timestamp(), clock_timestamp());

-- name: open_tombstone
-- Finds a user's erasure that is not done.
SELECT id FROM erasures
 WHERE tenant_id = %(tenant)s AND user_sha256 = memoire_user_sha256(%(tenant)s::text, %(user)s::text)
   AND scope = 'user' AND gone_at IS NULL;

-- name: take
-- Takes an unfinished erasure for this transaction; nothing when it is finished, or somebody has it.
SELECT tenant_id, user_id, id, counts, stream_ms, stream_seq, gone_at IS NOT NULL AS gone,
       coalesce(gone_at, clock_timestamp()) AS gone_by
  FROM erasures
 WHERE tenant_id = %(tenant)s AND user_sha256 = %(user_sha256)s AND id = %(id)s AND finished_at IS NULL
   FOR UPDATE SKIP LOCKED;

-- name: is_over
-- Says whether nothing is left of an erasure's user in the database.
SELECT gone_at IS NOT NULL AS over FROM erasures
 WHERE tenant_id = %(tenant)s AND user_sha256 = %(user_sha256)s AND id = %(id)s;

-- name: unfinished
-- Lists erasures that nobody has finished, the oldest first.
SELECT tenant_id, user_sha256, id FROM erasures
 WHERE finished_at IS NULL ORDER BY requested_at LIMIT %(limit)s;

-- name: erase
-- Deletes rows about a user from one table, at most so many, or all.
SELECT memoire_erase(%(table)s::text, %(tenant)s::text, %(user)s::text, %(limit)s::int) AS erased;

-- name: count
-- Adds what was erased to the certificate.
UPDATE erasures SET counts = counts || %(counts)s::jsonb
 WHERE tenant_id = %(tenant)s AND user_sha256 = %(user_sha256)s AND id = %(id)s;

-- name: step_back_refold
-- Has a change of slots that goes on behind this user go on behind the one before.
UPDATE slot_refolds r
   SET after_user = coalesce((SELECT max(u.user_id) FROM users u
                               WHERE u.tenant_id = r.tenant_id AND u.user_id < r.after_user), '')
 WHERE r.tenant_id = %(tenant)s AND r.after_user = %(user)s;

-- name: erase_idempotency_keys
-- Deletes the Idempotency-Keys of clients that had a key of this user alone: those name the user.
DELETE FROM idempotency_keys
 WHERE tenant_id = %(tenant)s AND key ^@ (%(user)s::text || chr(31));

-- name: gone
-- Notes that nothing is left of a user in the database; the user may begin anew.
UPDATE erasures SET counts = counts || %(counts)s::jsonb, gone_at = clock_timestamp()
 WHERE tenant_id = %(tenant)s AND user_sha256 = %(user_sha256)s AND id = %(id)s AND gone_at IS NULL;

-- name: finish
-- Ends an erasure: what was taken out of Redis is noted, and whose it was is forgotten.
UPDATE erasures SET streams = %(streams)s::jsonb, finished_at = clock_timestamp(), user_id = NULL
 WHERE tenant_id = %(tenant)s AND user_sha256 = %(user_sha256)s AND id = %(id)s;

-- name: certificate
-- Reads one certificate.
SELECT id, scope, requested_at, requested_by, gone_at, finished_at, counts, streams, user_sha256 FROM erasures
 WHERE tenant_id = %(tenant)s AND user_sha256 = memoire_user_sha256(%(tenant)s::text, %(user)s::text)
   AND id = %(id)s;

-- name: certificates
-- Lists a user's certificates, the last first, behind a cursor.
SELECT id, scope, requested_at, requested_by, gone_at, finished_at, counts, streams, user_sha256 FROM erasures
 WHERE tenant_id = %(tenant)s AND user_sha256 = memoire_user_sha256(%(tenant)s::text, %(user)s::text)
   AND (%(before_at)s::timestamptz IS NULL OR (requested_at, id) < (%(before_at)s, %(before_id)s::uuid))
 ORDER BY requested_at DESC, id DESC
 LIMIT %(limit)s;

-- name: hold_off
-- Keeps tombstones of these users from being set until this transaction ends.
SELECT count(*) FROM (
    SELECT pg_advisory_xact_lock_shared(1835362657, place) FROM (
        SELECT DISTINCT memoire_erasure_lock(tenant_id, user_id) AS place
          FROM unnest(%(tenants)s::text[], %(users)s::text[]) AS t(tenant_id, user_id)
         ORDER BY 1) AS places) AS held;

-- name: tombstones_of
-- Reads the tombstones of these users and their sessions.
SELECT e.tenant_id, e.user_sha256, e.session_sha256, e.stream_ms, e.stream_seq
  FROM (SELECT DISTINCT tenant_id, user_id
          FROM unnest(%(tenants)s::text[], %(users)s::text[]) AS t(tenant_id, user_id)) AS t
  JOIN erasures e ON e.tenant_id = t.tenant_id
                 AND e.user_sha256 = memoire_user_sha256(t.tenant_id, t.user_id)
 WHERE e.scope IN ('user', 'session');

-- name: being_erased
-- Lists which of these users are being erased.
SELECT t.tenant_id, t.user_id
  FROM (SELECT DISTINCT tenant_id, user_id
          FROM unnest(%(tenants)s::text[], %(users)s::text[]) AS t(tenant_id, user_id)) AS t
  JOIN erasures e ON e.tenant_id = t.tenant_id
                 AND e.user_sha256 = memoire_user_sha256(t.tenant_id, t.user_id)
 WHERE e.scope = 'user' AND e.gone_at IS NULL;

-- name: remembered
-- Lists which of these ids were erased, with their user or before.
SELECT id FROM erased_ids WHERE tenant_id = %(tenant)s AND id = ANY(%(ids)s::uuid[]);

-- name: erased_since
-- Lists the digests of users erased since a moment, and the time now.
SELECT clock_timestamp() AS now, tenant_id, user_sha256
  FROM (SELECT) AS one
  LEFT JOIN erasures ON scope = 'user' AND requested_at > %(since)s::timestamptz;
