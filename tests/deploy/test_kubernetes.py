"""The manifests: a Deployment a process, what it may do, whom it reaches, when it is restarted."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator
from typing import Any

import pytest

from shared.settings import Settings
from shared.topology import PROCESSES, STAGES
from tests.deploy.files import K8S, OVERLAYS, ROOT, built, documents, of_kind, resources_below
from tests.deploy.test_compose import KNOWN
from tests.deploy.test_image import PINNED

KUSTOMIZATIONS = sorted(K8S.rglob("kustomization.yaml"))
BASE = list(resources_below(K8S / "base"))
WITHOUT_OURS = ("postgres", "redis")
HEARTBEAT = ["python", "-m", "shared.heartbeat"]
both = pytest.mark.parametrize("overlay", OVERLAYS)


def deployments(overlay: str) -> dict[str, dict[str, Any]]:
    return of_kind(built(overlay), "Deployment")


def pods(overlay: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every pod that an overlay makes, by the name of what makes it."""
    for each in built(overlay):
        if each["kind"] in ("Deployment", "StatefulSet", "Job"):
            yield each["metadata"]["name"], each["spec"]["template"]


def container(pod: dict[str, Any]) -> dict[str, Any]:
    (only,) = pod["spec"]["containers"]
    found: dict[str, Any] = only
    return found


# ---- the files themselves


@pytest.mark.parametrize("path", KUSTOMIZATIONS, ids=lambda path: path.parent.name)
def test_every_file_a_kustomization_names_exists(path: Any):
    """And every file beside it is named by it."""
    (kustomization,) = documents(path)
    named = [*kustomization.get("resources", []), *kustomization.get("components", [])]
    named += [each["path"] for each in kustomization.get("patches", []) if "path" in each]
    made = kustomization.get("configMapGenerator", []) + kustomization.get("secretGenerator", [])
    named += [file for each in made for file in (*each.get("envs", ()), *each.get("files", ()))]
    assert all((path.parent / each).exists() for each in named)
    beside = {each.name for each in path.parent.iterdir() if each.is_file()} - {path.name}
    assert beside == {each for each in named if "/" not in each}


def test_every_process_has_a_deployment_that_runs_it():
    """Nobody can add a stage and leave it out of the cluster."""
    found = of_kind(BASE, "Deployment")
    assert set(found) == set(PROCESSES)
    for name, each in found.items():
        assert container(each["spec"]["template"])["args"] == ["run", name]
        labels = each["spec"]["template"]["metadata"]["labels"]
        assert labels["app.kubernetes.io/component"] == name
        assert each["spec"]["selector"]["matchLabels"]["app.kubernetes.io/component"] == name


def test_every_process_has_a_budget_of_disruptions():
    """One that a node can always be drained under, even where only one copy runs."""
    found = of_kind(BASE, "PodDisruptionBudget")
    assert set(found) == set(PROCESSES)
    for name, each in found.items():
        assert each["spec"]["maxUnavailable"] == 1
        assert each["spec"]["selector"]["matchLabels"]["app.kubernetes.io/component"] == name


@pytest.mark.parametrize("path", sorted(K8S.rglob("settings.env")), ids=lambda p: p.parent.name)
def test_settings_are_those_the_code_knows(path: Any):
    """And have values that it takes."""
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    given = dict(line.split("=", 1) for line in lines)
    of_metrics = {"MEMOIRE_METRICS_HOST", "MEMOIRE_METRICS_PORT"}
    assert set(given) <= KNOWN | of_metrics
    values = {key.removeprefix("MEMOIRE_").lower(): value for key, value in given.items()}
    Settings.model_validate(values)


# ---- what an overlay sends


@both
def test_every_object_is_valid(overlay: str):
    """By Kubernetes' own schemas, strictly; those of KEDA and the operator are looked at below."""
    validate = pytest.importorskip("kubernetes_validate")
    for each in built(overlay):
        if each["apiVersion"].split("/")[0] not in ("keda.sh", "monitoring.coreos.com"):
            validate.validate(each, "1.32", strict=True)


