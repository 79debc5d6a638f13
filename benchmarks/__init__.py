"""What Mémoire costs: whole-process figures of a real instance, repeatable by anyone."""
