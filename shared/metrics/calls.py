"""What is told of every request to a model: what became of it, how long it took, what it cost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Protocol

from shared.errors import AwayError, ConfigurationError, PoisonError
from shared.metrics.catalogue import MODEL_CALLS, MODEL_MONEY, MODEL_SECONDS, MODEL_TOKENS
from shared.providers import classify
from shared.spending.prices import Tokens
from shared.tracing.spans import span


class Asked(Protocol):
    """Which model is asked, and what for."""

    @property
    def purpose(self) -> str: ...
    @property
    def provider(self) -> str: ...
    @property
    def model(self) -> str: ...


@contextmanager
def calling(asked: Asked) -> Iterator[None]:
    """Time one request, and count it by what became of it."""
    begun, outcome = time.perf_counter(), "ok"
    attributes = {"gen_ai.request.model": asked.model, "server.address": asked.provider}
    try:
        with span(f"ask {asked.purpose}", kind="client", attributes=attributes):
            yield
    except asyncio.CancelledError:
        outcome = "cancelled"
        raise
    except Exception as error:
        outcome = _outcome_of(error)
        raise
    finally:
        took = time.perf_counter() - begun
        MODEL_CALLS.add(
            purpose=asked.purpose, provider=asked.provider, model=asked.model, outcome=outcome
        )
        MODEL_SECONDS.observe(took, purpose=asked.purpose, model=asked.model, outcome=outcome)


def paid(asked: Asked, tokens: Tokens, money: Decimal) -> None:
    """Count what a request cost, or one tenant's share of it."""
    names = {"purpose": asked.purpose, "provider": asked.provider, "model": asked.model}
    MODEL_TOKENS.add(tokens.input, **names, direction="input")
    MODEL_TOKENS.add(tokens.output, **names, direction="output")
    MODEL_MONEY.add(float(money), **names)


def _outcome_of(error: Exception) -> str:
    match classify(error):
        case PoisonError():
            return "poison"
        case ConfigurationError():
            return "configuration"
        case AwayError():
            return "away"
    return "retry"
