"""Traces: from a request, or an entry on the stream, through every stage to the settled fact."""
