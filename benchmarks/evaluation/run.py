"""One run of evaluations: the data, the instances, and what was told to them once for several.

Instances start when the first evaluation asks for them and stop at the end of the run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Literal, Self

from benchmarks.evaluation.gold import Asked, Script
from benchmarks.evaluation.memory import (
    GoldMemory,
    Memory,
    conversation,
    message,
    with_gold_model,
    without_model,
)
from benchmarks.evaluation.noise import noisy, without_distortions
from benchmarks.evaluation.people import GoldFact, Pair, Person, Turn
from benchmarks.evaluation.readers import Data
from benchmarks.evaluation.stored import Stored
from benchmarks.evaluation.stories import Story, draw_stories, shuffled, waves
from shared.local_models import LOCAL_MODEL

Order = Literal["in order", "shuffled"]
Mode = Literal["verbatim", "gold, no judge", "gold, oracle judge", "gold, noise"]
MODES: tuple[Mode, ...] = ("verbatim", "gold, no judge", "gold, oracle judge", "gold, noise")
_DAY = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
JUDGED: frozenset[Mode] = frozenset({"gold, oracle judge", "gold, noise"})


@dataclass(frozen=True, slots=True)
class Size:
    """How much is told; `default` is for people, `small` for a test."""

    stories: int
    waves: int
    conversations: int = 1_000
    """Of each set of attacks, and of what looks like them."""


DEFAULT = Size(stories=60, waves=4)
SMALL = Size(stories=3, waves=2, conversations=4)


@dataclass(frozen=True, slots=True)
class Told:
    """A person after the telling, under the user name they were told as."""

    person: Person
    user: str
    memory: Memory
    asked: Asked


@dataclass
class Run:
    """What evaluations share. `report` hears of progress, `notes` are for the end.

    `embed_model` is the full name of one that runs in the process.
    """

    data: Data
    seed: int = 1
    embed_model: str = LOCAL_MODEL
    size: Size = DEFAULT
    report: Callable[[str], None] = lambda _: None
    notes: list[str] = field(default_factory=list)
    _open: ExitStack = field(default_factory=ExitStack)
    _stories: dict[Order, list[tuple[Story, str]]] = field(default_factory=dict)
    _pairs: int = 0
    _told: dict[tuple[str, Mode], Told] = field(default_factory=dict)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._open.close()

    def note(self, text: str) -> None:
        """Say something about the run as a whole, once."""
        if text not in self.notes:
            self.notes.append(text)

    # ---- instances

    @cached_property
    def judged(self) -> GoldMemory:
        """The instance whose model extracts gold facts and judges by gold links."""
        self.report("starting an instance with gold facts and an oracle judge")
        return self._open.enter_context(with_gold_model(self.embed_model, judge=True))

    @cached_property
    def unjudged(self) -> GoldMemory:
        """The instance whose model extracts gold facts and is asked nothing else."""
        self.report("starting an instance with gold facts and no judge")
        return self._open.enter_context(with_gold_model(self.embed_model, judge=False))

    @cached_property
    def plain(self) -> Memory:
        """The instance without any model."""
        self.report("starting an instance without a model")
        return self._open.enter_context(without_model(self.embed_model))

    # ---- telling

    def stories(self, order: Order) -> list[tuple[Story, str]]:
        """Made-up people, told in waves that each settle before the next: (story, user)."""
        if order not in self._stories:
            self._stories[order] = self._tell_stories(order)
        return self._stories[order]

    def _tell_stories(self, order: Order) -> list[tuple[Story, str]]:
        drawn = draw_stories(self.seed, self.size.stories)
        people = [story.person for story in drawn]
        if order == "shuffled":
            people = [shuffled(person, self.seed) for person in people]
        memory = self.unjudged
        self.report(f"telling {len(drawn)} made-up people, {order}")
        memory.play(Script.of(people))
        suffix = order.replace(" ", "-")
        for wave in waves(people, self.size.waves):
            memory.say(
                [message(f"{person.name}-{suffix}", turn, f"m{at}") for person, at, turn in wave]
            )
            memory.settle()
        return [(story, f"{story.person.name}-{suffix}") for story in drawn]

    def tell(self, person: Person, mode: Mode) -> Told:
        """Tell a person of a data set in a mode of its README, and wait until all is settled."""
        key = (person.name, mode)
        if key not in self._told:
            self.report(f"telling {person.name}: {mode}")
            self._told[key] = self._tell(person, mode)
        return self._told[key]

    def _tell(self, person: Person, mode: Mode) -> Told:
        user = f"{person.name}-{mode.replace(', ', '-').replace(' ', '-')}"
        if mode == "verbatim":
            self._hand_in([(user, person)])
            return Told(person, user, self.plain, Asked())
        told = noisy(person, self.seed) if mode == "gold, noise" else without_distortions(person)
        memory = self.judged if mode in JUDGED else self.unjudged
        asked = memory.play(Script.of([told]))
        memory.say(conversation(user, told))
        memory.settle()
        return Told(told, user, memory, asked)

    def _hand_in(self, people: Sequence[tuple[str, Person]]) -> None:
        """Hand in every fact as it stands, to the instance without a model."""
        for user, person in people:
            for index, (turn, fact) in enumerate(person.facts()):
                said = {"timestamp": turn.at.isoformat(), "message_id": f"f{index:05}"}
                self.plain.hand_in(user, {"content": fact.content, **fact.fields, **said})
        self.plain.settle()

    def tell_pairs(self, about: str, pairs: Sequence[Pair], *, judged: bool) -> list[Stored]:
        """Tell each pair to a user of its own, a day apart; what each then holds.

        Without a judge they are handed in to the instance that has no model.
        """
        memory = self.judged if judged else self.plain
        self.report(f"telling {len(pairs)} pairs{' to a judge' if judged else ''}: {about}")
        self._pairs += 1
        users = [f"pair-{self._pairs}-{index}" for index in range(len(pairs))]
        people = [_pair_of_facts(user, pair) for user, pair in zip(users, pairs, strict=True)]
        if judged:
            script = Script.of(people)
            script.equate(pairs)
            self.judged.play(script)
            memory.say([m for person in people for m in conversation(person.name, person)])
            memory.settle()
        else:
            self._hand_in(list(zip(users, people, strict=True)))
        return [memory.stored(user) for user in users]


def _pair_of_facts(user: str, pair: Pair) -> Person:
    said = [(pair.a, _DAY), (pair.b, _DAY + timedelta(days=1))]
    turns = (Turn("s", "user", at, f"{user}: {text}", (GoldFact(text),)) for text, at in said)
    return Person(user, tuple(turns), exact=True)
