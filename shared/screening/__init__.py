"""What looks like an order to a model, a trap for later, or a way out for data (pure)."""

from shared.screening.looking import Hit, Suspicion, hits, suspicions

__all__ = ["Hit", "Suspicion", "hits", "suspicions"]
