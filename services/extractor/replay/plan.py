"""What a replay asks (pure): which stored answers serve again, and what each call is about.

A fact belongs to the first message it rests on. So an answer that reaches beyond what is read again
still serves: its facts that begin there are used, the others are passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Heard:
    """A stored message as planning sees it; `size` in bytes."""

    id: UUID
    session: str
    role: str
    said_at: datetime
    message_key: str
    size: int

    @property
    def place(self) -> tuple[datetime, str, UUID]:
        """Where it stands in its session: the order in which the extractor takes messages."""
        return self.said_at, self.message_key, self.id


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """A paid answer of the prompt and model in question, and what it was asked about."""

    id: UUID
    messages: frozenset[UUID]


@dataclass(frozen=True, slots=True)
class Step:
    """Messages of one session that are read again together: from a stored answer, or by a pass.

    `shown` is all that the answer was about; a pass is shown its messages alone.
    """

    session: str
    messages: tuple[UUID, ...]
    shown: tuple[UUID, ...]
    size: int
    spoken: bool
    answer: UUID | None = None

    @property
    def asks(self) -> bool:
        """Whether somebody has to be asked: the user said something, and no answer is there."""
        return self.spoken and self.answer is None


def plan_steps(
    messages: Iterable[Heard], answers: Sequence[StoredAnswer], budget_bytes: int
) -> list[Step]:
    """Plan session by session; of two answers about one message the first listed serves."""
    ordered = sorted(messages, key=lambda heard: (heard.session, heard.place))
    known = {heard.id: heard for heard in ordered}
    steps: list[Step] = []
    left = set(known)
    for answer in answers:
        if fresh := answer.messages & left:
            steps.append(_reuse(answer, [known[row] for row in fresh]))
            left -= fresh
    rest = (heard for heard in ordered if heard.id in left)
    for _, session in groupby(rest, key=lambda heard: heard.session):
        steps += _passes(list(session), budget_bytes)
    return steps


def _reuse(answer: StoredAnswer, fresh: Sequence[Heard]) -> Step:
    own = sorted(fresh, key=lambda heard: heard.place)
    shown = tuple(sorted(answer.messages))
    step = _step(own)
    return Step(step.session, step.messages, shown, step.size, step.spoken, answer.id)


def _passes(session: Sequence[Heard], budget_bytes: int) -> list[Step]:
    """Cut a session where the budget ends, as the extractor does; a long message goes alone."""
    parts: list[list[Heard]] = []
    room = 0
    for heard in session:
        if not parts or heard.size > room:
            parts.append([])
            room = budget_bytes
        parts[-1].append(heard)
        room -= heard.size
    return [_step(part) for part in parts]


def _step(part: Sequence[Heard]) -> Step:
    ids = tuple(heard.id for heard in part)
    spoken = any(heard.role == "user" for heard in part)
    return Step(part[0].session, ids, ids, sum(heard.size for heard in part), spoken)


def halves(step: Step, known: Mapping[UUID, Heard]) -> tuple[Step, Step]:
    """Split a step of several messages, to find the one that spoils it."""
    middle = len(step.messages) // 2
    first, second = step.messages[:middle], step.messages[middle:]
    return _step([known[row] for row in first]), _step([known[row] for row in second])


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a replay will do and cost; tokens of input, at four bytes each."""

    sessions: int
    messages: int
    calls: int
    reused_answers: int
    carried_messages: int
    input_tokens: int


_TURN_BYTES = 130  # an id, a role, a time and the JSON around them
_BYTES_PER_TOKEN = 4


def estimate(
    steps: Sequence[Step], *, carried: int, paid: bool, prompt_bytes: int, context_bytes: int
) -> Estimate:
    """Add up the steps; `context_bytes` is what a call is shown beside its messages, on average."""
    calls = [step for step in steps if step.asks] if paid else []
    size = sum(step.size + _TURN_BYTES * len(step.messages) for step in calls)
    size += len(calls) * (prompt_bytes + context_bytes)
    return Estimate(
        sessions=len({step.session for step in steps}),
        messages=sum(len(step.messages) for step in steps),
        calls=len(calls),
        reused_answers=sum(step.answer is not None for step in steps),
        carried_messages=carried,
        input_tokens=-(-size // _BYTES_PER_TOKEN),
    )
