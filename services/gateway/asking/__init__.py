"""What a question asks for, read from its words: slots, persons, times (pure).

What is read is soft: it makes candidates more likely, it never hides one. Only a date that a
question about the past names for certain becomes a point in time.
"""

from services.gateway.asking.hints import Asked, Hints, Window, nothing_asked
from services.gateway.asking.reading import read

__all__ = ["Asked", "Hints", "Window", "nothing_asked", "read"]
