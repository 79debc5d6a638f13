"""Tells schemathesis which refusals of valid-looking requests are rules that no schema can say."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import schemathesis

_RULES = [
    (re.compile(rule["field"]), re.compile(rule["reason"], re.DOTALL))
    for rule in tomllib.loads(Path(__file__).with_name("rules.toml").read_text())["rule"]
]
_YES = {"true", "1", "on", "t", "y", "yes"}
_POSITIVE = "positive_data_acceptance"


@schemathesis.hook
def filter_failure(_context: Any, failure: Any, _case: Any, response: Any) -> bool:
    """Keep every failure but this: refused with 422, and each detail names a rule of the table."""
    if _POSITIVE not in type(failure).checks or response.status_code != 422:
        return True
    details = response.json()["error"]["details"]
    return not details or not all(_is_rule(each) for each in details)


def _is_rule(detail: dict[str, Any]) -> bool:
    field = str(detail["field"]).rsplit(".", 1)[-1]
    return any(
        where.fullmatch(field) and why.fullmatch(str(detail["reason"])) for where, why in _RULES
    )


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: dict[str, Any]) -> None:
    """End every stream of events at the present: the client of schemathesis waits for its end."""
    if case.operation.path == "/v1/events":
        query = dict(case.query or {})
        if str(query.get("follow", "true")).lower() in _YES:
            case.query = {**query, "follow": "false"}
