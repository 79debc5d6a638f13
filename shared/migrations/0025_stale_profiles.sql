-- A profile that has been stale for a while is asked for anew, once; writing it clears the mark.
ALTER TABLE profiles ADD COLUMN asked_for_at timestamptz;
CREATE INDEX profiles_stale ON profiles (stale_since) WHERE asked_for_at IS NULL;
