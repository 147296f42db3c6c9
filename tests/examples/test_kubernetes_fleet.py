"""The manifests of `examples/kubernetes/fleet`: valid, safe, and about streams, users and commands that exist."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List

import pytest

from honeyhive_litellm._broker.names import consumer_of, stream_of
from honeyhive_litellm._relay.config import RelayConfig, config_of

from ..docs.test_commands import parse
from ..support.broker import SERVER

yaml = pytest.importorskip("yaml", reason="LiteLLM brings it where its Proxy runs")
if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDER = Path(__file__).parents[2] / "examples" / "kubernetes" / "fleet"
PASSWORDS = {"SEARCH_APP_PASSWORD": "one", "RELAY_PASSWORD": "two", "OPERATOR_PASSWORD": "three"}


def documents(name: str) -> List[Any]:
    return list(yaml.safe_load_all((FOLDER / name).read_text(encoding="utf-8")))


def document(name: str, kind: str) -> Any:
    (found,) = [each for each in documents(name) if each["kind"] == kind]
    return found


def pod_of(name: str, kind: str) -> Any:
    return document(name, kind)["spec"]["template"]["spec"]


def relay_config() -> RelayConfig:
    found = tomllib.loads(document("relay.yaml", "ConfigMap")["data"]["relay.toml"])
    container = pod_of("relay.yaml", "Deployment")["containers"][0]
    environ = {item["name"]: "hh_key" for item in container["env"]}
    environ["HONEYHIVE_BROKER"] = "nats://relay:two@nats-0.nats,nats-1.nats,nats-2.nats"
    return config_of(found, environ, with_keys=True, source="relay.yaml")


@pytest.mark.parametrize("name", ["broker.yaml", "relay.yaml"])
def test_the_manifests_are_valid_by_the_schemas_of_kubernetes(name: str) -> None:
    validator = pytest.importorskip("kubernetes_validate", reason="it needs Python 3.10")
    for each in documents(name):
        validator.validate(each, validator.latest_version(), strict=True)
    broken = documents(name)[-1]
    broken["spec"]["podselector"] = {}
    with pytest.raises(validator.ValidationError):
        validator.validate(broken, validator.latest_version(), strict=True)


def test_the_broker_takes_its_configuration_and_every_user_has_a_password(tmp_path: Path) -> None:
    text = document("broker.yaml", "ConfigMap")["data"]["nats.conf"]
    configuration = tmp_path / "nats.conf"
    configuration.write_text(text.replace("store_dir: /data", f'store_dir: "{tmp_path}/data"'))
    environ = {**os.environ, **PASSWORDS, "POD_NAME": "nats-0"}
    checked = subprocess.run(
        [SERVER, "-t", "-c", configuration], env=environ, capture_output=True, text=True, timeout=20, check=False
    )
    assert checked.returncode == 0, checked.stderr
    container = pod_of("broker.yaml", "StatefulSet")["containers"][0]
    assert {item["name"] for item in container["env"]} == {*PASSWORDS, "POD_NAME"}


def test_users_and_autoscaling_are_about_the_destinations_of_the_relay() -> None:
    names = [destination.name for destination in relay_config().destinations]
    text = document("broker.yaml", "ConfigMap")["data"]["nats.conf"]
    triggers = [trigger["metadata"] for trigger in document("autoscaling.yaml", "ScaledObject")["spec"]["triggers"]]
    assert [trigger["stream"] for trigger in triggers] == [stream_of(name) for name in names]
    assert [trigger["consumer"] for trigger in triggers] == [consumer_of(name) for name in names]
    for name in names:
        assert f'"honeyhive.events.{name}"' in text
        assert f'"$JS.API.CONSUMER.MSG.NEXT.{stream_of(name)}.{consumer_of(name)}"' in text
        assert f'"$JS.ACK.{stream_of(name)}.{consumer_of(name)}.>"' in text
    scaled = document("autoscaling.yaml", "ScaledObject")["spec"]
    assert scaled["scaleTargetRef"]["name"] == document("relay.yaml", "Deployment")["metadata"]["name"]
    in_hand = max(3 * 100 * destination.workers for destination in relay_config().destinations)
    assert scaled["maxReplicaCount"] * in_hand <= relay_config().max_ack_pending


def test_the_relays_run_commands_that_exist_and_end_before_they_are_killed() -> None:
    for kind in ("Job", "Deployment"):
        (container,) = pod_of("relay.yaml", kind)["containers"]
        assert container["command"][:3] == ["python", "-m", "honeyhive_litellm"]
        parse(container["command"][3:])
    (relay,) = pod_of("relay.yaml", "Deployment")["containers"]
    assert f"--metrics-port={relay['ports'][0]['containerPort']}" in relay["command"]
    assert {relay[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "readiness")} == {"/readyz"}
    assert relay["livenessProbe"]["httpGet"]["path"] == "/livez"
    grace_s = pod_of("relay.yaml", "Deployment")["terminationGracePeriodSeconds"]
    assert grace_s > relay_config().shutdown_timeout


def test_no_container_runs_as_root_and_only_clients_of_the_broker_reach_it() -> None:
    pods: Dict[str, Any] = {kind: pod_of("relay.yaml", kind) for kind in ("Job", "Deployment")}
    pods["StatefulSet"] = pod_of("broker.yaml", "StatefulSet")
    for pod in pods.values():
        assert pod["securityContext"]["runAsNonRoot"] is True and pod["securityContext"]["runAsUser"] > 0
        for container in pod["containers"]:
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"] is True and context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}
    (client, *_) = document("broker.yaml", "NetworkPolicy")["spec"]["ingress"]
    label = client["from"][0]["podSelector"]["matchLabels"]
    for kind in ("Job", "Deployment"):
        labels = document("relay.yaml", kind)["spec"]["template"]["metadata"]["labels"]
        assert label.items() <= labels.items()
