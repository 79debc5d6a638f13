"""The scaler: a ScaledObject a stage, on its streams and its rows, with queries that count right."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
import yaml
from psycopg.rows import scalar_row

from shared.settings import Settings
from shared.topology import PROCESSES, STAGES
from tests.deploy.files import K8S, built, of_kind, resources_below

SCALED: dict[str, dict[str, Any]] = {
    name: each["spec"]
    for name, each in of_kind(
        list(resources_below(K8S / "components" / "autoscaling")), "ScaledObject"
    ).items()
}
AUTHENTICATIONS = of_kind(
    list(resources_below(K8S / "components" / "autoscaling")), "TriggerAuthentication"
)
stages = pytest.mark.parametrize("stage", STAGES)


def triggers(stage: str, kind: str) -> list[dict[str, Any]]:
    return [each for each in SCALED[stage]["triggers"] if each["type"] == kind]


def test_everything_but_the_clock_is_scaled():
    """Without a sweeper nothing comes due: it is what wakes the others."""
    assert set(SCALED) == set(PROCESSES) - {"sweeper"}
    assert all(each["scaleTargetRef"]["name"] == name for name, each in SCALED.items())


@stages
def test_a_stage_is_scaled_on_its_own_streams(stage: str):
    """By their length: pending entries alone miss what is unread, and a lag may be NULL."""
    on = [each["metadata"] for each in triggers(stage, "redis-streams")]
    assert tuple(each["stream"] for each in on) == STAGES[stage]
    for each in on:
        assert int(each["streamLength"]) > 0
        assert not {"consumerGroup", "pendingEntriesCount", "lagCount"} & set(each)


@stages
def test_rows_wake_it_too_and_every_trigger_may_ask(stage: str):
    assert len(triggers(stage, "postgresql")) == 1
    for each in SCALED[stage]["triggers"]:
        assert each["authenticationRef"]["name"] in AUTHENTICATIONS


def test_only_maintenance_rests():
    """A message is not to wait for a pod to start: the objective is 30 seconds."""
    assert {name for name, each in SCALED.items() if each["minReplicaCount"] == 0} == {
        "maintenance"
    }
    assert all(each["maxReplicaCount"] > each["minReplicaCount"] for each in SCALED.values())


def test_a_tenants_window_can_keep_every_copy_busy():
    """What one tenant may have announced is enough for the calls of all copies together."""
    settings = Settings()
    calls = SCALED["extractor"]["maxReplicaCount"] * settings.llm_concurrency
    assert settings.window >= calls


@stages
def test_its_query_counts_what_waits_for_it(database_url: str, stage: str):
    """Not what is done, not what is dead, not what is not due yet."""
    (trigger,) = triggers(stage, "postgresql")
    with psycopg.connect(database_url, autocommit=True, row_factory=scalar_row) as connection:
        connection.execute(_ROWS)
        assert connection.execute(trigger["metadata"]["query"]).fetchone() == 2


def test_quiet_stages_wake_together(database_url: str):
    """Scaled to zero, a message wakes all four; the second trigger never asks for a second copy."""
    path = K8S / "components" / "scale-to-zero" / "kustomization.yaml"
    (_, patch) = yaml.safe_load(path.read_text("utf-8"))["patches"]
    (added,) = yaml.safe_load(patch["patch"])
    query = added["value"]["metadata"]["query"]
    with psycopg.connect(database_url, autocommit=True, row_factory=scalar_row) as connection:
        assert connection.execute(query).fetchone() == 0
        connection.execute(_ROWS)
        assert connection.execute(query).fetchone() == 2


def test_in_production_redis_is_asked_in_one_place_over_tls():
    scaled = of_kind(built("production"), "ScaledObject").values()
    on = [t for each in scaled for t in each["spec"]["triggers"] if t["type"] == "redis-streams"]
    assert {each["metadata"]["enableTLS"] for each in on} == {"true"}
    assert len({each["metadata"]["address"] for each in on}) == 1


# Of each table two rows that wait (one whose retry is due), one that is not due, one that is dead,
# and one that is done.
_ROWS = """
CREATE TEMP TABLE kinds (n int, at timestamptz, done bool);
INSERT INTO kinds VALUES
    (1, NULL, false), (2, now() - interval '1 s', false), (3, now() + interval '1 h', false),
    (4, 'infinity', false), (5, NULL, true);
INSERT INTO chat_logs (tenant_id, user_id, id, session_id, message_key, content_sha256, role,
                       content, said_at, state, extracted_at, retry_at)
SELECT 't', 'u', gen_random_uuid(), 's', n::text, '', 'user', 'hi', now(),
       CASE WHEN done THEN 'extracted' WHEN n = 2 THEN 'extracting' ELSE 'received' END,
       CASE WHEN done THEN now() END, at
  FROM kinds;
INSERT INTO jobs (tenant_id, user_id, id, kind, state, retry_at)
SELECT 't', 'u', gen_random_uuid(), 'optimize', CASE WHEN done THEN 'done' ELSE 'requested' END, at
  FROM kinds;
INSERT INTO memory_facts (tenant_id, user_id, id, generation, content, category, subject, claim,
                          temporal_state, said_at, recorded_at, message_key, ordinal, confidence,
                          source_message_ids, state, retry_at)
SELECT 't', 'u', gen_random_uuid(), 0, 'c', 'biographical', 'user', 'holds', 'current', now(),
       now(), n::text, 0, 1, ARRAY[]::uuid[], CASE WHEN done THEN 'settled' ELSE waiting END, at
  FROM kinds, unnest(ARRAY['extracted', 'embedded', 'compared']) AS waiting;
"""
