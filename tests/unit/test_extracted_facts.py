"""What is kept of an extractor's answer: grounded, lenient about form, strict about meaning."""

from __future__ import annotations

import string
import unicodedata
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.extractor.facts import SourceMessage, Validated, validate
from services.extractor.grounding import folded, occurs
from services.extractor.leniency import confidence
from services.extractor.occasions import resolved
from services.extractor.turns import ChatTurn

AT = datetime(2024, 8, 15, 9, tzinfo=UTC)


def message(content: str, number: int = 1, at: datetime = AT) -> SourceMessage:
    return SourceMessage(
        tenant="default", user="ana", id=UUID(int=number), session="s", role="user",
        content=content, said_at=at, recorded_at=at, message_key=f"m:{number}", agent_id=None,
        speaker=None, metadata=None,
    )  # fmt: skip


def judged(raw: Any, *messages: SourceMessage, context: tuple[str, ...] = ()) -> Validated:
    turns = [ChatTurn(each, "assistant", AT, "") for each in context]
    return validate(raw, messages, generation=1, extraction_id=UUID(int=99), context=turns)


def fact(content: str, *, by: int = 1, **more: Any) -> dict[str, Any]:
    return {"content": content, "source_message_ids": [str(UUID(int=by))], **more}


# ---- grounding

_words = st.lists(
    st.text(string.ascii_letters + "éüñ", min_size=1, max_size=8), min_size=1, max_size=12
)
_between = st.sampled_from([" ", "  ", "\n", ", ", "-", "…", " – ", "' "])


@given(_words, st.data())
def test_a_quote_is_found_however_it_is_spaced_punctuated_and_cased(
    words: list[str], data: Any
) -> None:
    """Any stretch of the message's words grounds a fact, written in whatever way."""
    first = data.draw(st.integers(0, len(words) - 1))
    last = data.draw(st.integers(first + 1, len(words)))
    written = "".join(
        data.draw(st.sampled_from([str.upper, str.lower, str.title]))(word) + data.draw(_between)
        for word in words[first:last]
    )
    said = "".join(word + data.draw(_between) for word in words)
    assert occurs(written, folded(said))
    assert occurs(unicodedata.normalize("NFD", written), folded(said))


@given(_words, st.text("0123456789", min_size=1, max_size=4))
def test_words_that_were_not_said_are_not_found(words: list[str], invented: str) -> None:
    assert not occurs(f"{words[0]} {invented}", folded(" ".join(words)))


@pytest.mark.parametrize(
    ("quote", "said", "found"),
    [
        ("we moved to Dallas", "In May we moved to Dallas!", True),
        ("i dont like tea", "I don’t like tea", True),
        ("I moved … Dallas", "I moved with my wife to Dallas", True),
        ("Dallas … I moved", "I moved with my wife to Dallas", False),
        ("住在里斯本", "我住在里斯本。", True),
        ("we moved to Austin", "we moved to Dallas", False),
    ],
)
def test_examples_of_grounding(quote: str, said: str, found: bool) -> None:
    assert occurs(quote, folded(said)) is found


def test_a_quote_must_stand_in_a_message_the_fact_names() -> None:
    """Not in another of the same call, not in the turn before; without a quote the ids count."""
    said, other = message("I moved to Dallas", 1), message("Nice weather", 2)
    quoted = fact("Lives in Dallas", quote="moved to dallas")
    assert len(judged([quoted], said, other).facts) == 1
    assert judged([{**quoted, "source_message_ids": [str(other.id)]}], said, other).dropped == {
        "quote_not_found": 1
    }
    both = {**quoted, "source_message_ids": [str(other.id), str(said.id)]}
    assert judged([both], said, other).facts[0].source_message_ids == (said.id, other.id)
    assert len(judged([fact("Lives in Dallas")], said).facts) == 1


def test_only_messages_that_were_sent_can_be_named() -> None:
    """A turn of the context may be named beside one, never alone."""
    said = message("In Rome")
    stranger, shown = str(UUID(int=7)), str(UUID(int=8))
    named = fact("Lives in Rome")
    assert judged([{**named, "source_message_ids": [str(said.id), stranger]}], said).dropped == {
        "unknown_source": 1
    }
    assert judged([{**named, "source_message_ids": [shown]}], said, context=(shown,)).dropped == {
        "not_said_by_user": 1
    }
    kept = {**named, "source_message_ids": [shown, str(said.id).upper()]}
    assert len(judged([kept], said, context=(shown,)).facts) == 1


