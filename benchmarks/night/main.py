"""A night over many users in a real instance, while one client recalls: told apart by kind.

Three nights. In the first every job has everything to do, as after an import. In the second nothing
is new, so nobody is asked for. Before the third every user hears something, and all of it is as it
was: every job runs, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
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
_NEWS = "UPDATE users SET belief_version = belief_version + 1 WHERE user_id LIKE 'sleeper%' "


def nightly(users: int = 10_000, facts: int = 200) -> None:
    """A night over all users, asked for by the schedule, while one client recalls: three times."""
    with running(schedule_spread_seconds="0") as instance:
        ask = _filled(instance, users, facts)
        with recalling(ask, _RECALLS_A_SECOND):
            sleep(_IDLE_SECONDS / 3)  # who is asked about again is read into memory
        instance.quiet()
        with recalling(ask, _RECALLS_A_SECOND) as idle:
            sleep(_IDLE_SECONDS)
        show("nothing else at work", idle.figures())
        title = f"{users:,} users × {facts:,} facts"
        for kind in KINDS:
            show(f"{kind}, {title}, first night", _night(instance, [kind], ask, idle))
        show(f"{title}, a night with nothing new", _night(instance, KINDS, ask, idle))
        instance.rows(_NEWS + "RETURNING 1")
        show(f"{title}, a night in which all is as it was", _night(instance, KINDS, ask, idle))


def _night(
    instance: Instance, kinds: tuple[str, ...] | list[str], ask: Callable[[], None], idle: Recalls
) -> dict[str, Any]:
    with recalling(ask, _RECALLS_A_SECOND) as busy:
        figures = Night(instance, kinds).last(_LONGEST_SECONDS)
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
