"""What a stream entry says: flat fields, or FastStream's one field that holds JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping

from faststream.redis.parser import BinaryMessageFormatV1

from shared.errors import PoisonError

_FASTSTREAM_FIELD = b"__data__"


def flat_fields(raw: Mapping[bytes, bytes]) -> dict[str, str]:
    """Read an entry's fields as text; raises PoisonError saying what is wrong."""
    if _FASTSTREAM_FIELD not in raw:
        try:
            return {key.decode(): value.decode() for key, value in raw.items()}
        except UnicodeDecodeError as error:
            raise PoisonError(f"a field is not UTF-8: {error.reason}") from error
    try:
        body, _ = BinaryMessageFormatV1.parse(raw[_FASTSTREAM_FIELD])
        fields = json.loads(body)
        given_id = raw.get(b"message_id", b"").decode()
    except (ValueError, IndexError, RecursionError) as error:
        raise PoisonError(f"its __data__ is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise PoisonError("its __data__ is not a JSON object")
    given = {key: value for key, value in fields.items() if value is not None}
    if given_id:  # given to a dead letter that is sent again
        given.setdefault("message_id", given_id)
    return given