# ---- leniency


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("Lives in Oslo", "not_an_object"),
        (7, "not_an_object"),
        ({"content": "Lives in Oslo"}, "no_source"),
        ({"content": "Lives in Oslo", "source_message_ids": []}, "no_source"),
        ({"content": "Lives in Oslo", "source_message_ids": {"a": 1}}, "no_source"),
        (fact(""), "invalid_content"),
        (fact("  "), "invalid_content"),
        ({**fact("x"), "content": ["Lives", "in"]}, "invalid_content"),
        (fact("x" * 2_001), "invalid_content"),
        (fact("Lives in Oslo", subject=["Ana", "Bo"]), "invalid_subject"),
        (fact("Lives in Oslo", subject=7), "invalid_subject"),
        (fact("Lives in Oslo", claim="perhaps"), "invalid_claim"),
        (fact("Lives in Oslo", claim=["holds"]), "invalid_claim"),
        (fact("Lives in Oslo", temporal_state="sideways"), "invalid_temporal_state"),
    ],
)
def test_what_is_no_fact_is_dropped_with_its_reason(raw: Any, reason: str) -> None:
    good = fact("Likes Oslo")
    result = judged([raw, good], message("I live in Oslo"))
    assert result.dropped == {reason: 1}
    assert [kept.statement.content for kept in result.facts] == ["Likes Oslo"]


@pytest.mark.parametrize("raw", [None, "no", {"a": 1}, 7])
def test_an_answer_that_is_no_list_has_no_facts(raw: Any) -> None:
    assert judged(raw, message("hi")) == Validated([], {})


@pytest.mark.parametrize(
    ("given_as", "field", "kept"),
    [
        ({"source_message_ids": str(UUID(int=1))}, "claim", "holds"),
        ({"subject": "User"}, "subject", "user"),
        ({"subject": ["the user"]}, "subject", "user"),
        ({"subject": ""}, "subject", "user"),
        ({"subject": "Sara"}, "subject", "Sara"),
        ({"category": "Work Context"}, "category", "work_context"),
        ({"category": "astrology"}, "category", None),
        ({"category": 7}, "category", None),
        ({"claim": "Negates"}, "claim", "denies"),
        ({"temporal_state": "Present"}, "temporal_state", "current"),
        ({"confidence": "0.9"}, "confidence", 0.9),
        ({"confidence": "high"}, "confidence", 0.9),
        ({"confidence": 95}, "confidence", 0.95),
        ({"confidence": float("nan")}, "confidence", 0.8),
        ({"confidence": {"score": 1}}, "confidence", 0.8),
        ({"slot": "birth_year", "value": 1990}, "value", "1990"),
        ({"slot": "home_city", "value": ["Oslo", "Rome"]}, "value", None),
        ({"slot": {"a": 1}}, "slot", None),
        ({"cardinality": "several"}, "cardinality", None),
        ({"occurred_at": "last May"}, "occurred_at", "2024-05"),
        ({"occurred_at": "2015-06"}, "occurred_at", "2015-06"),
        ({"occurred_at": "long ago"}, "occurred_at", None),
        ({"ended_at": 2015}, "ended_at", "2015"),
        ({"unheard": "of", "quote": 7}, "claim", "holds"),
    ],
)
def test_fields_are_put_right_or_left_out(given_as: dict[str, Any], field: str, kept: Any) -> None:
    """A fact is not lost over how one of its fields was written."""
    [read] = judged([{**fact("Lives in Oslo"), **given_as}], message("I live in Oslo")).facts
    assert getattr(read.statement, field) == kept


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
), st.sampled_from(["content", "subject", "slot", "value", "claim", "temporal_state", "confidence",
                    "quote", "occurred_at", "ended_at", "category", "cardinality", "source_message_ids"]))  # fmt: skip
def test_any_value_in_any_field_is_survived(value: Any, field: str) -> None:
    """One fact in, one fact or one reason out; the neighbour is kept."""
    result = judged(
        [{**fact("Lives in Oslo"), field: value}, fact("Likes tea")], message("Oslo, tea")
    )
    assert len(result.facts) + sum(result.dropped.values()) == 2
    assert "Likes tea" in {kept.statement.content for kept in result.facts}


def test_a_fact_told_twice_counts_once_per_message() -> None:
    one, two = message("I live in Oslo", 1), message("Oslo is home", 2)
    again = fact("lives in Oslo.", by=1, confidence=0.5)
    result = judged([fact("Lives in Oslo"), again, fact("Lives in Oslo", by=2)], one, two)
    assert len(result.facts) == 2
    assert result.dropped == {"duplicate": 1}
    assert (
        len(judged([fact("Lives in Oslo"), fact("Lives in Oslo", claim="denies")], one).facts) == 2
    )


def test_a_model_that_lost_its_thread_is_cut_off_and_counted() -> None:
    result = judged([fact(f"Likes number {n}") for n in range(1_100)], message("numbers"))
    assert (len(result.facts), result.dropped) == (1_000, {"too_many": 100})


# ---- time


