"""What no client of good will would send: schemathesis over the OpenAPI document, and worse."""
