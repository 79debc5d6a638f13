"""Faults injected on purpose, and a count of what they cost: see docs/reliability.md."""
