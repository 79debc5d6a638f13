"""Who writes a profile with a model: one call, for facts that it was not asked about before.

Whatever the model or its server does, there is a profile: a failure leaves the template's. What it
costs is counted where every call is; a tenant whose budget is spent gets the template.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

import structlog

from services.maintenance.drafting import ANSWER_SCHEMA, fingerprint, question, read_answer
from services.maintenance.profile import KnownFact, Profile
from shared.errors import MemoireError, PoisonError
from shared.llm import ChatModel

log = structlog.get_logger()

PROMPT = "profile.v1"


@dataclass(frozen=True, slots=True)
class Draft:
    """A model's profile of exactly these facts; None where its answer was no use."""

    asked: bytes
    profile: Profile | None
    by: str


class Biographer:
    """Asks one chat model."""

    def __init__(self, model: ChatModel, *, prompt: str = PROMPT) -> None:
        self.by = f"{model.model} {prompt}"
        self._chat = model
        folder = resources.files("services.maintenance.prompts")
        self._system = folder.joinpath(f"{prompt}.md").read_text("utf-8")

    async def write(
        self, facts: Sequence[KnownFact], asked_before: bytes | None, *, payer: str
    ) -> Draft | None:
        """Draft a profile; None when there is nothing to ask, or nobody to be asked now."""
        asked = fingerprint(facts, self.by)
        if not facts or asked == asked_before or self._chat.wait_seconds(payer) > 0:
            return None
        try:
            answer = await self._chat.ask(self._system, question(facts), ANSWER_SCHEMA, payer=payer)
        except PoisonError as error:
            log.warning("a profile's answer is no use", error=str(error))
            return Draft(asked, None, self.by)
        except MemoireError as error:
            log.warning("the profile is a template's", error=str(error))
            return None
        return Draft(asked, read_answer(answer.content, facts), self.by)
