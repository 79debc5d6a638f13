"""Observations on their way into `memory_facts`, whoever states them: model, rules or caller."""
