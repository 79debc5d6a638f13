"""The settings of the environment, as the command line reads them."""

from __future__ import annotations

from pydantic import ValidationError
from pydantic_settings import SettingsError

from services.console.errors import MISCONFIGURED, CommandError
from shared.settings import Settings


def read_settings(**given: object) -> Settings:
    """The settings of the environment, with what the command line gave instead."""
    try:
        settings = Settings()
    except ValidationError as error:
        raise CommandError(_invalid(error), MISCONFIGURED) from error
    except SettingsError as error:
        raise CommandError(str(error), MISCONFIGURED) from error
    return settings.model_copy(update={k: v for k, v in given.items() if v is not None})


def _invalid(error: ValidationError) -> str:
    problems = [
        f"MEMOIRE_{str(item['loc'][0]).upper().removeprefix('MEMOIRE_')}: {item['msg']}"
        for item in error.errors(include_url=False, include_input=False)
    ]
    return "; ".join(problems)
