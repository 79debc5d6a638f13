-- Messages that wait for their tenant's window, in the order in which they are announced. A flood is a
-- million of them; the sweeper looks ten times a second, and must not read them all to announce the next.
-- Written as no other index is: while statistics are young the planner takes any other for as good.
CREATE INDEX chat_logs_held_back ON chat_logs (tenant_id, recorded_at, user_id, id)
    WHERE coalesce(announced_at, extracted_at) IS NULL;