@pytest.mark.parametrize(
    ("written", "ahead", "resolved_to"),
    [
        ("last May", False, "2024-05"),
        ("since yesterday", False, "2024-08-14"),
        ("three years ago", False, "2021"),
        ("in June", True, "2025-06"),
        ("in June", False, "2024-06"),
        ("tomorrow", True, "2024-08-16"),
        ("early 2019", False, "2019"),
        ("June 2015", False, "2015-06"),
        ("2015/6", False, "2015-06"),
        ("2015-06-XX", False, "2015-06"),
        ("2015-00-00", False, "2015"),
        ("2024-02-30", False, None),
        ("2015-06-01T10:00:00Z", False, "2015-06-01T10:00:00Z"),
        ("a few years ago", False, "2021~"),
        ("some weeks ago", False, "2024-07~"),
        ("in the last weeks", False, "2024-07~"),
        ("since last week", False, "2024-W32"),
        ("two weeks ago", False, "2024-W31"),
        ("next week", True, "2024-W34"),
        ("a few months ago", False, None),
        ("several years ago", False, None),
        ("2024-W31", False, "2024-W31"),
        ("2024-W60", False, None),
        ("0001-01-01", False, None),
        ("9999-12-31T23:59:59Z", False, None),
        ("0999", False, None),
        ("1000", False, "1000"),
        ("2199", False, "2199"),
        (2200, False, None),
        ("unknown", False, None),
        (True, False, None),
        (["2015"], False, None),
        ("9999 decades ago", False, None),
    ],
)
def test_times_count_from_the_message_and_keep_their_precision(
    written: Any, ahead: bool, resolved_to: str | None
) -> None:
    assert resolved(written, AT, ahead=ahead) == resolved_to


@pytest.mark.parametrize(
    ("quote", "written", "kept"),
    [
        ("I moved a few years ago", "2021", "2021~"),
        ("I moved a few years ago", "2022-05-01", "2021~"),
        ("I moved a few years ago", "2012", "2012"),
        ("I moved some weeks ago", "2024-07-25", "2024-07~"),
        ("I moved two weeks ago", "2024-08-01", "2024-W31"),
        ("I moved on August 1st", "2024-08-01", "2024-08-01"),
        ("I moved", "2024-08-01", "2024-08-01"),
        (None, "2024-08-01", "2024-08-01"),
    ],
)
def test_a_date_is_no_more_precise_than_the_words_it_rests_on(
    quote: str | None, written: str, kept: str
) -> None:
    """A model that makes a day of "two weeks ago" is believed as far as the words go."""
    assert resolved(written, AT, ahead=False, quote=quote) == kept


def test_a_stretch_that_ends_before_it_begins_has_no_dates() -> None:
    raw = {**fact("Worked at Google"), "occurred_at": "2019", "ended_at": "2015-06"}
    [kept] = judged([raw], message("Worked at Google")).facts
    assert (kept.statement.occurred_at, kept.statement.ended_at) == (None, None)
    raw["ended_at"] = "2019-02"
    [kept] = judged([raw], message("Worked at Google")).facts
    assert kept.statement.ended_at == "2019-02"


def test_a_stretch_has_two_ends() -> None:
    stretch = "from 2015 to 2019"
    assert resolved(stretch, AT, ahead=False) == "2015"
    assert resolved(stretch, AT, ahead=False, ends=True) == "2019"


def test_the_time_of_the_message_with_the_quote_counts() -> None:
    """Of two messages a fact names, the one that says "last May" tells which May."""
    old, new = message("hi", 1, AT.replace(year=2020)), message("I moved last May", 2)
    both = [str(old.id), str(new.id)]
    raw = {
        **fact("Moved"),
        "source_message_ids": both,
        "quote": "last May",
        "occurred_at": "last May",
    }
    [kept] = judged([raw], old, new).facts
    assert kept.statement.occurred_at == "2024-05"


@given(st.floats() | st.integers() | st.text(max_size=6))
def test_confidence_is_a_share_or_unknown(said: Any) -> None:
    share = confidence(said)
    assert share is None or 0 <= share <= 1


# ---- secrets


@pytest.mark.parametrize(
    "raw",
    [
        fact("Password is hunter2"),
        fact("Password is [redacted:password]"),
        fact("Has a card", slot="card", value="4111 1111 1111 1111"),
        fact("Uses a key", quote="my key is sk-proj-a8Kd93jsLq02mZx7Tn4v"),
    ],
)
def test_a_secret_is_never_a_fact(raw: dict[str, Any]) -> None:
    said = (
        "my password is hunter2, card 4111 1111 1111 1111, my key is sk-proj-a8Kd93jsLq02mZx7Tn4v"
    )
    assert judged([raw], message(said)).dropped == {"secret": 1}


def test_what_is_said_beside_a_secret_is_kept() -> None:
    """The quote shows the place, not the secret; what is stored of the message is not our business."""
    said = message("I bank at Acme, card 4111 1111 1111 1111")
    raw = fact("Banks at Acme", quote="I bank at Acme, card [redacted:card]")
    assert judged([raw], said).facts[0].quote == raw["quote"]


def test_what_was_recalled_into_a_prompt_grounds_nothing() -> None:
    said = message("Relevant memories:\n- Lives in Lisbon\n\nI like tea")
    raw = fact("Lives in Lisbon", quote="Lives in Lisbon")
    assert judged([raw, fact("Likes tea", quote="I like tea")], said).dropped == {
        "quote_not_found": 1
    }
