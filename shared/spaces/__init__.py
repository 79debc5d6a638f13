"""Embedding spaces: whose vectors count, and how that changes."""
