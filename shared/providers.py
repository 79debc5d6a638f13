"""Decides what a failed call to a model server means: retry, bad input or misconfigured.

One place for the chat client and the embedder, so that the same answer never dead-letters a message
in one stage and retries it in another. It never calls anything and never sleeps.
"""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from shared.errors import ConfigurationError, MemoireError, PoisonError, RetryableError

_LONGEST_WAIT_SECONDS = 86_400.0
_LONGEST_DETAIL = 300

_POISON_STATUSES = frozenset({400, 413, 422})
_PASSING_STATUSES = frozenset({408, 409, 425, 429})
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
    if isinstance(exception, openai.APITimeoutError):
        return RetryableError("the model server did not answer in time")
    if isinstance(exception, openai.APIConnectionError):
        cause = exception.__cause__ or exception
        return RetryableError(f"the model server cannot be reached: {_brief(cause)}")
    if isinstance(
        exception, (openai.LengthFinishReasonError, openai.ContentFilterFinishReasonError)
    ):
        return PoisonError(f"the model broke off its answer: {_brief(exception)}")
    return RetryableError(f"the model server's answer makes no sense: {_brief(exception)}")


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
        return RetryableError(detail, retry_after_seconds=wait)
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
