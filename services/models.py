"""Builds what asks models: each behind its provider's breaker, tenants' budgets, and the books.

The part of the composition root that knows prices and providers; built once a process.
"""
# ruff: noqa: PLC0415

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from shared.errors import ConfigurationError
from shared.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pydantic import SecretStr

    from shared.breaker import Breaker
    from shared.db import Database
    from shared.embeddings import Embedder
    from shared.gate import Gate
    from shared.llm import ChatModel
    from shared.spaces.embedders import Embedders
    from shared.spaces.law import Address
    from shared.spending.books import Books
    from shared.spending.budgets import Budgets
    from shared.spending.prices import Prices
    from shared.spending.till import Till


class Models:
    """The models of one process; `open_durable` is called when the first is paid for."""

    def __init__(
        self,
        settings: Settings,
        open_durable: Callable[[], Awaitable[Database]],
        stack: AsyncExitStack,
    ) -> None:
        self._settings = settings
        self._open_durable = open_durable
        self._stack = stack
        self._breakers: dict[tuple[str | None, str], Breaker] = {}
        self._accounts: tuple[Books, Budgets] | None = None

    @property
    def embedding_model(self) -> str:
        """The name vectors are stored under."""
        from shared.embeddings import OPENAI_MODEL

        settings = self._settings
        if settings.embeds_remotely:
            return settings.embed_model or OPENAI_MODEL
        return configured_local_model(settings)

    @property
    def embedding_address(self) -> Address:
        """The configured embedding model, as it is noted where it is the first of all."""
        from shared.embeddings import OPENAI_BASE_URL
        from shared.spaces.law import Address

        settings = self._settings
        if not settings.embeds_remotely:
            return Address(self.embedding_model)
        url = settings.embed_base_url or OPENAI_BASE_URL
        return Address(self.embedding_model, True, url, settings.embed_dimensions)

    async def embedder(self, purpose: str, address: Address | None = None) -> Embedder:
        """Ask the configured model, or the one at this address; its books are the purpose's."""
        from shared.embeddings import OPENAI_BASE_URL, build_embedder
        from shared.spending.prices import Prices

        settings = self._settings
        address = address or self.embedding_address
        if not address.remote:
            return build_embedder("local", model=address.model)
        url = address.base_url or settings.embed_base_url or OPENAI_BASE_URL
        prices = Prices.of(settings.embed_price)
        gate, till = await self._paid(purpose, url, address.model, prices)
        return build_embedder(
            mode="openai",
            base_url=url,
            api_key=self._key_for(url),
            model=address.model,
            dimensions=address.asked_dimensions,
            gate=gate,
            till=till,
        )

    def _key_for(self, url: str) -> str | None:
        """The key of a server; the configured one's is shown to no other."""
        from shared.embeddings import OPENAI_BASE_URL

        settings = self._settings
        own = url.rstrip("/") == (settings.embed_base_url or OPENAI_BASE_URL).rstrip("/")
        return secret(settings.embed_api_key if own else settings.embed_other_api_key)

    async def embedders(self, db: Database, purpose: str) -> Embedders:
        """The embedders of whichever space is active, or filled beside it."""
        from functools import partial

        from shared.spaces.embedders import Embedders

        configured = await self.embedder(purpose)
        return Embedders(db, configured, partial(self.embedder, purpose), self.embedding_address)

    async def extracting(self, purpose: str = "extraction") -> ChatModel:
        from shared.spending.prices import Prices

        settings = self._settings
        prices = Prices.of(settings.llm_price_input, settings.llm_price_output)
        return await self._chat_model(purpose, settings.llm_model, prices)

    async def judging(self) -> ChatModel:
        from shared.spending.prices import Prices

        settings = self._settings
        own_input, own_output = settings.judge_price_input, settings.judge_price_output
        prices = Prices.of(
            settings.llm_price_input if own_input is None else own_input,
            settings.llm_price_output if own_output is None else own_output,
        )
        return await self._chat_model("judging", settings.judge_model or settings.llm_model, prices)

    async def _chat_model(self, purpose: str, model: str, prices: Prices) -> ChatModel:
        from shared.llm import ChatModel

        settings = self._settings
        if settings.tenant_money_per_day and not (prices.input or prices.output):
            raise ConfigurationError(
                f"MEMOIRE_TENANT_MONEY_PER_DAY is set, but {model} has no price: set "
                "MEMOIRE_LLM_PRICE_INPUT and MEMOIRE_LLM_PRICE_OUTPUT"
            )
        gate, till = await self._paid(purpose, settings.llm_base_url, model, prices)
        return ChatModel(
            base_url=settings.llm_base_url,
            api_key=secret(settings.llm_api_key),
            model=model,
            timeout_seconds=settings.llm_timeout_seconds,
            gate=gate,
            till=till,
            max_output_tokens=settings.llm_max_output_tokens,
        )

    async def _paid(
        self, purpose: str, base_url: str | None, model: str, prices: Prices
    ) -> tuple[Gate, Till]:
        """What stands before every call of one model."""
        from shared.gate import Gate
        from shared.providers import host_of
        from shared.spending.books import Asked
        from shared.spending.till import Till

        asked = Asked(purpose, host_of(base_url), model)
        books, budgets = await self._spending()
        gate = Gate(self._breaker(base_url, model), asked, records=books)
        return gate, Till(asked, records=books, budgets=budgets, prices=prices)

    def _breaker(self, base_url: str | None, model: str) -> Breaker:
        """One a provider and model, whoever asks it."""
        from shared.breaker import Breaker, BreakerPace

        settings = self._settings
        first = settings.provider_pause_seconds
        pace = BreakerPace(
            failures=settings.provider_failures,
            first_seconds=first,
            longest_seconds=max(first, settings.provider_pause_cap_seconds),
            configuration_seconds=settings.configuration_pause_seconds,
        )
        return self._breakers.setdefault((base_url, model), Breaker(pace))

    async def _spending(self) -> tuple[Books, Budgets]:
        """Where this process' calls are counted, to its end, and reserved."""
        if self._accounts is None:
            from shared.spending.books import Books
            from shared.spending.budgets import Budgets
            from shared.spending.store import Limits

            settings = self._settings
            limits = Limits.of(settings.tenant_tokens_per_day, settings.tenant_money_per_day)
            db = await self._open_durable()
            self._accounts = Books(db), Budgets(db, limits)
            self._stack.push_async_callback(self._accounts[0].close)
        return self._accounts


def configured_local_model(settings: Settings) -> str:
    """The model that is to run in this process; raises ConfigurationError for none we know.

    Without MEMOIRE_EMBEDDINGS a server's model may be named here and its address be known to the
    database alone: that is no mistake, and who embeds follows the database.
    """
    from shared.local_models import LOCAL_MODEL, LOCAL_MODELS, local_model

    named = settings.embed_model
    known = LOCAL_MODEL if named is None else local_model(named)
    if known is None and settings.embeddings == "local":
        raise ConfigurationError(
            f"MEMOIRE_EMBED_MODEL={named}, but with MEMOIRE_EMBEDDINGS=local it is one of "
            f"{', '.join(LOCAL_MODELS)}"
        )
    return known or LOCAL_MODEL


def secret(value: SecretStr | None) -> str | None:
    return value.get_secret_value() if value is not None else None
