"""API keys of the caller's tenant; a secret is shown once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from fastapi import APIRouter

from services.gateway import cursors, key_store
from services.gateway.auth import new_key
from services.gateway.errors import ApiError, invalid, not_found
from services.gateway.query_strings import PageParams, RotateParams
from services.gateway.requests import (
    KeyId,
    KeyRequest,
)
from services.gateway.routes.documented import READS, READS_ONE, WRITES, failures
from services.gateway.schemas import Key, Keys, ShownKey
from services.gateway.state import Admin, Gateway, Parts
from services.gateway.statements import row_id
from shared.db import Row, Transaction

router = APIRouter(prefix="/v1/keys", tags=["keys"])


@router.post("", status_code=201, response_model=ShownKey, responses=WRITES, summary="Make a key")
async def create(asked: KeyRequest, gateway: Parts, caller: Admin) -> Any:
    """A key for the tenant of the one that asks, or one user of it; its text is shown this once."""
    if asked.expires_at is not None and asked.expires_at <= gateway.clock():
        raise invalid("expires_at", "must lie in the future")
    async with gateway.db.of(caller.tenant).transaction() as tx:
        return await _create(tx, caller.tenant, asked.model_dump())


async def _create(tx: Transaction, tenant: str, like: Mapping[str, Any]) -> Row:
    key = new_key()
    row = await key_store.create_key(
        tx,
        tenant,
        key.id,
        name=like["name"],
        scope=like["scope"],
        user=like["user_id"],
        secret_sha256=key.secret_sha256,
        expires_at=like["expires_at"],
    )
    return {**row, "key": key.text}


@router.get("", response_model=Keys, responses=READS, summary="List keys")
async def list_keys(query: PageParams, gateway: Parts, caller: Admin) -> Any:
    """Keys, oldest first, without their secrets."""
    at, row = cursors.decode(query.cursor, cursors.moment, cursors.row_id)
    async with gateway.db.of(caller.tenant).autocommit() as tx:
        rows = await key_store.keys_page(tx, caller.tenant, (at, row), query.limit)
    keys, following = cursors.page(rows, query.limit, ["created_at", "id"])
    return {"keys": keys, "next_cursor": following}


@router.post(
    "/{key_id}/rotate",
    status_code=201,
    response_model=ShownKey,
    responses=failures(404, 409),
    summary="Replace a key",
)
async def rotate(key_id: KeyId, query: RotateParams, gateway: Parts, caller: Admin) -> Any:
    """A new key of the same name, scope and user; the old one ends now, or after the overlap."""
    row = _id(key_id)
    async with gateway.db.of(caller.tenant).transaction() as tx:
        known = await key_store.lock_key(tx, caller.tenant, row)
        if known is None:
            raise not_found("key")
        if known["revoked_at"] is not None or _expired(known, gateway):
            raise ApiError("conflict", "The key has ended; make a new one.")
        await key_store.revoke_key(tx, caller.tenant, row, query.overlap_seconds)
        made = await _create(tx, caller.tenant, known)
    gateway.keyring.forget(row)
    return made


@router.delete("/{key_id}", response_model=Key, responses=READS_ONE, summary="Revoke a key")
async def revoke(key_id: KeyId, gateway: Parts, caller: Admin) -> Any:
    """Works everywhere within five seconds."""
    row = _id(key_id)
    async with gateway.db.of(caller.tenant).transaction() as tx:
        revoked = await key_store.revoke_key(tx, caller.tenant, row)
    if revoked is None:
        raise not_found("key")
    gateway.keyring.forget(row)
    return revoked


def _id(key_id: str) -> UUID:
    row = row_id(key_id)
    if row is None:
        raise not_found("key")
    return row


def _expired(known: Row, gateway: Gateway) -> bool:
    return known["expires_at"] is not None and bool(known["expires_at"] <= gateway.clock())
