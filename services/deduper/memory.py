"""What this process remembers of users it compared for: exact by their version, bounded by size.

A user's version grows with every comparison anywhere, so what is remembered under the version that
was just read is all there is.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeAlias

from services.deduper.candidates import Collection
from shared.ledger.store import UserKey

_MOST_FACTS = 50_000  # 384 dimensions of float32 and the sentence: about 90 MB

AsOf: TypeAlias = tuple[int, str]
"""A user's belief version, and the model of the vectors."""


class Remembered:
    """The free text of the users met last, at most so many facts in all."""

    def __init__(self, most_facts: int = _MOST_FACTS) -> None:
        self._most = most_facts
        self._facts = 0
        self._users: OrderedDict[UserKey, tuple[AsOf, Collection]] = OrderedDict()

    def recall(self, user: UserKey, version: AsOf) -> Collection | None:
        """Return what is known of the user as of that version; None when it must be read."""
        found = self._users.get(user)
        if found is None or found[0] != version:
            return None
        self._users.move_to_end(user)
        return found[1]

    def keep(self, user: UserKey, version: AsOf, collection: Collection) -> None:
        if (old := self._users.pop(user, None)) is not None:
            self._facts -= len(old[1].facts)
        self._users[user] = (version, collection)
        self._facts += len(collection.facts)
        while self._facts > self._most:
            _, (_, oldest) = self._users.popitem(last=False)
            self._facts -= len(oldest.facts)
