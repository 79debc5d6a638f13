-- name: read
-- Reads every space; the database's clock says how long one has been retired.
SELECT model, state, remote, base_url, asked_dimensions, dimensions, epoch, skipped,
       extract(epoch FROM clock_timestamp() - retired_at)::float8 AS retired_seconds
  FROM embedding_spaces
 ORDER BY model;

-- name: lock
-- Waits for whoever is making facts embedded, and holds up the next, until our transaction ends.
SELECT model FROM embedding_spaces WHERE state = 'active' FOR UPDATE;

-- name: adopt
-- Makes a model the active one where there is none.
INSERT INTO embedding_spaces (model, state, remote, base_url, asked_dimensions, dimensions, activated_at)
VALUES (%(model)s, 'active', %(remote)s, %(base_url)s, %(asked_dimensions)s, %(dimensions)s, now())
    ON CONFLICT DO NOTHING;

-- name: write
-- Writes a space as it has become, with the moment when its state changed.
INSERT INTO embedding_spaces AS s (model, state, remote, base_url, asked_dimensions, dimensions, epoch, skipped)
VALUES (%(model)s, %(state)s, %(remote)s, %(base_url)s, %(asked_dimensions)s, %(dimensions)s, %(epoch)s, %(skipped)s)
    ON CONFLICT (model) DO UPDATE
   SET state = excluded.state, remote = excluded.remote, base_url = excluded.base_url,
       asked_dimensions = excluded.asked_dimensions, dimensions = excluded.dimensions, epoch = excluded.epoch,
       activated_at = CASE WHEN excluded.state = 'active' AND s.state <> 'active' THEN now() ELSE s.activated_at END,
       retired_at = CASE WHEN excluded.state = 'retired' AND s.state = 'active' THEN now()
                         WHEN excluded.state IN ('active', 'filling') THEN NULL ELSE s.retired_at END;

-- name: learn
-- Notes how long a space's vectors are, the first time, and tells what is noted.
WITH learnt AS (
    UPDATE embedding_spaces SET dimensions = %(dimensions)s
     WHERE model = %(model)s AND dimensions IS NULL
)
SELECT coalesce(dimensions, %(dimensions)s) AS dimensions FROM embedding_spaces WHERE model = %(model)s;
