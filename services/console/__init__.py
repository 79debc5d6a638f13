"""What `memoire up` is made of: the supervisor of all processes and what it tells others."""
