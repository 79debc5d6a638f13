"""Which failures the OpenAPI document promises of every route that needs a key."""

from __future__ import annotations

from typing import Any

from services.gateway.schemas import ErrorBody

_REASONS = {
    400: "The body is not JSON.",
    401: "No key, or none that is valid.",
    403: "The key's scope does not reach this.",
    404: "There is no such thing here.",
    409: "The same id or Idempotency-Key came with other content before.",
    413: "The body is too large.",
    422: "A field is not valid; `details` says which and why.",
    429: "Too many requests, or a quota is used up; `details` says which, Retry-After until when.",
    503: "PostgreSQL is away, or the user is being erased at this moment; try again.",
}


def failures(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Document these failures, beside those that every route has."""
    shown = sorted({401, 403, 422, 429, 503, *statuses})
    return {status: {"model": ErrorBody, "description": _REASONS[status]} for status in shown}


def failures_of_a_stream(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The same for a route that answers in another type: a failure of it is JSON all the same.

    Said as a reference: the model itself would be documented in the route's own type.
    """
    shown = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorBody"}}}
    return {
        status: {"description": about["description"], "content": shown}
        for status, about in failures(*statuses).items()
    }


READS = failures()
READS_ONE = failures(404)
WRITES = failures(400, 413)
WRITES_ONE = failures(400, 404, 413)
STORES = failures(400, 409, 413)
