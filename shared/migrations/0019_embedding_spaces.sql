-- Which model's vectors count. Vectors of two models never meet: each model is a space of its own,
-- one of them is active, and at most one is being filled beside it.
--
-- `epoch` is the fence of the active row: whoever makes facts `embedded` holds that row FOR SHARE and
-- checks the epoch, and every change of the spaces grows it. `skipped` counts the commits that left a
-- space out: a pass over all facts is complete only if it did not grow meanwhile.
CREATE TABLE embedding_spaces (
    model             text        PRIMARY KEY,
    state             text        NOT NULL CHECK (state IN ('active', 'filling', 'retired', 'pruning')),
    remote            boolean     NOT NULL,
    base_url          text,
    asked_dimensions  integer,
    dimensions        integer,
    epoch             bigint      NOT NULL DEFAULT 0,
    skipped           bigint      NOT NULL DEFAULT 0,
    begun_at          timestamptz NOT NULL DEFAULT now(),
    activated_at      timestamptz,
    retired_at        timestamptz
);
CREATE UNIQUE INDEX embedding_spaces_one_each ON embedding_spaces (state) WHERE state IN ('active', 'filling');

-- What is there already stays in use, whatever is configured: the model of most vectors.
INSERT INTO embedding_spaces (model, state, remote, dimensions, activated_at)
SELECT model, CASE place WHEN 1 THEN 'active' ELSE 'retired' END, model <> 'all-MiniLM-L6-v2-int8',
       (SELECT vector_dims(v.embedding) FROM fact_vectors v WHERE v.model = found.model LIMIT 1),
       CASE place WHEN 1 THEN now() END
  FROM (SELECT model, row_number() OVER (ORDER BY count(*) DESC, model) AS place
          FROM fact_vectors GROUP BY model) AS found;
