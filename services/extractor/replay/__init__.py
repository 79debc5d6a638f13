"""Replay: stored messages read again, into a generation of facts beside the one that counts.

Nothing of it counts until it is promoted, in one transaction; the old one can be promoted back.
"""

from shared.errors import MemoireError


class ReplayRefusedError(MemoireError):
    """This replay cannot be done now; the text says what to do instead."""
