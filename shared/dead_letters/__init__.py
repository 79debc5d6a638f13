"""What was given up on: listed, counted, mended, tried again, or dropped with a reason."""
