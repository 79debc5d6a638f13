-- How many facts a call left, so that a trace tells "none" from "not yet" without counting rows.
ALTER TABLE extractions ADD COLUMN facts integer;

UPDATE extractions e
   SET facts = (SELECT count(*) FROM memory_facts f
                 WHERE f.tenant_id = e.tenant_id AND f.user_id = e.user_id AND f.extraction_id = e.id)
 WHERE e.state = 'done';
