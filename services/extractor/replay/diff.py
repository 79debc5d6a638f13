"""How two generations differ in what is believed (pure): beliefs are compared, not rows.

Two beliefs are one when they say the same value of the same attribute, or the same sentence. What
is left is paired when it has the same attribute and rests on a common message, then when both are
the attribute's only value, then when it rests on a common message and shares words.
"""

from __future__ import annotations

import re
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

_LIKENESS = 0.3  # shared words of all words: below, two sentences of one message are two facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Belief:
    """What is held true, at any time, or planned; `messages` are those its evidence rests on.

    `key` is its value, else its sentence, normalized; `single`: its attribute has one value at a
    time.
    """

    fact_id: UUID
    subject: str
    slot: str | None
    value: str | None
    key: str
    content: str
    single: bool
    is_plan: bool
    valid: tuple[tuple[datetime | None, datetime | None], ...]
    planned_for: datetime | None
    messages: frozenset[UUID]

    @property
    def time(self) -> Hashable:
        return self.is_plan, self.valid, self.planned_for


@dataclass(frozen=True, slots=True)
class Pair:
    """A belief of both generations; `differs` names what is not the same: value, content, time."""

    old: Belief
    new: Belief
    differs: tuple[str, ...]


@dataclass(slots=True)
class Diff:
    """Every belief of the old generation is lost or in a pair; of the new one, added or in one."""

    added: list[Belief] = field(default_factory=list)
    lost: list[Belief] = field(default_factory=list)
    changed: list[Pair] = field(default_factory=list)
    unchanged: list[Pair] = field(default_factory=list)


def compare(old: Iterable[Belief], new: Iterable[Belief]) -> Diff:
    """Compare two generations; the answer does not depend on the order of either."""
    matching = _Matching(sorted(old, key=_order), sorted(new, key=_order))
    matching.by_key(lambda b: (b.subject, b.slot, b.key, b.time, words(b.content)))
    matching.by_key(lambda b: (b.subject, b.slot, b.key, b.time))
    matching.by_key(lambda b: (b.subject, b.slot, b.key))
    matching.by_message(lambda a, b: float(a.slot is not None and a.slot == b.slot))
    matching.by_key(lambda b: (b.subject, b.slot) if b.single and b.slot else None)
    matching.by_message(likeness)
    diff = Diff(added=list(matching.new.values()), lost=list(matching.old.values()))
    for pair in matching.pairs:
        (diff.changed if pair.differs else diff.unchanged).append(pair)
    return diff


def says_again(
    diff: Diff, *, content: str, slot: str | None, value: str | None, messages: Collection[UUID]
) -> list[Belief]:
    """What is new from these messages and may say in other words what was corrected there.

    All of it, but for what is liker to another belief that was lost from the same messages, and,
    where an attribute was corrected, what is about another one and shares no word with it.
    """
    said = set(words(content)) | set(words(value or ""))
    lost = [old for old in diff.lost if not old.messages.isdisjoint(messages)]

    def is_news(new: Belief) -> bool:
        if slot and new.slot and new.slot != slot:
            return said.isdisjoint({*words(new.content), *words(new.value or "")})
        nearest = max((likeness(old, new) for old in lost), default=0.0)
        return nearest > shared_words(content, new.content)

    found = [new for new in diff.added if not new.messages.isdisjoint(messages)]
    return [new for new in found if not is_news(new)]


class _Matching:
    """What is not paired yet of each side, in order."""

    def __init__(self, old: Sequence[Belief], new: Sequence[Belief]) -> None:
        self.old = {belief.fact_id: belief for belief in old}
        self.new = {belief.fact_id: belief for belief in new}
        self.pairs: list[Pair] = []

    def by_key(self, key: Callable[[Belief], Hashable | None]) -> None:
        """Pair what has the same key, first with first."""
        waiting: dict[Hashable, deque[Belief]] = defaultdict(deque)
        for belief in self.new.values():
            waiting[key(belief)].append(belief)
        for belief in list(self.old.values()):
            found = waiting.get(named) if (named := key(belief)) is not None else None
            if found:
                self._pair(belief, found.popleft())

    def by_message(self, score: Callable[[Belief, Belief], float]) -> None:
        """Pair what rests on a common message and is about the same subject, the likest first."""
        of_message: dict[UUID, list[Belief]] = defaultdict(list)
        for belief in self.new.values():
            for message in belief.messages:
                of_message[message].append(belief)
        for belief in list(self.old.values()):
            near = {b.fact_id: b for m in belief.messages for b in of_message[m]}
            scored = [(score(belief, b), b) for b in near.values() if b.subject == belief.subject]
            likely = [(s, b) for s, b in scored if s >= _LIKENESS]
            if likely:
                best = min(likely, key=lambda found: (-found[0], _order(found[1])))[1]
                self._pair(belief, best)
                for message in best.messages:
                    of_message[message].remove(best)

    def _pair(self, old: Belief, new: Belief) -> None:
        del self.old[old.fact_id], self.new[new.fact_id]
        self.pairs.append(Pair(old, new, _differences(old, new)))


def _differences(old: Belief, new: Belief) -> tuple[str, ...]:
    differs = {
        "value": (old.slot, old.key if old.slot else None)
        != (new.slot, new.key if new.slot else None),
        "content": words(old.content) != words(new.content),
        "time": old.time != new.time,
    }
    return tuple(name for name, different in differs.items() if different)


def likeness(a: Belief, b: Belief) -> float:
    """Shared words of all words of two sentences: 0 to 1."""
    return shared_words(a.content, b.content)


def shared_words(a: str, b: str) -> float:
    """The words that two sentences share, of all their words: 0 to 1."""
    left, right = set(words(a)), set(words(b))
    return len(left & right) / len(left | right) if left | right else 0.0


def words(text: str) -> tuple[str, ...]:
    """A sentence without case, punctuation and spacing."""
    return tuple(re.findall(r"\w+", text.casefold()))


def _order(belief: Belief) -> tuple[str, str, str, str, str, list[str]]:
    """An order that says nothing about the generation: ids do not come into it before the end."""
    began = [start.isoformat() if start else "" for start, _ in belief.valid]
    day = belief.planned_for.isoformat() if belief.planned_for else ""
    messages = sorted(str(message) for message in belief.messages)
    return (
        belief.subject,
        belief.slot or "",
        belief.key,
        ",".join(began) + day,
        belief.content,
        [*messages, str(belief.fact_id)],
    )
