"""Readers of data sets: what a file says, and what is wrong with it, in which line."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from benchmarks.evaluation import main
from benchmarks.evaluation.readers import load
from benchmarks.evaluation.readers.errors import DataError

TINY = Path(__file__).parents[1] / "data" / "evaluation"
HALUMEM, LOCOMO = TINY / "tiny_halumem.jsonl", TINY / "tiny_locomo.json"


def halumem() -> dict[str, Any]:
    return json.loads(HALUMEM.read_text())


def locomo() -> dict[str, Any]:
    return json.loads(LOCOMO.read_text())


def written(folder: Path, name: str, *lines: Any) -> Path:
    file = folder / name
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    file.write_text("\n".join(texts), "utf-8")
    return file


def told(person: Any) -> list[tuple[str, str]]:
    return [(turn.session, fact.content) for turn, fact in person.facts()]


def test_halumem_points_rest_on_the_last_user_turn_of_their_session():
    (person,) = load(HALUMEM).people
    (turn, *_) = [turn for turn in person.turns if turn.facts]
    assert turn.content == "I keep bees on the roof and I paint at night."
    assert turn.at == datetime(2026, 1, 5, 10, 1, tzinfo=UTC)
    assert not person.exact


def test_what_an_update_replaces_and_nobody_told_is_told_one_session_before():
    (person,) = load(HALUMEM).people
    assert ("s000", "Nell Carter earns 700 a month") in told(person)
    links = {(fact.content, old) for _, fact in person.facts() for old in fact.replaces}
    assert links == {
        ("Nell Carter sold the beehives", "Nell Carter keeps bees on the roof"),
        ("Nell Carter earns 900 a month", "Nell Carter earns 700 a month"),
    }


def test_the_true_fact_beside_a_distortion_is_told_once():
    (person,) = load(HALUMEM).people
    contents = [content for _, content in told(person)]
    assert contents.count("Nell Carter paints at night") == 1
    assert contents.count("Nell Carter drinks green tea") == 1
    beside = [fact.content for _, fact in person.facts() if fact.beside]
    assert beside == ["Nell Carter drinks green tea"]


def test_an_update_in_the_first_session_has_nothing_to_replace(tmp_path: Path):
    user = halumem()
    user["sessions"] = user["sessions"][1:2]
    (person,) = load(written(tmp_path, "one.jsonl", user)).people
    assert not person.updates()


def test_both_speakers_of_locomo_are_users_and_facts_stand_at_their_turn():
    iris, otto = load(LOCOMO).people
    assert [turn.role for turn in iris.turns] == ["user", "assistant", "user", "assistant"]
    assert [turn.role for turn in otto.turns] == ["assistant", "user", "assistant", "user"]
    assert told(iris) == [("s001", "Iris adopted a cat named Plum.")]
    assert [content for _, content in told(otto)] == [
        "Otto is learning the oboe.",
        "Otto gave a first concert.",
    ]
    assert iris.turns[0].at == datetime(2026, 5, 8, 13, 56, tzinfo=UTC)
    assert iris.exact


def test_a_list_of_conversations_is_read_and_nobody_shares_a_name(tmp_path: Path):
    data = load(written(tmp_path, "two.json", [locomo(), locomo()]))
    assert len({person.name for person in data.people}) == 4


def test_our_own_formats_are_read(tmp_path: Path):
    chat = written(
        tmp_path,
        "talk.jsonl",
        {"content": "I live in Bergen", "facts": [{"slot": "home_city", "value": "Bergen"}]},
        {"content": "hello", "facts": []},
    )
    pairs = written(
        tmp_path,
        "pairs.jsonl",
        {"a": "A", "b": "B", "same": False},
        {"a": "A", "b": "a", "same": True},
    )
    data = load(tmp_path)
    assert data.read == [pairs, chat]
    assert [pair.same for pair in data.pairs[str(pairs)]] == [False, True]
    (person,) = data.people
    assert person.by_slot()
    assert [bool(turn.facts) for turn in person.turns] == [True, False]


def test_unknown_files_of_a_folder_are_named_and_skipped(tmp_path: Path):
    other = written(tmp_path, "other.json", {"x": 1})
    written(tmp_path, "good.jsonl", halumem())
    assert load(tmp_path).skipped == [other]


def test_without_data_it_says_what_is_missing_and_keeps_our_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(main, "BESIDE_CHECKOUT", tmp_path / "nowhere")
    data, notes = main.read_data(None)
    assert "--data" in notes[0]
    assert len(data.pairs) == 2
    assert [person.group for person in data.people] == ["made_up_chat.jsonl"]


def damaged(change: Any) -> dict[str, Any]:
    user = halumem()
    change(user["sessions"])
    return user


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s[1].pop("dialogue"), "sessions[1]: 'dialogue' is missing"),
        (lambda s: s[0]["memory_points"][2].pop("memory_content"), "'memory_content' is missing"),
        (
            lambda s: s[0]["dialogue"][1].update(timestamp="yesterday"),
            "sessions[0]: dialogue[1]: 'yesterday' is not a time",
        ),
        (lambda s: s[0]["dialogue"][0].update(role="robot"), "must be user or assistant"),
        (lambda s: s[1]["memory_points"][0].update(original_memories="x"), "a list of texts"),
        (lambda s: s[1]["memory_points"][1].pop("reference_memory_content"), "is missing"),
        (lambda s: s[2].update(dialogue=[]), "sessions[2]: has memory points and no turn"),
    ],
)
def test_a_damaged_line_of_halumem_is_named_with_its_number(change: Any, said: str, tmp_path: Path):
    file = written(tmp_path, "bad.jsonl", halumem(), "", damaged(change))
    with pytest.raises(DataError) as caught:
        load(file)
    assert caught.value.place == "line 3"
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("bad.jsonl", '{"a": "x", "b": "y", "same": true}\n{"a": ', "line 2: not JSON"),
        ("bad.jsonl", '{"a": "x", "b": "y"}', "line 1: 'same' must be"),
        ("bad.jsonl", '{"a": "x", "b": "y", "same": true}\n[]', "line 2: must be an object"),
        ("bad.jsonl", '{"content": "x", "facts": [{"slot": "diet"}]}', "line 1: 'value' must be"),
        ("bad.jsonl", '{"content": "x", "facts": [{}]}', "line 1: a fact needs"),
        ("bad.jsonl", "", "is empty"),
        ("bad.jsonl", '{"x": 1}', "none of the known formats"),
        ("bad.json", "{\n\n,", "line 3: not JSON"),
        ("bad.json", '{"conversation": {"speaker_a": "A"}}', "'speaker_b' is missing"),
    ],
)
def test_a_bad_file_is_told_apart(name: str, text: str, said: str, tmp_path: Path):
    with pytest.raises(DataError) as caught:
        load(written(tmp_path, name, text))
    assert said in str(caught.value)
    assert name in str(caught.value)


def test_a_file_that_is_not_there_or_not_text_is_named(tmp_path: Path):
    with pytest.raises(DataError, match="is not there"):
        load(tmp_path / "no.jsonl")
    (tmp_path / "bytes.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="cannot be read"):
        load(tmp_path / "bytes.jsonl")


@pytest.mark.data
def test_the_real_conversations_are_read_whole(data_folder: Path):
    """Every gold point, observation and update link of the files is there."""
    data = load(data_folder)
    assert {path.suffix for path in data.read} == {".json", ".jsonl"}
    assert not [path for path in data.skipped if path.name.startswith(("locomo", "halumem"))]
    for person in data.people:
        assert all(turn.content.strip() for turn in person.turns)
        assert any(turn.facts for turn in person.turns)
    assert any(person.updates() for person in data.people)


def test_facts_in_several_languages_are_one_persons_and_each_answers_its_own_questions(
    tmp_path: Path,
):
    """A question of its fact's language and one of another are told apart."""
    line = {"fact": "Vive en Sevilla", "in": "es", "asked": {"es": "¿Dónde vive?", "en": "Where?"}}
    other = {"fact": "Trinkt Tee", "in": "de", "asked": {"en": "What does she drink?"}}
    (quiz,) = load(written(tmp_path, "asked.jsonl", line, other)).quizzes
    assert {content for _, content in told(quiz.person)} == {"Vive en Sevilla", "Trinkt Tee"}
    assert [(question.kind, question.evidence) for question in quiz.questions] == [
        ("in its language", (frozenset({"Vive en Sevilla"}),)),
        ("in another language", (frozenset({"Vive en Sevilla"}),)),
        ("in another language", (frozenset({"Trinkt Tee"}),)),
    ]
    bad = written(tmp_path, "bad.jsonl", line, {**other, "asked": {"en": 3}})
    with pytest.raises(DataError, match=r"line 2: 'fact' and every question must be text"):
        load(bad)


def test_our_own_facts_in_other_languages_can_be_read():
    """More than forty, of many languages, and each is asked in two."""
    (quiz,) = load(TINY.parent / "other_languages.jsonl").quizzes
    assert len(list(quiz.person.facts())) >= 60
    assert len(quiz.questions) == 2 * len(list(quiz.person.facts()))
