"""What failed: recorded, retried when due, dead after enough attempts, never in anybody's way."""
