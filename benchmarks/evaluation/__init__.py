"""How good the memory is: quality figures of a real instance, repeatable by anyone.

`readers` turn files into people with gold facts; `stories` makes people up. `evaluations` tell them
to an instance and read back what it believes; `metrics` (pure) compares the two.
"""
