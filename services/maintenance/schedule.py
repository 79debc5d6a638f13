"""When a kind of job is due, and for whom by now (pure; all times are UTC).

A kind has *slots*, the moments of its cron expression. Each slot that comes begins a *round*: users
take their turns in the order of a hash, spread evenly over a window of time. A round that was
missed is made up for once, however many slots were missed; time that goes backwards begins none
again. Whether a user has anything new is not decided here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from cronsim import CronSim

TURNS = 2**31
"""Turns are 0 ≤ turn < TURNS, from a hash of tenant and user."""

_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Round:
    """How far the round of a slot has come: users whose turn is at most `turn` had theirs."""

    slot: datetime
    turn: int = -1
    finished: bool = False


def last_slot(cron: str, now: datetime) -> datetime | None:
    """The latest slot that is not after `now`; None when there never was one."""
    return next(CronSim(cron, now.replace(microsecond=0) + _SECOND, reverse=True), None)


def next_slot(cron: str, now: datetime) -> datetime | None:
    """The first slot after `now`."""
    return next(CronSim(cron, now), None)


def current_round(cron: str, known: Round | None, now: datetime) -> Round:
    """The round that is under way now, or the last one, finished.

    A round that was begun is finished before the next one begins, which is that of the latest slot.
    A schedule seen for the first time waits for its next slot. A slot later than the next one is of
    a clock that was wrong, and is forgotten.
    """
    if known is None:
        return Round(now, finished=True)
    following = next_slot(cron, now)
    if following is not None and known.slot > following:
        return Round(now, finished=True)
    if not known.finished:
        return known
    latest = last_slot(cron, now)
    return known if latest is None or latest <= known.slot else Round(latest)


def turns_due(cron: str, slot: datetime, now: datetime, spread_seconds: float) -> int:
    """Up to which turn (exclusive) users are due `now` in the round of a slot: 0 to TURNS."""
    following = next_slot(cron, slot)
    spread = timedelta(seconds=spread_seconds)
    if following is not None:
        spread = min(spread, following - slot)
    passed = now - slot
    if passed < timedelta(0):
        return 0
    return TURNS if passed >= spread else int(TURNS * (passed / spread))


def after_step(current: Round, reached: int | None, due: int) -> Round:
    """The round after users up to `reached` had their turn; None: nobody is left before `due`."""
    if reached is not None:
        return replace(current, turn=reached)
    return replace(current, turn=max(current.turn, due - 1), finished=due >= TURNS)
