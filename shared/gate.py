"""Lets calls of one model through its breaker, and says aloud when that opens and closes.

Turns what a call raised into what its item is to suffer: a provider that is away burns nobody's
attempts (`PausedError`); what the input may have caused itself does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from shared.breaker import Breaker, Permit, Trouble
from shared.errors import (
    AwayError,
    ConfigurationError,
    MemoireError,
    NotNowError,
    PausedError,
    PoisonError,
    RetryableError,
)
from shared.metrics.catalogue import BREAKER_OPEN, HELD_CALLS
from shared.spending.books import Asked, NoRecords, Pause, Records

log = structlog.get_logger()

_LEAST_WAIT_SECONDS = 0.05


class Gate:
    """Before every call of one model for one purpose; gates may share a breaker."""

    def __init__(self, breaker: Breaker, asked: Asked, *, records: Records | None = None) -> None:
        self._breaker = breaker
        self._asked = asked
        self._records = records or NoRecords()
        self._reason = ""
        self._told = False
        BREAKER_OPEN.follow(
            lambda: float(breaker.is_open),
            purpose=asked.purpose,
            provider=asked.provider,
            model=asked.model,
        )

    def wait_seconds(self) -> float:
        """How long nobody may ask; 0 where somebody may."""
        return self._breaker.wait_seconds()

    @asynccontextmanager
    async def passing(self) -> AsyncIterator[None]:
        """Run one call, if any may be made now; raises PausedError where none may."""
        permit = self._breaker.admit()
        if permit is None:
            HELD_CALLS.add(purpose=self._asked.purpose, reason="breaker")
            raise PausedError(
                f"{self._asked.model} is left alone: {self._reason or 'a probe is under way'}",
                max(self._breaker.wait_seconds(), _LEAST_WAIT_SECONDS),
            )
        try:
            yield
        except NotNowError:
            self._breaker.cancelled(permit)
            raise
        except PoisonError:
            self._answered(permit)
            raise
        except MemoireError as error:
            if (suffered := self._failed(permit, error)) is error:
                raise
            raise suffered from error
        except BaseException:
            self._breaker.cancelled(permit)
            raise
        else:
            self._answered(permit)

    def _answered(self, permit: Permit) -> None:
        self._breaker.answered(permit)
        if self._told:
            self._told = False
            log.info("the provider is asked again", **self._names())
            self._records.note(self._asked, None)

    def _failed(self, permit: Permit, error: MemoireError) -> MemoireError:
        trouble: Trouble = "slow"
        if isinstance(error, ConfigurationError):
            trouble = "configuration"
        elif isinstance(error, AwayError):
            trouble = "away"
        asked_for = error.retry_after_seconds if isinstance(error, RetryableError) else None
        blamed = self._breaker.failed(permit, trouble, asked_for or 0.0)
        wait = self._breaker.wait_seconds()
        if wait > 0:
            self._tell(trouble, error, wait)
        if trouble != "away" or blamed:
            return error
        return PausedError(str(error), max(wait, asked_for or 0.0, self._breaker.least_seconds))

    def _tell(self, trouble: Trouble, error: MemoireError, wait: float) -> None:
        """Say that it is paused, the first time aloud; an operator's matter is an error."""
        self._reason = str(error)
        wrong = trouble == "configuration"
        say = log.error if wrong else log.warning
        if not self._told or wrong:
            what = "an operator must act" if wrong else "the provider is left alone"
            say(f"{self._asked.purpose} paused: {what}", **self._names(), error=str(error))
        self._told = True
        pause = Pause("configuration" if wrong else "away", str(error), wait)
        self._records.note(self._asked, pause)

    def _names(self) -> dict[str, str]:
        return {"provider": self._asked.provider, "model": self._asked.model}
