-- Who follows events reads them by (xid, seq), not by seq: sequence values commit out of order, but
-- every transaction below a snapshot's xmin has ended, so nothing can appear there any more.
CREATE INDEX events_to_follow ON events (tenant_id, xid, seq);
