"""The manifests of `examples/kubernetes`: valid, safe, and about containers and metrics that exist."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, Iterator, List, Set, Tuple

import pytest

from honeyhive_litellm._cli.folder_metrics import Exposition, FolderReader
from honeyhive_litellm._config.settings import OPTIONS, Settings
from honeyhive_litellm._runtime.batch_durations import note_batch
from honeyhive_litellm._runtime.metric_table import METRICS

from ..docs.test_commands import parse

yaml = pytest.importorskip("yaml", reason="LiteLLM brings it where its Proxy runs")

FOLDER = Path(__file__).parents[2] / "examples" / "kubernetes"
OLDEST_WITH_SIDECARS = "1.29"
SECONDS_OF_GRAFANA = {"$__rate_interval": "5m", "$__range": "6h"}


def manifest(name: str) -> Any:
    return yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))


def pod() -> Any:
    return manifest("deployment.yaml")["spec"]["template"]["spec"]


def containers() -> Tuple[Any, Any]:
    """The sidecar and the application."""
    (sidecar,), (app,) = pod()["initContainers"], pod()["containers"]
    return sidecar, app


def variables(container: Any) -> Dict[str, Any]:
    return {item["name"]: item.get("value") for item in container["env"]}


@pytest.mark.parametrize("version", [OLDEST_WITH_SIDECARS, "latest"])
def test_the_deployment_is_valid_by_the_schemas_of_kubernetes(version: str) -> None:
    validator = pytest.importorskip("kubernetes_validate", reason="it needs Python 3.10")
    wanted = validator.latest_version() if version == "latest" else version
    validator.validate(manifest("deployment.yaml"), wanted, strict=True)
    broken = manifest("deployment.yaml")
    broken["spec"]["template"]["spec"]["containers"][0]["livenessprobe"] = {}
    with pytest.raises(validator.ValidationError):
        validator.validate(broken, wanted, strict=True)


def test_the_sidecar_runs_a_command_that_exists_with_the_spool_of_the_application() -> None:
    sidecar, app = containers()
    assert sidecar["restartPolicy"] == "Always"
    assert sidecar["command"][:3] == ["python", "-m", "honeyhive_litellm"]
    parse(sidecar["command"][3:])
    of_sidecar, of_app = variables(sidecar), variables(app)
    assert set(of_sidecar) | set(of_app) <= {name for option in OPTIONS for name in option.variables}
    assert of_app["HONEYHIVE_FLUSH"] == "false"
    assert sidecar["volumeMounts"] == app["volumeMounts"]
    mounted = {mount["mountPath"] for mount in app["volumeMounts"]}
    assert of_sidecar["HONEYHIVE_SPOOL_PATH"] == of_app["HONEYHIVE_SPOOL_PATH"] in mounted
    grace_s = pod()["terminationGracePeriodSeconds"]
    assert grace_s > Settings(api_key="k", project="p").shutdown_timeout


def test_the_probes_ask_the_port_that_the_sidecar_serves() -> None:
    sidecar, _ = containers()
    (port,) = sidecar["ports"]
    assert f"--metrics-port={port['containerPort']}" in sidecar["command"]
    probed = {name: sidecar[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    assert {probe["port"] for probe in probed.values()} == {port["name"]}
    assert {name: probe["path"] for name, probe in probed.items()} == {
        "startup": "/readyz",
        "liveness": "/livez",
        "readiness": "/readyz",
    }


def test_no_container_runs_as_root_or_can_write_outside_its_volumes() -> None:
    assert pod()["securityContext"]["runAsNonRoot"] is True and pod()["securityContext"]["runAsUser"] > 0
    for container in containers():
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] is True and context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert {"/spool", "/tmp"} == {mount["mountPath"] for mount in container["volumeMounts"]}
    secrets = [item for item in containers()[0]["env"] if "valueFrom" in item]
    assert [item["name"] for item in secrets] == ["HONEYHIVE_API_KEY"]


def test_the_pod_monitor_finds_the_pods_and_their_port() -> None:
    monitor, deployment = manifest("podmonitor.yaml"), manifest("deployment.yaml")
    assert (monitor["apiVersion"], monitor["kind"]) == ("monitoring.coreos.com/v1", "PodMonitor")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= labels.items()
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert endpoint["port"] == containers()[0]["ports"][0]["name"] and endpoint["path"] == "/metrics"


# ---- expressions


def alert_rules() -> List[Dict[str, Any]]:
    rule = manifest("alerts.yaml")
    assert (rule["apiVersion"], rule["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
    return [each for group in rule["spec"]["groups"] for each in group["rules"]]


def panels() -> List[Dict[str, Any]]:
    found: List[Dict[str, Any]] = json.loads((FOLDER / "dashboard.json").read_text(encoding="utf-8"))["panels"]
    return found


def expressions() -> Iterator[Tuple[str, str]]:
    """Each expression with where it stands."""
    for rule in alert_rules():
        yield rule["alert"], rule["expr"]
    for panel in panels():
        for target in panel["targets"]:
            text = target["expr"]
            for name, seconds in SECONDS_OF_GRAFANA.items():
                text = text.replace(name, seconds)
            yield panel["title"], text


def selectors(node: Any) -> Iterator[Any]:
    """The vector selectors of a parsed expression."""
    if type(node).__name__ == "VectorSelector":
        yield node
        return
    for name in ("expr", "lhs", "rhs", "vector_selector"):
        if getattr(node, name, None) is not None:
            yield from selectors(getattr(node, name))
    for argument in getattr(node, "args", None) or ():
        yield from selectors(argument)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Set[str]:
    """The names of the series that the sidecar exports."""
    parser = pytest.importorskip("prometheus_client.parser", reason="the extra prometheus")
    exposition = Exposition(FolderReader(tmp_path_factory.mktemp("spool"), 1, lambda: False))
    note_batch(0.1, "delivered")
    families = parser.text_string_to_metric_families(exposition.text("")[0].decode())
    series = {sample.name for family in families for sample in family.samples}
    # Without a drop there is no series of drops.
    return series | {metric.prometheus_name for metric in METRICS if metric.name == "honeyhive.events.dropped"}


@pytest.mark.parametrize(("place", "expression"), list(expressions()))
def test_an_expression_is_valid_and_about_metrics_that_are_exported(
    place: str, expression: str, exported: Set[str]
) -> None:
    promql = pytest.importorskip("promql_parser", reason="of the extra test")
    names = {selector.name for selector in selectors(promql.parse(expression))}
    assert names and names <= exported, place


def test_the_alerts_are_those_of_the_page() -> None:
    named = "".join(rule["expr"] for rule in alert_rules())
    page = (FOLDER.parents[1] / "docs" / "how-to" / "metrics.md").read_text(encoding="utf-8")
    alarms = page.partition("## Alerts")[2]
    in_alerts = {metric.prometheus_name for metric in METRICS if metric.prometheus_name in named}
    assert in_alerts == {metric.prometheus_name for metric in METRICS if f"`{metric.prometheus_name}`" in alarms}
    for rule in alert_rules():
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert {"summary", "description"} == set(rule["annotations"])


def test_the_dashboard_shows_every_metric_and_no_panel_covers_another() -> None:
    text = json.dumps(panels())
    assert [metric.prometheus_name for metric in METRICS if metric.prometheus_name not in text] == []
    assert all(panel["title"] and panel["description"] for panel in panels())
    cells = [
        (x, y)
        for panel in panels()
        for place in [panel["gridPos"]]
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells) and max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in panels()}) == len(panels())
