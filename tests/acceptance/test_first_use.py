"""Mémoire as a new user tries it: rules extract, the local model embeds, everything over HTTP."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.instance import Instance, running, wait_for

pytestmark = pytest.mark.timeout(400)

_users = itertools.count()
STATEMENTS = Path(__file__).parents[1] / "data" / "one_person_25.jsonl"


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    with running(tmp_path_factory.mktemp("first") / "data") as instance:
        yield instance


@pytest.fixture
def user() -> str:
    return f"user-{next(_users)}"


MOVES = [
    ("I live in San Francisco", "2018-03-01T10:00:00Z"),
    ("I moved to Dallas", "2020-06-01T10:00:00Z"),
    ("I moved back to San Francisco", "2024-02-01T10:00:00Z"),
]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_moving_back_is_three_intervals_in_any_order(
    instance: Instance, user: str, order: tuple[int, ...]
) -> None:
    """San Francisco, Dallas, San Francisco: the current home and three intervals."""
    for index in order:
        content, timestamp = MOVES[index]
        instance.say(content, user=user, timestamp=timestamp, message_id=f"m{index}")
    assert instance.values("home_city", user) == ["San Francisco"]
    answer = instance.client.get(f"/v1/users/{user}/timeline", params={"slot": "home_city"})
    [slot] = answer.json()["slots"]
    intervals = [
        (i["value"], i["valid_from"][:4], (i["valid_to"] or "")[:4]) for i in slot["intervals"]
    ]
    assert intervals == [
        ("San Francisco", "2018", "2020"),
        ("Dallas", "2020", "2024"),
        ("San Francisco", "2024", ""),
    ]


def test_a_home_since_some_year_counts_from_then(instance: Instance, user: str) -> None:
    """ "I've lived in Dallas since 2019", said later, wins from 2019 on."""
    instance.say("I live in San Francisco", user=user, timestamp="2010-03-01T10:00:00Z")
    instance.say("I've lived in Dallas since 2019", user=user, timestamp="2026-03-01T10:00:00Z")
    [slot] = instance.client.get(f"/v1/users/{user}/timeline?slot=home_city").json()["slots"]
    assert [(i["value"], i["valid_from"][:4]) for i in slot["intervals"]] == [
        ("San Francisco", "2010"),
        ("Dallas", "2019"),
    ]


def test_a_second_friend_does_not_replace_the_first(instance: Instance, user: str) -> None:
    """Friends are many."""
    instance.say("I have a friend named Bob", "My new friend is called Alice", user=user)
    assert instance.values("friend", user) == ["Alice", "Bob"]


def test_a_former_employer_does_not_retire_the_present_one(instance: Instance, user: str) -> None:
    """ "I used to work at …" is history; "I quit …" ends it."""
    instance.say("I work at OpenAI", user=user)
    instance.say("I used to work at Microsoft Research", user=user)
    assert instance.values("employer", user) == ["OpenAI"]
    instance.say("I quit OpenAI", user=user)
    assert instance.values("employer", user) == []


def test_25_statements_of_one_person_are_all_kept(instance: Instance, user: str) -> None:
    """None of 25 distinct statements swallows another."""
    contents = [json.loads(line)["content"] for line in STATEMENTS.read_text().splitlines()]
    assert len(contents) == 25
    traces = {content: instance.ingest(content, user)["trace_id"] for content in contents}
    kept = {content for content, trace in traces.items() if instance.settled(trace)["facts"]}
    assert kept == set(contents)
    assert len(instance.facts(user)) >= 25


def test_ten_messages_sent_three_times_are_ten_facts(instance: Instance, user: str) -> None:
    """The same message_id is the same message, whichever entrance it takes."""
    names = ["Ann", "Ben", "Cleo", "Dan", "Eve", "Finn", "Gus", "Hal", "Ivy", "Jo"]
    for _ in range(3):
        for number, name in enumerate(names):
            instance.ingest(f"I have a friend named {name}", user, message_id=f"m{number}")
    client = instance.redis()
    for number, name in enumerate(names):
        fields = {"user_id": user, "role": "user", "message_id": f"m{number}"}
        client.xadd("memoire:messages", {**fields, "content": f"I have a friend named {name}"})
    wait_for(lambda: client.xlen("memoire:messages") == 0, 90, "the stream to drain")
    wait_for(lambda: len(instance.values("friend", user)) == 10, 90, "ten friends")
    assert len(instance.facts(user, view="all")) == 10


def test_any_client_may_publish_to_redis(instance: Instance, user: str) -> None:
    """A bare XADD is enough; what makes no sense is a dead letter that says why."""
    client = instance.redis()
    client.xadd("memoire:messages", {"user_id": user, "role": "user", "content": ""})
    client.xadd(
        "memoire:messages", {"user_id": user, "role": "user", "content": "I moved to Lisbon"}
    )
    wait_for(lambda: instance.values("home_city", user) == ["Lisbon"], 90, "the fact")
    dead = instance.client.get("/v1/dead-letters").json()["dead_letters"]
    [mine] = [letter for letter in dead if (letter["payload"] or {}).get("user_id") == user]
    assert "content" in mine["error"]
    assert mine["stage"] == "extractor"


def test_recall_answers_with_what_is_true_now(instance: Instance, user: str) -> None:
    """The old home is not offered as the present one, and every answer names its source."""
    instance.say("I live in San Francisco", user=user, timestamp="2018-03-01T10:00:00Z")
    instance.say("I moved to Dallas", user=user, timestamp="2020-06-01T10:00:00Z")
    instance.say("My dog is called Rex", "I love hiking", user=user)
    best = instance.recall("Where does she live?", user)[0]
    assert best["value"] == "Dallas"
    source = instance.client.get(f"/v1/facts/{best['id']}/source").json()
    assert [message["content"] for message in source["messages"]] == ["I moved to Dallas"]
    assert source["extraction"]["extractor"] == "rules"


def test_a_fact_may_be_stated_directly(instance: Instance, user: str) -> None:
    """Without a message it passes the same stages."""
    body = {"content": "Lives in Oslo", "slot": "home_city", "value": "Oslo"}
    answer = instance.client.post(f"/v1/users/{user}/facts", json=body)
    assert answer.status_code == 202
    assert instance.settled(answer.json()["trace_id"])["status"] == "settled"
    assert instance.values("home_city", user) == ["Oslo"]
