"""Whatever a model writes around or into its JSON, what it meant is read, or nothing is."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.answers import Shape, complete_items, read_object, text_of_cut_body
from shared.errors import PoisonError
from shared.llm import is_strict

SHAPE = Shape("facts", frozenset({"content", "source_message_ids", "claim"}))
FACT = {"content": "Lives in Oslo", "source_message_ids": ["1"]}
F = json.dumps(FACT)


@pytest.mark.parametrize(
    "text",
    [
        f'{{"facts": [{F}]}}',
        f'```json\n{{"facts": [{F}]}}\n```',
        f"```\n[{F}]\n```",
        f"[{F}]",
        F,
        f'Sure, here you are:\n{{"facts": {F}}}\nAnything else?',
        f'<think>{{"facts": [{F}, {F}]}} no, one</think>{{"facts": [{F}]}}',
        f'Each looks like {{"content": "…"}}. Answer: {{"facts": [{F}]}}',
        f'{{"facts": []}} wait, there is one: {{"facts": [{F}]}}',
        f'{{"result": {{"facts": [{F}]}}}}',
        f'{{"facts": [{F},],}}',
        f'{{"facts": [{F}], "sure": True, "why": None}} // done',
        '{"facts": [{"content": "Lives in\u0000 Oslo", "source_message_ids": ["1"]}]}',
        f'<|channel|>analysis<|message|>hm {{<|channel|>final<|message|>{{"facts": [{F}]}}',
    ],
)
def test_what_was_meant_is_read(text: str) -> None:
    assert read_object(text, SHAPE)["facts"] == [FACT]


def test_items_one_after_another_are_a_list() -> None:
    assert read_object(f"{F}\n{F}", SHAPE) == {"facts": [FACT, FACT]}


@pytest.mark.parametrize(
    "text", ["{}", "[]", '{"facts": null}', '{"facts": []}', "```json\n[]\n```"]
)
def test_nothing_is_an_answer_too(text: str) -> None:
    assert read_object(text, SHAPE) == {"facts": []}


@pytest.mark.parametrize(
    "text",
    [
        "", "I found nothing, sorry", '{"error": "overloaded"}', "[1, 2]", "{" * 100_000,
        "[" * 100_000, '{"' + '\\"' * 100_000, "{" + '"\\' * 100_000, '{"a":' * 50_000, f'{{"facts": [{F}, {{"content": oops}}]}}',
    ],
)  # fmt: skip
def test_what_is_no_answer_is_refused(text: str) -> None:
    """A list that is broken in its middle is not taken for the one fact that can be read."""
    with pytest.raises(PoisonError):
        read_object(text, SHAPE)


def test_what_postgresql_cannot_hold_is_gone() -> None:
    text = '{"facts": [{"content": "a\\u0000b\\ud800", "claim": NaN, "x": 1e999, "y": -Infinity}]}'
    [fact] = read_object(text, SHAPE)["facts"]
    assert fact == {"content": "ab", "claim": None, "x": None, "y": None}


@given(
    st.lists(
        st.fixed_dictionaries({"content": st.text(max_size=20), "claim": st.text()}), max_size=5
    ),
    st.data(),
)
def test_of_a_cut_answer_every_complete_fact_is_kept(
    facts: list[dict[str, str]], data: Any
) -> None:
    """Wherever it is cut: a prefix of the facts, and all that were closed by then."""
    text = json.dumps({"facts": facts})
    cut = data.draw(st.integers(0, len(text)))
    kept = complete_items(text[:cut], SHAPE)
    ends = [len(json.dumps({"facts": facts[:n]})) - 2 for n in range(1, len(facts) + 1)]
    storable = [{k: v.replace("\x00", "") for k, v in fact.items()} for fact in facts]
    assert kept == storable[: sum(end <= cut for end in ends)]


@given(st.text(max_size=60), st.integers(0, 200))
def test_a_body_that_was_not_read_to_its_end_says_what_was_read(content: str, cut: int) -> None:
    body = json.dumps({"choices": [{"message": {"content": content}}]})
    start = body.index(json.dumps(content)) + 1
    read = text_of_cut_body(body[: start + cut])
    assert read == content or content.encode("utf-16", "surrogatepass").startswith(
        read.encode("utf-16", "surrogatepass")
    )


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(PoisonError):
        assert isinstance(read_object(text, SHAPE)["facts"], list)


def test_strict_mode_is_asked_for_only_where_a_schema_fits_it() -> None:
    closed = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"],
              "additionalProperties": False}  # fmt: skip
    assert is_strict(closed)
    assert not is_strict({**closed, "required": []})
    assert not is_strict({**closed, "properties": {"a": {"type": "array", "items": {
        "type": "object", "properties": {}}}}})  # fmt: skip
