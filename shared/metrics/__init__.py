"""What a process tells of itself in numbers: a catalogue, how it is kept, and where it is read."""
