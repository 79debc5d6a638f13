"""A night over many users in a real instance with its own settings, while one client recalls.

In the first night every job of every kind has everything to do, as after an import. What one kind
changed is news to the others, so nights follow until nobody has any: those slots were missed and
are made up for at full speed, no longer spread. Then every user has news, and all of it is as it
was: every job runs, each kind by itself and all at once, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import cycle
from time import sleep
from typing import Any

import numpy as np

from benchmarks.figures import show
from benchmarks.instance import Instance, running
from benchmarks.night.filling import Sleepers
from benchmarks.night.watching import KINDS, Night, Recalls, recalling
from benchmarks.recall.asking import Client
from benchmarks.recall.corpus import Corpus
from benchmarks.recall.filling import Filling
from shared.embeddings import LOCAL_MODEL
from shared.minilm import MiniLM

_RECALLS_A_SECOND = 4.0
_IDLE_SECONDS = 60.0
_ASKED = {f"awake{number}": 1_000 for number in range(8)}
_LONGEST_SECONDS = 3_600.0
_MOST_NIGHTS = 5
_NEWS = (
    "UPDATE users SET belief_version = belief_version + 1 WHERE user_id LIKE 'sleeper%' RETURNING 1"
)


def nightly(users: int = 10_000, facts: int = 200) -> None:
    """A night over all users, asked for by the schedule, while one client recalls: three times."""
    with running() as instance:
        ask = _filled(instance, users, facts)
        with recalling(ask, _RECALLS_A_SECOND):
            sleep(_IDLE_SECONDS / 3)  # who is asked about again is read into memory
        instance.quiet()
        with recalling(ask, _RECALLS_A_SECOND) as idle:
            sleep(_IDLE_SECONDS)
        show("nothing else at work", idle.figures())
        title = f"{users:,} users × {facts:,} facts"
        figures = _night(instance, KINDS, ask, idle)
        show(f"the first night of {title}, all kinds at once, spread", figures)
        nights = 0
        while figures["jobs of all kinds"] and nights < _MOST_NIGHTS:
            nights += 1
            figures = _night(instance, KINDS, ask, idle, missed=True)
            show(f"night {nights} after it, made up for at full speed", figures)
        for kind in KINDS:
            instance.rows(_NEWS)
            figures = _night(instance, [kind], ask, idle, missed=True)
            show(f"{kind} of {title} in which all is as it was, at full speed", figures)
        instance.rows(_NEWS)
        figures = _night(instance, KINDS, ask, idle)
        show(f"a night of {title} in which all is as it was, all kinds at once, spread", figures)


def _night(
    instance: Instance,
    kinds: Sequence[str],
    ask: Callable[[], None],
    idle: Recalls,
    *,
    missed: bool = False,
) -> dict[str, Any]:
    with recalling(ask, _RECALLS_A_SECOND) as busy:
        figures = Night(instance, kinds, missed=missed).last(_LONGEST_SECONDS)
    instance.quiet()
    recalls = busy.figures()
    before = idle.figures()["recall p95 ms"]
    return {**figures, **recalls, "  times the p95 idle": recalls["recall p95 ms"] / before}


def _filled(instance: Instance, users: int, facts: int) -> Callable[[], None]:
    """Fill the instance; answers what asks one more question, about the next user in turn."""
    corpus = Corpus()
    summed = MiniLM(1).pool(corpus.sentences(300))
    centres = summed / np.linalg.norm(summed, axis=1, keepdims=True)
    seconds = Filling(instance.database_url, corpus, LOCAL_MODEL, centres).fill(_ASKED, 0)
    seconds += Sleepers(instance.database_url, corpus, LOCAL_MODEL, centres, facts).fill(users)
    show("filling", {"facts": users * facts + sum(_ASKED.values()), "seconds": seconds})
    texts = instance.rows("SELECT content FROM memory_facts WHERE user_id = 'awake0' LIMIT 2000")
    client = Client(instance)
    turns = cycle([client.ask_about(user) for user in _ASKED])
    spoken = [row[0] for row in texts]

    def ask() -> None:
        [question] = corpus.questions(spoken, 1)
        next(turns)(question)

    return ask
