"""What is known loses weight while nobody mentions or uses it."""
