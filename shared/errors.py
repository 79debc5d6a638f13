"""The three kinds of failure, and the one place that knows what each means for an item.

*Retry*: the world failed (timeouts, 429, 5xx): try again later. *Poison*: this input fails every
time: park it. *Configuration*: nothing can succeed until an operator acts: stop, say so, and burn
no attempts. A call that may not be made just now (`NotNowError`) burns none either.
"""

from __future__ import annotations


class MemoireError(Exception):
    """Anything Mémoire raises on purpose; the text is fit for an operator's eyes."""


class RetryableError(MemoireError):
    """The world failed, not the input.

    `retry_after_seconds` is the least time to wait, where the other side named one.
    """

    def __init__(self, message: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class AwayError(RetryableError):
    """The server itself is not there, or wants to be left alone: no input brings that about."""


class NotNowError(RetryableError):
    """Nobody may ask just now, and no item is to blame: none of its attempts is burnt.

    `retry_after_seconds` is always known.
    """

    def __init__(self, message: str, wait_seconds: float) -> None:
        super().__init__(message, retry_after_seconds=wait_seconds)
        self.wait_seconds = wait_seconds


class PausedError(NotNowError):
    """The provider is left alone; whoever asks later may find it back."""


class BudgetSpentError(NotNowError):
    """Today's budget of these tenants has no room for this call."""

    def __init__(self, message: str, wait_seconds: float, tenants: frozenset[str]) -> None:
        super().__init__(message, wait_seconds)
        self.tenants = tenants


class PoisonError(MemoireError):
    """This input fails however often it is tried."""


class ConfigurationError(MemoireError):
    """Nothing can succeed until an operator changes something; the text says what."""


class CrashLoopError(PoisonError):
    """Its worker died every time it was tried."""


def error_class(error: BaseException) -> str:
    """Name the error as dead letters list it: `retry`, `poison`, `configuration`, or its type."""
    match error:
        case CrashLoopError():
            return "crash_loop"
        case PoisonError():
            return "poison"
        case ConfigurationError():
            return "configuration"
        case RetryableError():
            return "retry"
    return type(error).__name__
