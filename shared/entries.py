"""A stream entry as it came; nothing in it is trusted yet."""

from __future__ import annotations

from dataclasses import dataclass

from shared.errors import PoisonError


@dataclass(frozen=True, slots=True)
class Entry:
    """One stream entry as it came; nothing in it is trusted yet."""

    stream: str
    id: str
    raw: dict[bytes, bytes]
    attempt: int = 1
    """Which delivery this is, those that a worker died over included."""

    @property
    def size(self) -> int:
        """Bytes of its values."""
        return sum(map(len, self.raw.values()))

    def fields(self) -> dict[str, str]:
        """Decode the flat UTF-8 fields; raises PoisonError for other bytes."""
        try:
            return {key.decode(): value.decode() for key, value in self.raw.items()}
        except UnicodeDecodeError as error:
            raise PoisonError(f"a field is not UTF-8: {error.reason}") from error
