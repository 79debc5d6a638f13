"""Settings out of files: a secret need not stand in the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.console.environment import read_settings
from services.console.errors import CommandError
from shared.settings import Settings


def test_a_file_says_what_a_setting_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """The line's end is not part of it."""
    (tmp_path / "url").write_text("postgresql://db/memoire\n")
    monkeypatch.setenv("MEMOIRE_DATABASE_URL_FILE", str(tmp_path / "url"))
    assert Settings().database_url == "postgresql://db/memoire"


@pytest.mark.parametrize("variable", ["MEMOIRE_LLM_API_KEY_FILE", "OPENAI_API_KEY_FILE"])
def test_either_name_of_a_key_may_name_its_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
):
    """The model's key falls back to OPENAI_API_KEY, in a file too."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    (tmp_path / "key").write_text("sk-1")
    monkeypatch.setenv(variable, str(tmp_path / "key"))
    settings = Settings()
    assert settings.llm_api_key is not None
    assert settings.llm_api_key.get_secret_value() == "sk-1"
    assert settings.uses_model


def test_the_variable_itself_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """`memoire up` says its children where its own servers are, whatever files are named."""
    (tmp_path / "url").write_text("postgresql://other/memoire")
    monkeypatch.setenv("MEMOIRE_DATABASE_URL_FILE", str(tmp_path / "url"))
    monkeypatch.setenv("MEMOIRE_DATABASE_URL", "postgresql://mine/memoire")
    assert Settings().database_url == "postgresql://mine/memoire"


def test_an_empty_file_says_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """A key that is optional is an empty file where there is none."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    (tmp_path / "key").write_text("\n")
    monkeypatch.setenv("MEMOIRE_LLM_API_KEY_FILE", str(tmp_path / "key"))
    assert Settings().llm_api_key is None


def test_a_file_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Nobody starts without the secret that was meant, and the text says which."""
    monkeypatch.setenv("MEMOIRE_ADMIN_KEY_FILE", str(tmp_path / "missing"))
    with pytest.raises(CommandError, match="MEMOIRE_ADMIN_KEY_FILE"):
        read_settings()


def test_what_a_file_says_is_validated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """A file is no way around the bounds of a setting."""
    (tmp_path / "port").write_text("70000")
    monkeypatch.setenv("MEMOIRE_PORT_FILE", str(tmp_path / "port"))
    with pytest.raises(CommandError, match="MEMOIRE_PORT"):
        read_settings()
