"""Decides what a failed call to a model server means: retry, bad input or misconfigured.

One place for the chat client and the embedder, so that the same answer never dead-letters a message
in one stage and retries it in another. It never calls anything and never sleeps.
"""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from shared.errors import (
    AwayError,
    ConfigurationError,
    MemoireError,
    PoisonError,
    RetryableError,
)

_LONGEST_WAIT_SECONDS = 86_400.0
_LONGEST_DETAIL = 300

_POISON_STATUSES = frozenset({400, 413, 422})
_PASSING_STATUSES = frozenset({408, 409, 425, 429})
_AWAY_STATUSES = frozenset({429, 502, 503, 504, 529})
# Said with 400, 403, 404 or 429, depending on the server; waiting cures none of them.
_CONFIGURATION_CODES = frozenset(
    {
        "account_deactivated",
        "billing_hard_limit_reached",
        "billing_not_active",
        "insufficient_quota",
        "invalid_api_key",
        "model_not_found",
        "unsupported_country_region_territory",
        "unsupported_parameter",
    }
)


def classify(exception: Exception) -> MemoireError:
    """The kind of error behind an exception of the `openai` client; one of ours is returned as is.

    What is not recognized counts as retryable: attempts are capped, so the worst case is a dead
    letter that names the exception.
    """
    import openai  # noqa: PLC0415  # 0.5 s of start-up that a stage without a model never pays

    if isinstance(exception, MemoireError):
        return exception
    if isinstance(exception, openai.APIStatusError):
        return _from_status(exception)
    if isinstance(exception, openai.APITimeoutError) and not was_never_sent(exception):
        return RetryableError("the model server did not answer in time")
    if _is_named(exception, "TimeoutException"):
        return RetryableError("the model server broke off its answer")
    if isinstance(exception, openai.APIConnectionError) or is_broken_connection(exception):
        cause = exception.__cause__ or exception
        return AwayError(f"the model server cannot be reached: {_brief(cause)}")
    if isinstance(
        exception, (openai.LengthFinishReasonError, openai.ContentFilterFinishReasonError)
    ):
        return PoisonError(f"the model broke off its answer: {_brief(exception)}")
    return RetryableError(f"the model server's answer makes no sense: {_brief(exception)}")


def was_never_sent(exception: BaseException) -> bool:
    """Say whether no connection came about: then nothing was asked and nothing is paid."""
    cause = exception.__cause__
    return cause is not None and _is_named(cause, "ConnectError", "ConnectTimeout", "PoolTimeout")


def is_broken_connection(exception: BaseException) -> bool:
    """Say whether the connection broke while an answer was read."""
    return _is_named(exception, "TransportError")


def _is_named(exception: BaseException, *names: str) -> bool:
    """By name: which HTTP library raises it depends on the version of `openai`."""
    return any(kind.__name__ in names for kind in type(exception).__mro__)


def is_free(exception: BaseException) -> bool:
    """Say whether a failed request certainly cost nothing: refused by status, or never sent."""
    return getattr(exception, "status_code", None) is not None or was_never_sent(exception)


def host_of(base_url: str | None) -> str:
    """Name a server as people see it: its host and port, without a path or secrets."""
    parts = urlsplit(base_url or "https://api.openai.com/v1")
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.hostname or 'unknown'}{port}"


def retry_after_seconds(headers: Mapping[str, str], now: datetime) -> float | None:
    """How long the server asks us to wait: `Retry-After` in seconds or as an HTTP date.

    A date is compared with the answer's own `Date` where it has one, so that two clocks that
    disagree do no harm. Never negative, at most a day; None where nothing usable is said.
    """
    told = headers.get("retry-after", "").strip()
    try:
        seconds = float(told)
    except ValueError:
        until = _http_date(told)
        if until is None:
            return None
        seconds = (until - (_http_date(headers.get("date", "")) or now)).total_seconds()
    return min(max(seconds, 0.0), _LONGEST_WAIT_SECONDS) if math.isfinite(seconds) else None


def _from_status(error: Any) -> MemoireError:
    status = int(error.status_code)
    detail = f"the model server answered {status}: {_brief(error)}"
    if _codes(error) & _CONFIGURATION_CODES:
        return ConfigurationError(detail)
    if status in _PASSING_STATUSES or (status >= 500 and status != 501):
        wait = retry_after_seconds(error.response.headers, datetime.now(UTC))
        away = status in _AWAY_STATUSES or wait is not None
        kind = AwayError if away else RetryableError
        return kind(detail, retry_after_seconds=wait)
    return PoisonError(detail) if status in _POISON_STATUSES else ConfigurationError(detail)


def _codes(error: Any) -> set[str]:
    """The error's `code` and `type`, wherever this server puts them."""
    return {value for value in (error.code, error.type) if isinstance(value, str)}


def _http_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _brief(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= _LONGEST_DETAIL else text[: _LONGEST_DETAIL - 1] + "…"
