"""Asking an extractor about a conversation, again where what is around it may be to blame."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from services.extractor.conversation import Conversation
from services.extractor.extractors import Extraction, Extractor
from services.extractor.turns import KnownFact
from shared.errors import PoisonError

log = structlog.get_logger()


async def ask(
    extractor: Extractor, talk: Conversation, known: Sequence[KnownFact], *, payer: str
) -> Extraction:
    """Find facts in what was said; what is refused may have been refused for the turns around it.

    Raises what the extractor raises, PoisonError only where it fails without those turns too.
    """
    try:
        return await extractor.extract(talk.spoken, talk.context, known, payer=payer)
    except PoisonError as error:
        if not talk.context:
            raise
        log.warning("asked again without the turns around", error=str(error))
        return await extractor.extract(talk.spoken, [], known, payer=payer)
