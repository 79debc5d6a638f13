"""Random lives, told as people tell them: what was true comes first, the statements follow from it.

A life of a slot of one is a chain of stretches, perhaps with gaps, moves back and plans. Each is told
plainly ("I live in X now"), with a date of some precision, only afterwards ("from … to …"), or is
announced first. The expectation is read off the life, never off the statements' fold.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.facts.statements import Statement

FORMATS = {"day": "%Y-%m-%d", "month": "%Y-%m", "year": "%Y"}
UNIT_DAYS = {"instant": 0, "day": 1, "month": 31, "year": 366}
DAY = timedelta(days=1)
BEGAN = datetime(2005, 3, 1, 12, tzinfo=UTC)

Values = Sequence[Sequence[str]]
"""Values of a slot, each in several spellings."""

ONE: dict[tuple[str, ...], Values] = {
    ("home_city", "city", "lives_in", "user's city", "homeCity", "current_residence"): (
        ("San Francisco", "SF", "San Francisco, CA"), ("New York City", "NYC", "new york"),
        ("Dallas", "Dallas, TX", "dallas"), ("Portland, Oregon", "Portland"),
        ("Portland, Maine", "Portland, ME"), ("Mumbai", "Bombay"),
    ),
    ("employer", "company", "workplace", "current employer", "works_at"): (
        ("Google", "Google Inc.", "google llc"), ("Google DeepMind",), ("Acme, Ltd", "ACME"),
        ("Meta", "Meta Platforms, Inc."), ("the City Hospital", "City Hospital"),
    ),
    ("job_title", "job", "occupation", "jobTitle", "position"): (
        ("product manager", "a Product Manager"), ("project manager",), ("nurse", "a nurse"),
        ("Sr. Software Engineer", "senior software engineer"), ("software engineer",),
    ),
    ("partner", "spouse", "wife", "girlfriend", "wife's name"): (
        ("Ana", "ana"), ("Anna",), ("María", "Maria"), ("Jo",),
    ),
    ("marital_status", "relationship status", "Marital Status"): (
        ("single", "unmarried"), ("married", "happily married"), ("divorced",),
    ),
    ("diet", "eating_style", "dietType"): (
        ("vegan", "a vegan diet"), ("vegetarian", "Vegetarian diet"), ("keto",), ("omnivore",),
    ),
    ("phone_mobile", "phone", "phone number", "mobileNumber"): (
        ("+1 415 555 0199", "(415) 555-0199"), ("+1 415 555 0142",), ("+41 44 123 45 67",),
    ),
    ("favorite_food", "favourite food", "favorite dish"): (
        ("pizza", "Pizza"), ("ramen",), ("a curry", "curry"),
    ),
    ("gym", "fitness club", "gym_name"): (("Planet Fitness",), ("Gold's Gym", "Golds Gym"), ("YMCA",)),
    ("doctor", "GP", "primary care physician"): (("Dr. Smith", "Smith"), ("Dr. Lee",), ("Dr. Brown",)),
    ("religion", "faith"): (("Catholic", "Catholicism"), ("Buddhist", "Buddhism"), ("atheist",)),
    ("height", "body height"): (("180 cm", "1.80 m"), ("181 cm",)),
    ("smoker", "smoking status"): (("yes", "a smoker"), ("no", "non-smoker")),
    ("shoe_polish", "Shoe Polish", "shoePolish"): (("black", "Black"), ("brown",), ("red",)),
}  # fmt: skip

MANY: dict[tuple[str, ...], Values] = {
    ("hobby", "hobbies", "pastime"): (
        ("hiking", "to hike"), ("chess",), ("chess boxing",), ("painting", "paint"), ("baking",),
    ),
    ("pet", "dog", "pets", "dog's name"): (
        ("Rex", "Rex the dog", "a dog named Rex"), ("Milo", "my dog Milo"), ("Luna",), ("Roxy",),
    ),
    ("language", "languages", "speaks"): (
        ("Spanish", "español"), ("Portuguese",), ("Brazilian Portuguese",), ("German", "Deutsch"),
    ),
    ("allergy", "allergies", "allergic_to"): (
        ("peanuts", "peanut"), ("tree nuts",), ("penicillin",), ("shellfish",),
    ),
    ("friend", "friends", "best friend"): (("Ana",), ("Anna",), ("Sara (colleague)",), ("Sara (gym)",)),
}  # fmt: skip


@dataclass(frozen=True)
class Stretch:
    """A value (by number), and when it is told to begin and to end; `exact` within this many days."""

    value: int
    start: datetime
    end: datetime | None
    start_days: int = 0
    end_days: int = 0


@dataclass(frozen=True)
class Said:
    """One message: when it was said, and what it states."""

    at: datetime
    statement: Statement


@dataclass
class Story:
    """A slot's life as it was told: statements, and the stretches a listener should believe."""

    slot: str
    values: Values
    many: bool
    said: list[Said] = field(default_factory=list)
    stretches: list[Stretch] = field(default_factory=list)

    def moments(self) -> list[datetime]:
        """Moments no told date is too coarse to decide, a day to each side of every change."""
        changes = [(s.start, s.start_days) for s in self.stretches]
        changes += [(s.end, s.end_days) for s in self.stretches if s.end]
        near = [at - DAY for at, _ in changes] + [at + (days + 1) * DAY for at, days in changes]
        blurred = [(at, at + days * DAY) for at, days in changes if days]
        last = max(each.at for each in self.said) + 30 * DAY
        return [at for at in [*near, last] if not any(a - DAY < at < b + DAY for a, b in blurred)]

    def true_at(self, at: datetime) -> set[int]:
        return {s.value for s in self.stretches if s.start <= at and (s.end is None or at < s.end)}


