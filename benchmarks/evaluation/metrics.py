"""What counts as right (pure): gold beside what the memory holds, case by case.

Nothing here knows how anything was told; every function yields one `Case` for each thing that can
be right or wrong, and says of a wrong one what it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from benchmarks.evaluation.chains import Chain, Span
from benchmarks.evaluation.figures import Case
from benchmarks.evaluation.people import GoldFact
from benchmarks.evaluation.stored import Stored, StoredFact

# ---- slots


def current_value(chain: Chain, stored: Stored) -> Case:
    """Whether exactly the true value is believed now, or none where it ended."""
    living = [
        fact.value or ""
        for fact in stored.living()
        if fact.slot == chain.slot and fact.claim == "holds"
    ]
    expected = chain.now
    if expected is None:
        return Case(not living, f"{chain.slot}: nothing expected, found {living}")
    right = len(living) == 1 and living[0] in expected.spellings
    return Case(right, f"{chain.slot}: {expected.plain} expected, found {living}")


def timeline(chain: Chain, slots: Iterable[Mapping[str, Any]]) -> Case:
    """Whether every stretch is there, with its value and its edges as precisely as told."""
    found = [slot for slot in slots if slot["slot"] == chain.slot and slot["subject"] == "user"]
    intervals = found[0]["intervals"] if found else []
    told = [_interval(each) for each in intervals]
    told.sort(key=lambda each: each[1])
    right = len(told) == len(chain.spans) and all(map(_matches, chain.spans, told))
    return Case(right, f"{chain.slot}: {_shown(chain.spans)} expected, found {_listed(told)}")


Interval = tuple[str, datetime, datetime | None]


def _interval(interval: Mapping[str, Any]) -> Interval:
    start, end = interval["valid_from"], interval["valid_to"]
    begun = datetime.fromisoformat(start or "0001-01-01T00:00:00+00:00")
    return interval["value"], begun, datetime.fromisoformat(end) if end else None


def _matches(span: Span, interval: Interval) -> bool:
    value, start, end = interval
    if value not in span.value.spellings or abs(start - span.start.at) > span.start.within:
        return False
    if span.end is None or end is None:
        return span.end is None and end is None
    return abs(end - span.end.at) <= span.end.within


def _shown(spans: Sequence[Span]) -> str:
    return _listed([(s.value.plain, s.start.at, s.end.at if s.end else None) for s in spans])


def _listed(intervals: Iterable[Interval]) -> str:
    return "; ".join(
        f"{value} {start:%Y-%m-%d}–{f'{end:%Y-%m-%d}' if end else ''}"
        for value, start, end in intervals
    )


def held(
    slot: str, spellings: Sequence[str], moment: datetime, facts: Iterable[StoredFact]
) -> Case:
    """Whether a value is found at a moment, and no other of its slot."""
    found = {fact.value for fact in facts if fact.slot == slot and fact.claim == "holds"}
    right = bool(found) and found <= set(spellings)
    return Case(right, f"{slot} at {moment:%Y-%m-%d}: {spellings[0]} expected, found {found}")


def day_before(span: Span) -> datetime:
    """A moment that is before a change however precisely it was told."""
    return span.start.at - timedelta(days=1)


# ---- free text


def replacements(facts: Iterable[GoldFact]) -> dict[str, set[str]]:
    """By each replaced content, the contents that replace it; of what was told alone."""
    told = list(facts)
    contents = {fact.content for fact in told}
    found: dict[str, set[str]] = {}
    for fact in told:
        for old in fact.replaces:
            if old in contents:
                found.setdefault(old, set()).add(fact.content)
    return found


def kept(facts: Iterable[GoldFact]) -> list[str]:
    """Contents that nothing replaces: what must be believed in the end, each once."""
    told = list(facts)
    gone = {_plain(old) for old in replacements(told)}
    return list(dict.fromkeys(fact.content for fact in told if _plain(fact.content) not in gone))


def _plain(text: str) -> str:
    """Without what makes two sentences differ trivially: gold has them with and without a stop."""
    return " ".join(text.casefold().split()).rstrip(".!")


def superseded(links: Mapping[str, set[str]], stored: Stored) -> Iterator[Case]:
    """Whether each replaced fact is retired and leads to one that replaces it."""
    for old, news in links.items():
        retired = bool(stored.said(old)) and not stored.lives(old)
        linked = bool(stored.successors(old) & news)
        state = "retired, not linked" if retired else "not retired"
        yield Case(retired and linked, f"{state}: {old}")


def retired_wrongly(contents: Iterable[str], stored: Stored) -> Iterator[Case]:
    """Whether what nothing replaced is believed no longer (a case that counts is a fault)."""
    for content in contents:
        yield Case(not stored.lives(content), _fate(content, stored))


def _fate(content: str, stored: Stored) -> str:
    said = stored.clusters(content)
    if not said:
        return f"not stored: {content}"
    return f"{said[0].status}, by {sorted(stored.successors(content))[:1]}: {content}"


def history_kept(links: Mapping[str, set[str]], stored: Stored) -> Iterator[Case]:
    """Whether each replaced fact is still there, word for word."""
    for old in links:
        yield Case(bool(stored.said(old)), f"gone: {old}")


def believed_are_right(expected: Iterable[str], stored: Stored) -> Iterator[Case]:
    """Precision: whether each belief says something that should be believed."""
    right = set(expected)
    for fact in stored.living():
        said = {member.content for member in stored.members(fact)}
        yield Case(bool(said & right), f"should not be believed: {fact.content}")


def right_are_believed(expected: Iterable[str], stored: Stored) -> Iterator[Case]:
    """Recall: whether each thing that should be believed is."""
    for content in expected:
        yield Case(stored.lives(content), f"not believed: {content}")


def one_belief(stored: Stored) -> bool:
    """Whether two facts, all that was told, became one."""
    merged = sum(fact.status == "merged" for fact in stored.facts)
    return len(stored.facts) == 2 and merged == 1 and len(stored.living()) == 1


def distortions_merged(facts: Iterable[GoldFact], stored: Stored) -> Iterator[Case]:
    """Whether an altered fact was merged with the true one (a case that counts is a fault)."""
    told = list(facts)
    contents = {fact.content for fact in told}
    for fact in told:
        if fact.distorts in contents and fact.distorts != fact.content:
            about = f"{fact.content} = {fact.distorts}"
            yield Case(stored.merged(fact.content, str(fact.distorts)), about)
