"""What counts as found, which questions are read, and what simple methods find."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from benchmarks.evaluation.people import GoldFact, Person, Turn
from benchmarks.evaluation.quizzes import Answered, Question, Quiz
from benchmarks.evaluation.readers import load
from benchmarks.evaluation.readers.errors import DataError
from benchmarks.evaluation.readers.questions import OBSERVED, POINTS, VERBATIM
from benchmarks.evaluation.retrieval import auc, found_share, ndcg, percentile, reciprocal_rank

TINY = Path(__file__).parents[1] / "data" / "evaluation"
NOW = datetime(2026, 5, 1, tzinfo=UTC)


def answered(evidence: list[str], *results: str) -> Answered:
    question = Question("?", "", tuple(frozenset({each}) for each in evidence))
    return Answered(question, tuple(frozenset({each}) for each in results))


def test_evidence_is_found_among_the_best_and_counts_once():
    found = answered(["a", "b"], "x", "a", "a", "b")
    assert [found_share(found, best) for best in (1, 2, 3, 4)] == [0, 0.5, 0.5, 1]
    assert reciprocal_rank(found) == 0.5
    assert reciprocal_rank(answered(["a"], "x")) == reciprocal_rank(answered(["a"])) == 0


def test_any_wording_of_a_result_finds_its_evidence():
    question = Question("?", "", (frozenset({"a", "b"}),))
    assert found_share(Answered(question, (frozenset({"z", "b"}),)), 1) == 1


def test_the_best_order_has_the_whole_gain():
    assert ndcg(answered(["a", "b"], "b", "a", "x"), 10) == 1
    assert ndcg(answered(["a"], "x", "a"), 10) == pytest.approx(1 / math.log2(3))
    assert ndcg(answered(["a"], "a", "a"), 10) == 1
    assert ndcg(answered(["a"], "x"), 10) == 0


def test_auc_is_the_chance_to_be_above_and_ties_count_half():
    assert auc([0.9, 0.5], [0.1, 0.5]) == pytest.approx(3.5 / 4)
    assert auc([], [1.0]) is auc([1.0], []) is None


def test_percentiles_are_values_that_were_measured():
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([3.0, 1.0, 2.0], 0.95) == 3.0
    assert percentile([], 0.5) is None


def test_questions_move_back_with_the_person_they_are_about():
    late = NOW + timedelta(days=40)
    turn = Turn("s", "user", late, "hi", (GoldFact("x"),))
    quiz = Quiz("m", Person("p", (turn,), exact=True), (Question("?", "k", (), late),))
    moved = quiz.in_the_past(NOW)
    assert moved.questions[0].at == moved.person.turns[0].at <= NOW
    undated = replace(quiz, questions=(Question("?", "k", ()),))
    assert undated.in_the_past(NOW).questions[0].at is None


def locomo(**more: Any) -> dict[str, Any]:
    return {**json.loads((TINY / "tiny_locomo.json").read_text()), **more}


def written(folder: Path, document: Any) -> Path:
    path = folder / "talk.json"
    path.write_text(json.dumps(document))
    return path


def test_a_conversation_is_asked_about_in_two_ways(tmp_path: Path):
    document = locomo()
    session = document["conversation"]["session_1"]
    first, second = session[0]["dia_id"], session[1]["dia_id"]
    document["qa"] = [
        {"question": "Who?", "category": 4, "evidence": [first, f"{first}; {second}"]},
        {"question": "Why?", "category": 5, "evidence": ["D99:1"]},
    ]
    verbatim, observed = load(written(tmp_path, document)).quizzes
    assert (verbatim.mode, observed.mode) == (VERBATIM, OBSERVED)
    assert (verbatim.by_messages, observed.by_messages) == (False, True)
    who, why = verbatim.questions
    said = f"{session[0]['speaker']}: {session[0]['text']}"
    assert who.evidence[0] == frozenset({said})
    assert len(who.evidence) == 2
    assert (why.evidence, why.answerable) == ((), False)
    assert {turn.speaker for turn in observed.person.turns} == {
        document["conversation"][name] for name in ("speaker_a", "speaker_b")
    }
    assert all(turn.role == "user" for turn in observed.person.turns)


def test_without_questions_nothing_is_asked():
    assert load(TINY).quizzes == []


def test_a_damaged_question_is_named(tmp_path: Path):
    with pytest.raises(DataError, match="'category' is missing"):
        load(written(tmp_path, locomo(qa=[{"question": "Who?", "evidence": []}])))


def test_points_are_asked_for_at_the_end_of_their_session(tmp_path: Path):
    user = json.loads((TINY / "tiny_halumem.jsonl").read_text().splitlines()[0])
    point = user["sessions"][1]["memory_points"][0]["memory_content"]
    kind = "Basic Fact Recall"
    user["sessions"][1]["questions"] = [
        {"question": "Bees?", "question_type": kind, "evidence": [{"memory_content": point}]},
        {"question": "Cats?", "question_type": "Memory Boundary", "evidence": []},
    ]
    path = tmp_path / "one.jsonl"
    path.write_text(json.dumps(user))
    (quiz,) = load(path).quizzes
    bees, cats = quiz.questions
    assert quiz.mode == POINTS
    assert bees.evidence == (frozenset({point}),)
    assert bees.at == datetime(2026, 2, 9, 10, 1, tzinfo=UTC)
    assert (bees.answerable, cats.answerable) == (True, False)
    told = [fact.content for _, fact in quiz.person.facts()]
    assert "Nell Carter earns 700 a month" not in told  # only an update names it
