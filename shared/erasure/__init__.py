"""Erasing everything about a user, so that nothing that was under way brings any of it back."""
