"""What a tenant may store a day: counted where it is stored, in the same transaction."""
