"""Jobs about users as rows: how one is asked for, and what became of it."""
