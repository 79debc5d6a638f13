"""The one shape of every failure: `{"error": {"code", "message", "details"}}`.

Decides which failure is whose fault: the caller's (4xx, with what is wrong where), or a server's
that is away (503). Bad input is never a 500.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time
from typing import Any

import psycopg
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from shared.isolation import is_conflict, is_outage

log = structlog.get_logger()

Detail = dict[str, Any]
"""`field` and `reason`, and `index` where the field belongs to one item of a list."""

STATUS_OF = {
    "invalid_json": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "request_timeout": 408,
    "conflict": 409,
    "payload_too_large": 413,
    "invalid_request": 422,
    "rate_limited": 429,
    "headers_too_large": 431,
    "internal": 500,
    "unavailable": 503,
}
_CODE_OF = {status: code for code, status in STATUS_OF.items()}
_MOST_DETAILS = 100
_LONGEST_TEXT = 300
_PLACES = {"body", "query", "path", "header"}


class ApiError(Exception):
    """A request that cannot be served; `code` is one of the contract's."""

    def __init__(
        self,
        code: str,
        message: str,
        details: Sequence[Detail] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.details = list(details)
        self.headers = headers


def invalid(field: str, reason: str, index: int | None = None) -> ApiError:
    """Refuse one field."""
    return ApiError("invalid_request", "The request is not valid.", [detail(field, reason, index)])


def detail(field: str, reason: str, index: int | None = None) -> Detail:
    found = {"field": _clean(field), "reason": _clean(reason)}
    return found if index is None else {"index": index, **found}


def not_found(what: str) -> ApiError:
    return ApiError("not_found", f"There is no such {what}.")


def being_erased() -> ApiError:
    """Nothing can be taken in about a user whose rows are being erased at this moment."""
    message = "The user is being erased at this moment; try again."
    return ApiError("unavailable", message, headers={"Retry-After": "1"})


def over_quota(quota: str, now: datetime) -> ApiError:
    """Refuse what a day's quota has no room for, until the next day (UTC)."""
    passed = now.astimezone(UTC).replace(tzinfo=None) - datetime.combine(
        now.astimezone(UTC), time()
    )
    wait = 86_400 - int(passed.total_seconds())
    reason = f"the quota is used up; the next day (UTC) begins in {wait} s"
    headers = {"Retry-After": str(wait)}
    return ApiError("rate_limited", "A quota is used up.", [detail(quota, reason)], headers)


def response(
    code: str,
    message: str,
    details: Sequence[Detail] = (),
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """Put a failure into its envelope."""
    body = {"code": code, "message": _clean(message), "details": list(details)[:_MOST_DETAILS]}
    return JSONResponse({"error": body}, STATUS_OF[code], headers)


def install(app: FastAPI) -> None:
    """Make every failure of the app answer in the envelope."""
    app.add_exception_handler(ApiError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(psycopg.Error, _database)
    app.add_exception_handler(OSError, _database)
    app.add_exception_handler(Exception, _unexpected)


async def _refused(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ApiError)
    return response(error.code, str(error), error.details, error.headers)


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    problems = error.errors()
    if any(problem["type"] == "json_invalid" for problem in problems):
        return response("invalid_json", "The body is not valid JSON.")
    details: list[Detail] = []
    for found in map(_detail_of, problems):
        if found not in details:  # a query is read by a route, and by what the route depends on
            details.append(found)
    return response("invalid_request", "The request is not valid.", details[:_MOST_DETAILS])


def _detail_of(problem: Mapping[str, Any]) -> Detail:
    """Read where pydantic found a problem: the place, the item's number, the field."""
    location = list(problem["loc"])
    if location and location[0] in _PLACES:
        location = location[1:]
    index = None
    if len(location) > 1 and isinstance(location[1], int):
        index = location[1]
        location = location[2:] or location[:1]
    reason = str(problem["msg"]).removeprefix("Value error, ")
    return detail(".".join(str(part) for part in location) or "body", reason, index)


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    match error.status_code:
        case 400:  # FastAPI's word for a body it could not read at all
            return response("invalid_json", "The body is not valid JSON.")
        case 404:
            return response("not_found", "There is no such route.")
        case 405:
            taken = request.app.state.methods.of(request.scope["path"])
            headers = {"Allow": ", ".join(taken)} if taken else error.headers
            return response("method_not_allowed", "Not with this method.", headers=headers)
    code = _CODE_OF.get(error.status_code, "internal")
    return response(code, str(error.detail), headers=error.headers)


async def _database(request: Request, error: Exception) -> JSONResponse:
    """Answer 503 for what will pass, 422 for a value PostgreSQL could not take."""
    if is_outage(error) or is_conflict(error) or isinstance(error, psycopg.OperationalError):
        return response("unavailable", "Try again in a moment.", headers={"Retry-After": "1"})
    if isinstance(error, psycopg.DataError):
        log.error("a value passed validation and PostgreSQL refused it", route=_route(request))
        return response("invalid_request", "A value cannot be stored.")
    return await _unexpected(request, error)


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    log.error("request failed", route=_route(request), error=repr(error), exc_info=error)
    return response("internal", "Something went wrong on our side.")


def _route(request: Request) -> str:
    """Name the route without what the caller put into it: users' ids, or a key in a wrong place."""
    return f"{request.method} {'/'.join(request.url.path.split('/')[:3])}"


def _clean(text: str) -> str:
    """Make caller's text fit to be sent back: short, and valid Unicode."""
    return text[:_LONGEST_TEXT].encode("utf-8", "replace").decode()
