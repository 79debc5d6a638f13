"""What callers get about the service itself: the public shapes of its health."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from services.gateway.spending_schemas import PausedModel


class Live(BaseModel):
    status: Literal["ok"]


class Checks(BaseModel):
    postgres: Literal["ok", "unavailable"]
    redis: Literal["ok", "unavailable"]


class Ready(BaseModel):
    status: Literal["ok", "unavailable"]
    checks: Checks


class ModelInUse(BaseModel):
    mode: str
    model: str


class EmbeddingsInUse(ModelInUse):
    active_model: str = Field(description="The model whose vectors recall reads.")
    migrating_to: str | None = Field(description="The model whose vectors are being made.")
    warning: str | None = Field(description="Set where another model is configured than active.")


class Health(BaseModel):
    status: Literal["ok", "degraded", "unavailable"]
    version: str
    checks: Checks
    extractor: ModelInUse
    embeddings: EmbeddingsInUse
    paused: list[PausedModel] | None = Field(description="Models that are left alone now.")
    over_budget: int | None = Field(description="Tenants whose budget of today is spent.")
    dead: dict[str, int] | None
    dead_last_hour: dict[str, int] | None = Field(description="Those among them that are new.")
