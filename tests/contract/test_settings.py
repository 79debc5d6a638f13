"""Settings: documented, frozen, read from the environment."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from shared.settings import Settings
from tests.contract.settings_page import PAGE, describe_settings


def test_every_setting_is_documented() -> None:
    """Each has a description, and docs/settings.md is what the code says."""
    assert all(field.description for field in Settings.model_fields.values())
    assert PAGE.read_text() == describe_settings(), "run: python -m tests.contract.settings_page"


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The prefix is MEMOIRE_, and the model's key falls back to OPENAI_API_KEY."""
    monkeypatch.setenv("MEMOIRE_PORT", "9999")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    settings = Settings()
    assert settings.port == 9999
    assert settings.llm_api_key is not None
    assert settings.llm_api_key.get_secret_value() == "sk-1"
    assert settings.uses_model


def test_settings_are_frozen() -> None:
    """Nobody changes a setting behind another's back."""
    with pytest.raises(ValidationError):
        Settings().port = 1  # type: ignore[misc]


def test_without_a_key_the_rules_extract(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key and no server: no model; and rules can be asked for although there is a key."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert not Settings().uses_model
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    monkeypatch.setenv("MEMOIRE_EXTRACTOR", "rules")
    assert not Settings().uses_model
