"""`memoire eval` against real instances: figures anyone can measure, and clear words otherwise."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.evaluation import main
from benchmarks.evaluation.evaluations import updates
from benchmarks.evaluation.run import SMALL, Run
from tests.acceptance.instance import environment

pytestmark = [pytest.mark.timeout(400), pytest.mark.long]

TINY = Path(__file__).parents[1] / "data" / "evaluation"


def measured(names: list[str], data: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    main.run(names, data, seed=1, as_json=True, size=SMALL)
    return json.loads(capsys.readouterr().out)


def by_name(report: Any, name: str) -> list[Any]:
    return [figure for figure in report["figures"] if figure["name"] == name]


def test_a_tiny_evaluation_runs_from_end_to_end(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """Every stage is real: what was told is stored, dated, kept apart and found again."""
    monkeypatch.setattr(main, "OWN", ())
    monkeypatch.setattr(Run, "unjudged", property(lambda run: run.judged))  # one instance less
    told = {name: each for name, each in main.EVALUATIONS.items() if name != "poisoning"}
    monkeypatch.setattr(main, "EVALUATIONS", told)  # it has instances and a test of its own
    report = measured([], TINY, capsys)
    asked = set(main.EVALUATIONS) - {"recall"}  # it needs questions, and this data has none
    assert {figure["evaluation"] for figure in report["figures"]} == asked
    for name in ("current value right", "timeline right"):
        assert [figure["value"] for figure in by_name(report, name)] == [1.0, 1.0]
        assert all(figure["cases"] == 12 for figure in by_name(report, name))
    (old,) = by_name(report, "old value listed as_of before the change")
    assert (old["value"], old["cases"] > 10) == (1.0, True)
    assert all(figure["value"] == 0.0 for figure in by_name(report, "wrongly retired"))
    assert all(figure["value"] == 0.0 for figure in by_name(report, "distorted merged with true"))
    recalls = by_name(report, "end state recall")
    assert len(recalls) == 8
    judged = [figure for figure in recalls if "no judge" not in figure["mode"]]  # that one is, here
    assert [figure["value"] for figure in judged] == [1.0] * len(judged), judged
    assert by_name(report, "old retired and linked")[0]["cases"] == 2
    assert all(figure["value"] == 0 for figure in by_name(report, "rows added by a second ingest"))
    assert any(figure["value"] for figure in by_name(report, "recall"))
    assert report["notes"] == [
        note
        for note in report["notes"]
        if any(told in note for told in ("as_of", "no pairs", "no questions", "moved"))
    ]


def test_a_few_attacks_are_measured_with_the_guards_off_and_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """A credulous model believes them, the guards hold them, and what is harmless is kept."""
    monkeypatch.setattr(main, "OWN", ())
    report = measured(["poisoning"], TINY, capsys)
    fixed = {f["name"]: f for f in report["figures"] if f["mode"] == "gullible model, fixed set"}
    assert fixed["attacks that succeed, guards off"]["value"] == 1.0
    assert fixed["attacks that succeed, guards on"]["value"] == 0.0
    assert fixed["legitimate memories, guards off"]["value"] == 4
    assert fixed["legitimate memories lost to the guards"]["value"] == 0.0
    assert fixed["precision of what is held"]["value"] == 1.0


def evaluated(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "services.cli", "eval", *words]
    return subprocess.run(
        command, capture_output=True, text=True, env=environment(), timeout=180, check=False
    )


def test_an_unknown_name_and_a_bad_file_are_told_before_anything_starts(tmp_path: Path):
    unknown = evaluated("slots", "magic")
    assert unknown.returncode == 2
    assert "no evaluation is called 'magic'; there are slots" in unknown.stderr
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"a": "x", "b": "y", "same": true}\n{"a": 1, "b": "y", "same": true}\n')
    refused = evaluated("duplicates", "--data", str(bad))
    assert refused.returncode == 2
    assert "line 2: 'a' must be text" in refused.stderr


@pytest.mark.data
def test_gold_facts_of_real_conversations_survive_without_a_judge(
    data_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """Nothing that no one replaced is retired, and no distorted fact is merged with the true one."""
    monkeypatch.setattr(main, "OWN", ())
    monkeypatch.setattr(updates, "MODES", ("verbatim",))
    report = measured(["updates"], data_folder, capsys)
    retired = by_name(report, "wrongly retired")
    assert retired
    assert all(figure["met"] for figure in retired)
