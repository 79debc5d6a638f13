"""What a replay asks: every message once, stored answers before calls."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from services.extractor.replay.plan import Heard, StoredAnswer, estimate, halves, plan_steps

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def heard(number: int, session: str = "s", role: str = "user", size: int = 10) -> Heard:
    at = BEGAN + timedelta(minutes=number)
    return Heard(UUID(int=number), session, role, at, f"m{number}", size)


def answer(number: int, *messages: int) -> StoredAnswer:
    return StoredAnswer(UUID(int=1000 + number), frozenset(UUID(int=m) for m in messages))


HEARD = st.lists(
    st.builds(
        heard,
        st.integers(1, 30),
        session=st.just("s"),
        role=st.sampled_from(["user", "assistant"]),
        size=st.integers(1, 60),
    ),
    unique_by=lambda one: one.id,
)
ANSWERS = st.lists(
    st.builds(
        lambda n, ms: answer(n, *ms), st.integers(0, 9), st.sets(st.integers(1, 35), min_size=1)
    ),
    unique_by=lambda one: one.id,
)


@given(HEARD, ANSWERS, st.integers(1, 100))
def test_every_message_is_read_exactly_once(
    messages: list[Heard], answers: list[StoredAnswer], budget: int
):
    steps = plan_steps(messages, answers, budget)
    read = [row for step in steps for row in step.messages]
    assert sorted(read) == sorted(one.id for one in messages)
    assert all(set(step.messages) <= set(step.shown) for step in steps)
    sizes = {one.id: one.size for one in messages}
    for step in steps:
        if step.answer is None:
            assert len(step.messages) == 1 or sum(sizes[m] for m in step.messages) <= budget


@given(HEARD, ANSWERS, st.integers(1, 100), st.randoms())
def test_the_plan_does_not_depend_on_the_order_of_messages(messages, answers, budget, random):
    shuffled = random.sample(messages, len(messages))
    assert plan_steps(messages, answers, budget) == plan_steps(shuffled, answers, budget)


def test_a_session_without_an_answer_is_one_call():
    steps = plan_steps([heard(n, f"s{n % 3}") for n in range(1, 10)], [], 1_000)
    assert [len(step.messages) for step in steps] == [3, 3, 3]
    assert all(step.asks for step in steps)


def test_the_newest_answer_serves_and_an_older_one_only_for_the_rest():
    newest, older = answer(1, 1, 2), answer(2, 2, 3)
    first, second = plan_steps([heard(1), heard(2), heard(3)], [newest, older], 1_000)
    assert (first.answer, first.messages) == (newest.id, (UUID(int=1), UUID(int=2)))
    assert (second.answer, second.messages) == (older.id, (UUID(int=3),))
    assert second.shown == (UUID(int=2), UUID(int=3))


def test_what_only_the_assistant_said_is_asked_of_nobody():
    [step] = plan_steps([heard(1, role="assistant")], [], 1_000)
    assert not step.asks


def test_a_spoilt_step_is_split_into_halves_that_make_it_up():
    known = {one.id: one for one in [heard(1, size=3), heard(2, role="assistant"), heard(3)]}
    [step] = plan_steps(known.values(), [], 1_000)
    first, second = halves(step, known)
    assert first.messages + second.messages == step.messages
    assert (first.size, second.size) == (3, 20)


def test_the_estimate_counts_calls_only_where_they_cost():
    messages = [heard(n, f"s{n}", size=400) for n in range(1, 4)]
    steps = plan_steps(messages, [answer(1, 1)], 1_000)
    paid = estimate(steps, carried=7, paid=True, prompt_bytes=4_000, context_bytes=0)
    assert (paid.sessions, paid.messages, paid.calls, paid.reused_answers) == (3, 3, 2, 1)
    assert paid.carried_messages == 7
    assert 2_200 <= paid.input_tokens <= 2_300
    free = estimate(steps, carried=0, paid=False, prompt_bytes=0, context_bytes=0)
    assert (free.calls, free.input_tokens) == (0, 0)
