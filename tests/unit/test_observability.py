"""What logs say and leave out, what a trace context is, and that metrics keep to their labels."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from structlog.contextvars import get_contextvars

from shared.metrics.kinds import Counter, Gauge, Histogram, Label
from shared.observability import processors, unquoted, user_hash, working
from shared.tracing.context import is_sampled, span_of, trace_of, valid

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@dataclass
class Delivered:
    raw: dict[bytes, bytes] = field(default_factory=dict)
    attempt: int = 1


# ---- logs


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("the model server's answer makes no sense: 'zebra'", "the model server's answer makes no sense: …"),
        ("the model server answered 400: zebra is no number", "the model server answered 400: …"),
        ("the model refused: zebra", "the model refused: …"),
        ("user 'zebra' is busy", "user … is busy"),
        ('null value in column "zebra"\nDETAIL:  Failing row contains (zebra).', "null value in column …"),
        ("the tenant's zebra is nobody's", "the tenant's zebra is nobody's"),
        ("RuntimeError('zebra')", "RuntimeError(…)"),
        ("""RuntimeError("cannot embed 'my zebra'\\nnor a zebra")""", "RuntimeError(…)"),
        ("""it says "a \\" zebra" and no more""", "it says … and no more"),
        ("it says 'it's a 'zebra' here' and no more", "it says … and no more"),
        ("it began to quote 'zebra and never", "it began to quote …"),
        ("", ""),
    ],
)  # fmt: skip
def test_an_error_is_written_without_what_it_quotes(said: str, written: str) -> None:
    assert unquoted(said) == written


@given(st.text(alphabet=st.characters(exclude_characters="'\"")))
def test_nothing_of_a_quoted_text_is_written(said: str) -> None:
    """Whatever stands between the quotes is left out, line breaks and all."""
    written = unquoted(f"bad input: {said!r}") if said.isprintable() else ""
    assert len(said) < 4 or said not in written


def test_a_traceback_is_written_without_texts_of_its_errors() -> None:
    """Places and kinds of errors stay, also of what led to them and of those in a group."""
    try:
        _answer_badly("zebra")
    except RuntimeError as error:
        line = _written({"event": "failed", "exc_info": error, "error": "said 'zebra'"})
    assert "a zebra" not in line["exception"]
    assert "RuntimeError: no sense: …" in line["exception"]
    assert "KeyError: …" in line["exception"]
    assert "test_observability.py" in line["exception"]
    assert line["error"] == "said …"


def _raise(error: Exception) -> None:
    raise error


def _answer_badly(text: str) -> None:
    try:
        _raise(ExceptionGroup("several", [KeyError(f"a {text}")]))
    except ExceptionGroup as group:
        raise RuntimeError(f"no sense: {f'a {text}'!r}\nand a {text} again") from group


def _written(event: dict[str, object]) -> dict[str, str]:
    for processor in processors(as_json=True):
        event = processor(None, "error", event)  # type: ignore[assignment, arg-type]
    return json.loads(event)  # type: ignore[call-overload]


def test_logs_say_whose_work_it_is() -> None:
    entries = [
        Delivered({b"tenant": b"acme", b"user": b"ana"}),
        Delivered({b"tenant": b"acme", b"user": b"ana"}, 3),
    ]
    with working("embedder", entries):
        bound = get_contextvars()
        assert bound == {
            "stage": "embedder", "attempt": 3, "tenant": "acme", "user": user_hash("acme", "ana"),
        }  # fmt: skip
    assert get_contextvars() == {}


def test_logs_of_several_users_name_none() -> None:
    entries = [Delivered({b"user": b"ana"}), Delivered({b"user_id": b"bo"})]
    with working("extractor", entries):
        assert get_contextvars() == {"stage": "extractor", "attempt": 1}


def test_a_field_that_is_no_text_does_no_harm() -> None:
    with working("extractor", [Delivered({b"user_id": b"\xff", b"tenant": b"\xfe" * 500})]):
        assert len(get_contextvars()["tenant"]) == 128


def test_a_users_hash_tells_users_of_two_tenants_apart() -> None:
    assert user_hash("a", "ana") != user_hash("b", "ana")
    assert user_hash("a", "ana") == user_hash("a", "ana")
    assert "ana" not in user_hash("a", "ana")


# ---- trace context


def test_a_traceparent_is_read() -> None:
    assert valid(TRACEPARENT) == TRACEPARENT
    assert trace_of(TRACEPARENT) == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert span_of(TRACEPARENT) == "00f067aa0ba902b7"
    assert is_sampled(TRACEPARENT)
    assert not is_sampled(TRACEPARENT[:-1] + "0")


@pytest.mark.parametrize(
    "said",
    [None, 7, "", "00", TRACEPARENT.upper(), "01" + TRACEPARENT[2:], f"00-{'0' * 32}-00f067aa0ba902b7-01", f"00-{'a' * 32}-{'0' * 16}-01", TRACEPARENT + "-x", TRACEPARENT + "\n"],
)  # fmt: skip
def test_what_is_no_traceparent_is_nobodys_fault(said: object) -> None:
    assert valid(said) is None


# ---- metrics

ROOM = Label.of("room", "hall", "attic")


def test_a_metric_that_is_not_kept_costs_and_keeps_nothing() -> None:
    Counter("memoire_test_total", "rows", "x", ROOM, by=()).add(room="hall")
    Gauge("memoire_test", "rows", "x", by=()).set(1)
    Histogram("memoire_test_seconds", "seconds", "x", by=(), bounds=(1,)).observe(1)


def test_a_value_that_was_not_declared_is_other() -> None:
    registry = CollectorRegistry()
    counter = Counter("memoire_test_total", "rows", "x", ROOM, by=())
    counter.open(registry)
    for room in ("hall", "cellar", "a user's text"):
        counter.add(room=room)
    assert registry.get_sample_value("memoire_test_total", {"room": "hall"}) == 1
    assert registry.get_sample_value("memoire_test_total", {"room": "other"}) == 2
    counter.close()
    counter.add(room="hall")
    assert registry.get_sample_value("memoire_test_total", {"room": "hall"}) == 1


def test_labels_of_another_name_are_a_mistake() -> None:
    counter = Counter("memoire_test_total", "rows", "x", ROOM, by=())
    counter.open(CollectorRegistry())
    with pytest.raises(ValueError, match="labelled"):
        counter.add(stage="hall")


def test_what_a_gauge_no_longer_tells_is_gone() -> None:
    registry = CollectorRegistry()
    gauge = Gauge("memoire_test", "rows", "x", ROOM, by=())
    gauge.open(registry)
    gauge.replace({("hall",): 1.0, ("attic",): 2.0})
    gauge.replace({("attic",): 3.0})
    assert registry.get_sample_value("memoire_test", {"room": "hall"}) is None
    assert registry.get_sample_value("memoire_test", {"room": "attic"}) == 3
