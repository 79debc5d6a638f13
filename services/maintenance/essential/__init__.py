"""What an application should always know of a user: chosen by a formula, or by a model."""