@both
def test_every_pod_is_restricted(overlay: str):
    """Pod Security `restricted`, a root file system that cannot be written, and no token."""
    for name, pod in pods(overlay):
        spec, security = pod["spec"], container(pod)["securityContext"]
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert security["allowPrivilegeEscalation"] is False, name
        assert security["readOnlyRootFilesystem"] is True, name
        assert security["capabilities"] == {"drop": ["ALL"]}, name
    (namespace,) = of_kind(built(overlay), "Namespace").values()
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


@both
def test_every_pod_asks_for_what_it_needs(overlay: str):
    """CPU and memory, and no more memory than its limit; CPU is not capped."""
    for name, pod in pods(overlay):
        resources = container(pod)["resources"]
        assert set(resources["requests"]) == {"cpu", "memory"}, name
        assert set(resources["limits"]) == {"memory"}, name


@both
def test_what_pods_mount_and_read_is_there(overlay: str):
    """Each `_FILE` lies in a mounted secret, each port has its name, each Service finds its pods."""
    config_maps = of_kind(built(overlay), "ConfigMap")
    for name, pod in pods(overlay):
        its = container(pod)
        volumes = {each["name"] for each in pod["spec"].get("volumes", [])}
        mounts = {each["name"]: each["mountPath"] for each in its.get("volumeMounts", [])}
        assert set(mounts) == volumes, name
        files = [e["value"] for e in its.get("env", []) if e["name"].endswith("_FILE")]
        assert all(any(f.startswith(m + "/") for m in mounts.values()) for f in files), name
        assert {e["name"] for e in its.get("env", []) if e["name"].startswith("MEMOIRE_")} <= KNOWN
        for source in its.get("envFrom", []):
            assert source["configMapRef"]["name"] in config_maps, name
    for name, service in of_kind(built(overlay), "Service").items():
        selector = service["spec"]["selector"].items()
        chosen = [p for _, p in pods(overlay) if selector <= p["metadata"]["labels"].items()]
        assert chosen, name
        ports = {each["name"] for pod in chosen for each in container(pod)["ports"]}
        assert {each["targetPort"] for each in service["spec"]["ports"]} <= ports


@both
def test_a_stopping_pod_has_the_time_it_takes(overlay: str):
    """Longer than one model call, the process' own grace, and what the gateway waits before it."""
    settings = next(
        each["data"]
        for name, each in of_kind(built(overlay), "ConfigMap").items()
        if name.startswith("memoire-settings")
    )
    grace = float(settings["MEMOIRE_STOP_GRACE_SECONDS"])
    assert grace > float(settings["MEMOIRE_LLM_TIMEOUT_SECONDS"])
    for each in deployments(overlay).values():
        spec = each["spec"]["template"]["spec"]
        before = container(each["spec"]["template"]).get("lifecycle", {}).get("preStop")
        seconds = float(before["exec"]["command"][1]) if before else 0.0
        assert spec["terminationGracePeriodSeconds"] >= grace + seconds + 10


@both
def test_a_stage_is_restarted_for_its_heartbeat_alone(overlay: str):
    """The gateway is asked over HTTP; nobody is asked about PostgreSQL or Redis."""
    for name, each in deployments(overlay).items():
        its = container(each["spec"]["template"])
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            if name == "gateway":
                path = "ready" if probe == "readinessProbe" else "live"
                assert its[probe]["httpGet"] == {"path": f"/v1/health/{path}", "port": "http"}
            else:
                assert its[probe]["exec"]["command"] == HEARTBEAT
        stalled = its["livenessProbe"]["periodSeconds"] * its["livenessProbe"]["failureThreshold"]
        assert stalled >= 60


