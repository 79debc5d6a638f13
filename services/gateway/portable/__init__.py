"""Everything about a user as lines of JSON, and back."""
