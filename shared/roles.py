"""Whose rows a connection may touch: the roles of migration 0024, and how tenants are named (pure).

Under `APP` only the rows of tenants that were named are there; `OPERATOR` sees all, for sweeps and
commands; `GATE` sees what must be known before a tenant is: keys, limits, counts, nobody's words.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

Role = Literal["memoire_app", "memoire_operator", "memoire_gate"]

APP: Role = "memoire_app"
OPERATOR: Role = "memoire_operator"
GATE: Role = "memoire_gate"
ROLES: tuple[Role, ...] = (APP, OPERATOR, GATE)

TENANTS = "memoire.tenants"
"""The setting that names the tenants whose rows are there."""


def tenants_array(tenants: Iterable[str]) -> str:
    r"""Write names as PostgreSQL reads a text[]: each quoted, whatever it contains.

    >>> tenants_array(["b", "a", "b"])
    '{"a","b"}'
    """
    quoted = (_quoted(tenant) for tenant in sorted(set(tenants)))
    return "{" + ",".join(quoted) + "}"


def _quoted(tenant: str) -> str:
    escaped = tenant.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
