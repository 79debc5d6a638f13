"""Changing the embedding model: new vectors beside the old, one moment of switching, no gap."""
