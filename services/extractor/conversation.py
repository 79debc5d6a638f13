"""What a call is shown of a conversation (pure): the user's own words, and what was said around.

One place for a first reading and for reading again, so that both see the same: secrets blanked,
recalled context that came back taken out, long turns of others cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from services.extractor.echoes import shown
from services.extractor.facts import SourceMessage
from services.extractor.turns import ChatTurn, role_of

_CONTEXT_CHARACTERS = 2_000  # of a turn that is only there to understand the others by


@dataclass(frozen=True, slots=True)
class Conversation:
    """`spoken`: the user's turns that may hold facts, with their `messages`; `context`: others."""

    spoken: list[ChatTurn]
    messages: list[SourceMessage]
    context: list[ChatTurn]


def conversation(
    messages: Sequence[SourceMessage], before: Sequence[ChatTurn], *, guards: bool = True
) -> Conversation:
    """Part messages, with the turns before them, into what is asked about and what is around.

    With `guards` a turn that says it hands over a document, or a tool's words, is not the user's.
    """
    turns = [(message, _turn(message, guards=guards)) for message in messages]
    spoken = [(message, turn) for message, turn in turns if turn.role == "user" and turn.content]
    earlier = [replace(turn, content=shown(turn.role, turn.content)) for turn in before]
    around = [*earlier, *(turn for _, turn in turns if turn.role != "user")]
    return Conversation(
        [turn for _, turn in spoken],
        [message for message, _ in spoken],
        [_cut(turn) for turn in around if turn.content],
    )


def _turn(message: SourceMessage, *, guards: bool) -> ChatTurn:
    """A message as an extractor is shown it: its secrets stay in PostgreSQL."""
    content = shown(message.role, message.content)
    role = role_of(message.role, message.metadata) if guards else message.role
    return ChatTurn(str(message.id), role, message.said_at, content)


def _cut(turn: ChatTurn) -> ChatTurn:
    """A turn of the context, shortened: an assistant's may be longer than all that was said."""
    if len(turn.content) <= _CONTEXT_CHARACTERS:
        return turn
    return replace(turn, content=turn.content[:_CONTEXT_CHARACTERS] + " …")
