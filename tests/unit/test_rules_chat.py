"""How much of ordinary chat the rules find, and how much of what they store is right.

`chat_messages.jsonl` holds messages of invented people, more than half of them without a durable
fact. `expect` is what must be found, `may` what is true but need not be. A fact is written
`slot=value`, with `past`, `future`, `ends` or `denies` and `@Emma` in front where it applies; `~`
stands for words that a fact's content must have; `|` for "either".
"""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TypedDict

from services.extractor.rules import RulesExtractor
from services.extractor.turns import ChatTurn, RawFact
from shared.slots import value_key

AT = datetime(2025, 11, 22, 10, tzinfo=UTC)
EXTRACTOR = RulesExtractor()
CHAT = Path(__file__).parents[1] / "data" / "chat_messages.jsonl"
_WANTED = re.compile(
    r"(?:@(?P<subject>\S+) )?(?:(?P<put>ends|denies|past|future) )?(?P<slot>\w+)=(?P<value>.*)"
)


class Message(TypedDict, total=False):
    said: str
    expect: list[str]
    may: list[str]


def facts_of(said: str) -> list[RawFact]:
    return EXTRACTOR.extract([ChatTurn("m", "user", AT, said)])


def fits(wanted: str, fact: RawFact) -> bool:
    return any(_is(each, fact) for each in wanted.split("|"))


def _is(wanted: str, fact: RawFact) -> bool:
    if wanted.startswith("~"):
        return re.search(wanted[1:], fact["content"], re.IGNORECASE) is not None
    parts = _WANTED.fullmatch(wanted)
    assert parts, f"not a fact: {wanted}"
    slot, value = parts["slot"], fact["value"] or ""
    return (
        fact["subject"] == (parts["subject"] or "user")
        and fact["slot"] == slot
        and _put(fact) == (parts["put"] or "holds")
        and (value_key(slot, value) if value else "")
        == (value_key(slot, parts["value"]) if parts["value"] else "")
    )


def _put(fact: RawFact) -> str:
    if fact["claim"] != "holds":
        return fact["claim"]
    return fact["temporal_state"] if fact["temporal_state"] in ("past", "future") else "holds"


MESSAGES: list[Message] = [json.loads(line) for line in CHAT.read_text("utf-8").splitlines()]
FOUND = [(message, facts_of(message["said"])) for message in MESSAGES]


def test_the_messages_are_many_and_half_of_them_hold_no_durable_fact():
    empty = [message for message in MESSAGES if not message["expect"]]
    assert len(MESSAGES) >= 250
    assert len(empty) * 2 >= len(MESSAGES) - 10
    assert len({message["said"] for message in MESSAGES}) == len(MESSAGES)


def test_what_is_stored_is_right():
    wrong = [
        (message["said"], fact["content"])
        for message, facts in FOUND
        for fact in facts
        if not any(fits(each, fact) for each in [*message["expect"], *message.get("may", [])])
    ]
    stored = sum(len(facts) for _, facts in FOUND)
    assert 1 - len(wrong) / stored >= 0.97, wrong


def test_what_was_said_is_found():
    missed = [
        (message["said"], each)
        for message, facts in FOUND
        for each in message["expect"]
        if not any(fits(each, fact) for fact in facts)
    ]
    said = sum(len(message["expect"]) for message in MESSAGES)
    assert 1 - len(missed) / said >= 0.95, missed


def test_a_message_without_a_durable_fact_stores_none():
    empty = [
        (message["said"], facts)
        for message, facts in FOUND
        if not message["expect"] and not message.get("may")
    ]
    stored = [said for said, facts in empty if facts]
    assert len(stored) / len(empty) <= 0.02, stored
