"""Tenants' own slots: a table laid over the built-in catalogue."""
