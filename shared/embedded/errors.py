"""What can go wrong with an embedded server, in words a user can act on."""


class EmbeddedServerError(Exception):
    """An embedded server cannot be found, started or trusted; the text says what to do."""


class FolderInUseError(EmbeddedServerError):
    """Another living process holds this folder; two servers on one folder destroy it."""
