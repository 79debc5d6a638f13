"""What recall costs: a filled database, a real gateway, and the bare floor in the same run."""
