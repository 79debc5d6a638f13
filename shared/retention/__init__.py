"""How long a tenant's messages and superseded facts are kept."""
