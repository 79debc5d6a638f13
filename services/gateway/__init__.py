"""The HTTP gateway: takes messages in, answers what is known, and never waits for a model."""