class Teller:
    """Makes stories from a seed."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)

    def story(self) -> Story:
        return self._many() if self.rng.random() < 0.3 else self._one()

    # ---- a slot of one

    def _one(self) -> Story:
        self.names = self.rng.choice(list(ONE))
        story = Story(self.names[0], ONE[self.names], many=False)
        at, previous = BEGAN + self.rng.randrange(400) * DAY, None
        for _ in range(self.rng.randrange(2, 6)):
            value = self.rng.choice([v for v in range(len(story.values)) if v != previous])
            length = self.rng.randrange(900, 1500)
            at = self._tell(story, value, at, at + length * DAY)
            previous = value
        return story

    def _tell(self, story: Story, value: int, start: datetime, until: datetime) -> datetime:
        """Tell of one stretch; returns when the next begins."""
        way = self.rng.choice(["plain", "dated", "dated", "planned", "afterwards"])
        if way == "afterwards" and story.stretches and story.stretches[-1].end is None:
            way = "dated"  # what nobody ended would return when the told stretch is over
        gap = self.rng.random() < 0.25 or way == "afterwards"
        if way == "afterwards":
            self._afterwards(story, value, start, until)
            return until + self.rng.randrange(60, 200) * DAY
        told, days = self._told_start(story, value, start, way)
        if self.rng.random() < 0.4:
            middle = start + (until - start) / 2
            self._say(story, middle, value)
        end = None
        if gap:
            end = self._ended(story, value, until)
        self._close_before(story, told, days)
        story.stretches.append(Stretch(value, told, end, days))
        return (end or until) + (self.rng.randrange(40, 200) if gap else 0) * DAY

    def _told_start(
        self, story: Story, value: int, start: datetime, way: str
    ) -> tuple[datetime, int]:
        said = start + self.rng.randrange(1, 20) * DAY
        if way == "plain":
            self._say(story, said, value)
            return said, 0
        precision = self.rng.choice(["day", "day", "month", "year", "instant"])
        if way == "planned":
            precision = self.rng.choice(["day", "instant"])
            plan = start - self.rng.randrange(5, 30) * DAY
            self._say(story, plan, value, "future", occurred_at=_written(start, precision))
        unit = UNIT_DAYS[precision]
        said = max(said, start + unit * DAY)  # never within the unit it is dated by
        since = None if way == "planned" and self.rng.random() < 0.5 else _written(start, precision)
        self._say(story, said, value, occurred_at=since)
        return _truncated(start, precision), unit

    def _afterwards(self, story: Story, value: int, start: datetime, until: datetime) -> None:
        """ "I lived there from … to …", said when it is over."""
        precision = self.rng.choice(["day", "instant"])
        said = until + self.rng.randrange(3, 40) * DAY
        dates = {"occurred_at": _written(start, precision), "ended_at": _written(until, precision)}
        self._say(story, said, value, "past", **dates)
        begins, ends = _truncated(start, precision), _truncated(until, precision)
        story.stretches.append(Stretch(value, begins, ends, 1, 1))

    def _ended(self, story: Story, value: int, until: datetime) -> datetime:
        """ "I left", dated or not, by the value's name or by none."""
        said = until + self.rng.randrange(1, 10) * DAY
        dated = self.rng.random() < 0.5
        on = _written(until, "day") if dated else None
        named = value if self.rng.random() < 0.6 else None
        self._say(story, said, named, claim="ends", ended_at=on)
        return _truncated(until, "day") if dated else said

    def _close_before(self, story: Story, start: datetime, days: int) -> None:
        """The one before ends where this begins, unless it ended by itself."""
        if story.stretches and story.stretches[-1].end is None:
            last = story.stretches[-1]
            story.stretches[-1] = Stretch(last.value, last.start, start, last.start_days, days)

    # ---- a slot of many

    def _many(self) -> Story:
        self.names = self.rng.choice(list(MANY))
        story = Story(self.names[0], MANY[self.names], many=True)
        for value in range(len(story.values)):
            start = BEGAN + self.rng.randrange(3000) * DAY
            self._say(story, start, value)
            end = None
            if self.rng.random() < 0.3:
                end = start + self.rng.randrange(30, 900) * DAY
                claim = self.rng.choice(["ends", "ends", "denies"])
                on = _written(end, "instant") if claim == "denies" else None
                self._say(story, end, value, claim=claim, occurred_at=on)
            elif self.rng.random() < 0.5:
                self._say(story, start + self.rng.randrange(900) * DAY, value)
            story.stretches.append(Stretch(value, start, end))
        return story

    # ---- words

    def _say(
        self, story: Story, at: datetime, value: int | None, state: Any = "current", **more: Any
    ) -> None:
        slot = self.rng.choice(self.names)
        spelled = None if value is None else self.rng.choice(story.values[value])
        content = f"{slot}: {spelled} ({more.get('claim', state)}, {at:%Y-%m-%d})"
        statement = Statement(
            content=content, slot=slot, value=spelled, temporal_state=state, **more
        )
        story.said.append(Said(at, statement))


def _written(at: datetime, precision: str) -> str:
    return at.isoformat() if precision == "instant" else at.strftime(FORMATS[precision])


def _truncated(at: datetime, precision: str) -> datetime:
    if precision == "instant":
        return at
    at = at.replace(hour=0)
    return at.replace(
        day=1 if precision in {"month", "year"} else at.day,
        month=1 if precision == "year" else at.month,
    )
