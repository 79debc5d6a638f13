"""Settings out of files: where `MEMOIRE_<NAME>_FILE` names one, its text is the setting.

So a secret need not stand in an environment that every child, log and crash report can see.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import AliasChoices
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsError

_SUFFIX = "_FILE"


def variables(prefix: str, name: str, field: FieldInfo) -> list[str]:
    """The environment variables that a setting is read from, the first one first."""
    if isinstance(field.validation_alias, AliasChoices):
        return [str(choice) for choice in field.validation_alias.choices]
    return [f"{prefix}{name.upper()}"]


class FileSource(PydanticBaseSettingsSource):
    """Reads every setting whose file is named; an empty file says nothing.

    Raises SettingsError for a file that cannot be read.
    """

    def __init__(self, settings: type[BaseSettings]) -> None:
        super().__init__(settings)
        self._prefix = str(settings.model_config.get("env_prefix", ""))

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """The first file's text, and the name that the model knows it by."""
        for variable in variables(self._prefix, field_name, field):
            if path := os.environ.get(variable + _SUFFIX):
                aliased = field.validation_alias is not None
                return _text(variable, path), variable if aliased else field_name, False
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        return dict(self._found())

    def _found(self) -> Iterator[tuple[str, str]]:
        for name, field in self.settings_cls.model_fields.items():
            value, key, _ = self.get_field_value(field, name)
            if value:
                yield key, value


def _text(variable: str, path: str) -> str:
    try:
        return Path(path).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{variable}{_SUFFIX} cannot be read: {error}") from error
