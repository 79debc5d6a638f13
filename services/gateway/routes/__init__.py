"""The routes, a small router a topic."""
