"""Observations on their way into `memory_facts`, whoever states them: a model, rules or a caller."""