@both
def test_copies_are_spread(overlay: str):
    for name, each in deployments(overlay).items():
        spread = each["spec"]["template"]["spec"]["topologySpreadConstraints"]
        assert [s["topologyKey"] for s in spread] == [
            "kubernetes.io/hostname",
            "topology.kubernetes.io/zone",
        ], name


@both
def test_all_but_our_own_image_is_pinned(overlay: str):
    for name, pod in pods(overlay):
        image = container(pod)["image"]
        assert PINNED.match(image) if name in WITHOUT_OURS else ":" in image


@both
def test_the_migration_is_applied_before_the_rollout(overlay: str):
    """And with it all that it needs; everything belongs to one of the two steps."""
    steps: dict[str, set[str]] = {"before": set(), "rollout": set()}
    for each in built(overlay):
        step = each["metadata"]["labels"]["memoire.dev/step"]
        steps[step].add(f"{each['kind']}/{each['metadata']['name'].partition('-settings-')[0]}")
    assert {"Job/memoire-migrate", "Namespace/memoire", "ConfigMap/memoire"} <= steps["before"]
    assert "ServiceAccount/memoire" in steps["before"]
    assert {f"Deployment/{name}" for name in PROCESSES} <= steps["rollout"]


# ---- who reaches whom


def test_whoever_asks_models_is_who_may_reach_them():
    """The label says it, the policy follows it, and the composition root is the truth."""
    labelled = {
        name
        for name, each in of_kind(BASE, "Deployment").items()
        if each["metadata"]["labels"]["memoire.dev/asks-models"] == "yes"
    }
    assert labelled == who_asks_models()


def who_asks_models() -> set[str]:
    """Processes whose builder, or what it calls, asks `adapters.models` for one."""
    tree = ast.parse((ROOT / "services" / "composition.py").read_text("utf-8"))
    functions = {
        node.name: node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    asking = {
        name
        for name, node in functions.items()
        if re.search(r"\.models\.(extracting|judging|embedders|embedder)\(", ast.unparse(node))
    }
    for _ in functions:  # who calls one that asks, asks too
        asking |= {
            name
            for name, node in functions.items()
            if any(re.search(rf"\b{other}\(", ast.unparse(node)) for other in asking)
        }
    builders = {**{stage: f"_{stage}" for stage in STAGES}, "gateway": "_run_gateway"}
    return {process for process, name in builders.items() if name in asking}


@both
def test_nobody_reaches_anybody_but_for_the_flows_that_exist(overlay: str):
    """Read as Kubernetes does: what is allowed is what some policy allows."""
    policies = of_kind(built(overlay), "NetworkPolicy").values()
    assert any(
        not policy["spec"]["podSelector"]
        and policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
        and not {"ingress", "egress"} & set(policy["spec"])
        for policy in policies
    )
    postgres, redis = (5432, 6379) if overlay == "try" else (5432, 6380)
    labels = {name: pod["metadata"]["labels"] for name, pod in pods(overlay)}
    for name in (*PROCESSES, "memoire-migrate"):
        out = {53, postgres}
        out |= set() if name == "memoire-migrate" else {redis}
        out |= {443} if name in who_asks_models() else set()
        coming_in = {"metrics"} if name in PROCESSES else set()
        coming_in |= {"http"} if name == "gateway" else set()
        assert set(ports(policies, labels[name], "egress")) == out, name
        assert set(ports(policies, labels[name], "ingress")) == coming_in, name


def ports(policies: Any, labels: dict[str, str], way: str) -> Iterator[int | str]:
    for policy in policies:
        if selects(policy["spec"]["podSelector"], labels):
            rules = policy["spec"].get(way, [])
            yield from (port["port"] for rule in rules for port in rule["ports"])


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    wanted = selector.get("matchLabels", {}).items() <= labels.items()
    unwanted = itertools.chain.from_iterable(
        [(each["key"], value) for value in each["values"]]
        for each in selector.get("matchExpressions", [])
        if each["operator"] == "NotIn"
    )
    return wanted and not any(labels.get(key) == value for key, value in unwanted)
