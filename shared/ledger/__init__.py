"""The law applied to the database: inputs read, folded, and what follows written to the cache."""
