"""The Helm chart, by Helm's own library: lint, schema, rendering; Kubernetes' schemas take what it renders."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import helm_python as helm
import kubernetes_validate
import pytest
import yaml

from batuta._cli import plugins, program
from batuta._cli.context import Context
from batuta_chassis.settings import Settings
from batuta_chassis.tokens import Signer, Verifier
from batuta_rpc.version import VERSION

CHART = Path(__file__).resolve().parents[2] / "deploy" / "helm" / "batuta"
OLDEST, NEWEST = "1.27", "1.37"
KEYS: dict[str, Any] = {"keys": {"existingSecret": "signing"}}
SEVERAL: dict[str, Any] = {
    **KEYS,
    "database": {"existingSecret": "db"},
    "redis": {"existingSecret": "cache"},
    "tls": {"existingSecret": "cert", "name": "batuta.example.com", "caKey": "ca.crt"},
    "api": {"replicas": 2, "service": {"type": "LoadBalancer"}},
    "queue": {"replicas": 3, "dispatchEndpoint": "queue.example.com:8481"},
    "autoscaler": {"enabled": True},
    "agent": {
        "enabled": True,
        "replicas": 2,
        "queues": ["gpu", "default"],
        "credentials": {"existingSecret": "agents"},
    },
    "ingress": {"enabled": True, "host": "batuta.example.com", "className": "nginx", "tlsSecret": "web"},
}
CASES = {"least": KEYS, "most": SEVERAL, "no tls": {**SEVERAL, "tls": {}, "podDisruptionBudget": {"enabled": False}}}

Object = dict[str, Any]


def rendered(values: Object) -> dict[str, Object]:
    """Every object of the chart by kind and name."""
    with helm.Chart.load(CHART) as chart:
        texts = chart.render(values, name="b", namespace="lab")
    objects = [each for path, text in texts.items() if path.endswith(".yaml") for each in yaml.safe_load_all(text)]
    named = {f"{each['kind']}/{each['metadata']['name']}": each for each in objects if each}
    assert len(named) == len([each for each in objects if each]), "two objects have one name"
    return named


def pod(objects: dict[str, Object], name: str) -> Object:
    return objects[name]["spec"]["template"]["spec"]


def environment(objects: dict[str, Object], name: str, secrets: dict[str, str]) -> dict[str, str]:
    """Variables of the only container; `secrets` by `name/key`."""
    (container,) = pod(objects, name)["containers"]
    found: dict[str, str] = {}
    for each in container["env"]:
        taken = each.get("valueFrom", {}).get("secretKeyRef")
        found[each["name"]] = secrets[f"{taken['name']}/{taken['key']}"] if taken else each.get("value", "")
    return found


def test_helm_lints_the_chart_and_warns_of_nothing() -> None:
    report = helm.lint(CHART, KEYS, strict=True)
    assert report["errors"] == []
    assert [each for each in report["messages"] if each["severity"] > 1] == []


def test_the_chart_is_of_this_release() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == VERSION


def test_every_value_is_in_the_schema_and_every_one_of_the_schema_has_a_default() -> None:
    def names(schema: Object, values: Object, path: str = "") -> None:
        properties = {key for key in schema["properties"] if key != "global"}
        assert properties - {"limits", "claims"} <= values.keys() | {"requests"}, path
        for key, value in values.items():
            assert key in properties, f"{path}.{key}"
            if "properties" in schema["properties"][key]:
                names(schema["properties"][key], value, f"{path}.{key}")

    with helm.Chart.load(CHART) as chart:
        assert chart.schema is not None
        names(chart.schema, chart.values)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({**KEYS, "apii": {}}, "apii"),
        ({**KEYS, "api": {"replicas": 0}}, "replicas"),
        ({**KEYS, "api": {"env": {"lower": "x"}}}, "lower"),
        ({**KEYS, "queue": {"persistence": {"size": "ten"}}}, "size"),
        ({**KEYS, "image": {"pullPolicy": "Sometimes"}}, "pullPolicy"),
    ],
)
def test_values_that_do_not_fit_the_schema_are_refused_by_name(values: Object, named: str) -> None:
    with helm.Chart.load(CHART) as chart, pytest.raises(helm.HelmError, match=named):
        chart.validate_schema(chart.merge_values(values))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({}, "keys.existingSecret: name the secret"),
        ({**KEYS, "queue": {"replicas": 2}}, "more than one replica needs a database"),
        ({**KEYS, "redis": {"existingSecret": "r"}}, "leave redis.existingSecret empty"),
        ({**KEYS, "tls": {"existingSecret": "t"}}, "tls.name"),
        ({**KEYS, "agent": {"enabled": True}}, "agent.credentials.existingSecret"),
        ({**KEYS, "ingress": {"enabled": True}}, "ingress.host"),
    ],
)
def test_what_cannot_work_is_refused_with_what_to_do(values: Object, sentence: str) -> None:
    with pytest.raises(helm.HelmError, match=re.escape(sentence)):
        rendered(values)


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("case", CASES)
def test_kubernetes_takes_every_object(case: str, version: str) -> None:
    for name, each in rendered(CASES[case]).items():
        assert each["metadata"]["labels"]["app.kubernetes.io/instance"] == "b", name
        kubernetes_validate.validate(each, version, strict=True)


def test_little_runs_unless_more_is_asked_for() -> None:
    names = set(rendered(KEYS))
    assert {name for name in names if name.startswith(("StatefulSet", "Deployment", "Ingress"))} == {
        "StatefulSet/b-batuta-api",
        "StatefulSet/b-batuta-queue",
    }
    assert {name for name in names if name.startswith("PodDisruptionBudget")} == {
        "PodDisruptionBudget/b-batuta-api",
        "PodDisruptionBudget/b-batuta-queue",
    }


@pytest.mark.parametrize("case", CASES)
def test_no_pod_has_rights_or_a_token_of_the_cluster(case: str) -> None:
    for name, each in rendered(CASES[case]).items():
        if "template" not in each["spec"]:
            continue
        spec = each["spec"]["template"]["spec"]
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["securityContext"]["runAsNonRoot"], name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in spec["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False, name
            assert container["securityContext"]["readOnlyRootFilesystem"], name
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}, name
            assert "memory" in container["resources"]["requests"], name


@pytest.mark.parametrize("case", CASES)
def test_selectors_find_their_own_pods_only(case: str) -> None:
    objects = rendered(CASES[case])
    pods = {
        name: each["spec"]["template"]["metadata"]["labels"]
        for name, each in objects.items()
        if "template" in each["spec"]
    }
    for name, each in objects.items():
        wanted = each["spec"].get("selector")
        if wanted is None:
            continue
        wanted = wanted.get("matchLabels", wanted)
        found = {other for other, labels in pods.items() if wanted.items() <= labels.items()}
        part = name.partition("/")[2].removeprefix("b-batuta-").removesuffix("-pods")
        assert [other.rpartition("-")[2] for other in found] == [part], name


@pytest.mark.parametrize("case", CASES)
def test_the_services_take_the_settings_of_their_pods(case: str) -> None:
    objects = rendered(CASES[case])
    secrets = {"db/url": "postgresql://u:p@db/batuta", "cache/url": "redis://cache:6379"}
    several = case != "least"
    for name, each in objects.items():
        service = name.rpartition("-")[2]
        if "template" not in each["spec"] or service == "agent":
            continue
        given = {**environment(objects, name, secrets), f"BATUTA_{service.upper()}_HOST": "0.0.0.0"}
        settings = Settings.load(service, [], given)
        assert settings.several is several
        assert settings.allow_plaintext is (case != "most")
        (container,) = pod(objects, name)["containers"]
        assert container["command"] == [f"batuta-{service}"]
        assert settings.port == container["ports"][0]["containerPort"]
        mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
        assert settings.data_dir.parent == Path(mounts["data"]["mountPath"])
        assert settings.keys_dir == Path(mounts["keys"]["mountPath"])
        assert mounts["keys"]["readOnly"]
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            asked = container[probe].get("exec", {}).get("command")
            if case != "most":
                assert container[probe]["grpc"]["port"] == settings.port
                continue
            words = asked[1:]
            parsed = program.build(Context.of_this_process(), plugins.installed(), words).parse_args(words)
            assert parsed.url == f"https://127.0.0.1:{settings.port}"
            assert parsed.certificate_name == "batuta.example.com"


def test_each_service_gets_its_own_private_key_and_no_other() -> None:
    objects = rendered(SEVERAL)
    for name, own in (("api", {"api.key"}), ("queue", {"queue.key"}), ("autoscaler", set[str]())):
        kind = "Deployment" if name == "autoscaler" else "StatefulSet"
        volumes = {each["name"]: each for each in pod(objects, f"{kind}/b-batuta-{name}")["volumes"]}
        items = {item["key"] for item in volumes["keys"]["secret"]["items"]}
        assert {item for item in items if item.endswith(".key")} == own
        assert items >= {"api.pub", "queue.pub"}


def test_the_api_and_agents_know_every_broker_by_the_name_of_its_pod() -> None:
    objects = rendered({**SEVERAL, "tls": {}, "queue": {"replicas": 3}})
    settings = Settings.load(
        "api",
        [],
        environment(objects, "StatefulSet/b-batuta-api", {"db/url": "postgresql://d", "cache/url": "redis://c"}),
    )
    brokers = [f"http://b-batuta-queue-{n}.b-batuta-queue-pods.lab.svc:8481" for n in range(3)]
    assert settings.queue_endpoint.split(",") == settings.dispatch_endpoint.split(",") == brokers
    assert objects["StatefulSet/b-batuta-queue"]["spec"]["serviceName"] == "b-batuta-queue-pods"
    assert objects["Service/b-batuta-queue-pods"]["spec"]["clusterIP"] == "None"
    assert (
        Settings.load(
            "api",
            [],
            environment(
                rendered(SEVERAL), "StatefulSet/b-batuta-api", {"db/url": "postgresql://d", "cache/url": "redis://c"}
            ),
        ).dispatch_endpoint
        == "queue.example.com:8481"
    )


def test_the_agent_is_started_with_flags_that_it_has_and_sees_no_key_of_the_server() -> None:
    objects = rendered(SEVERAL)
    (container,) = pod(objects, "StatefulSet/b-batuta-agent")["containers"]
    words = ["agent", "start", *container["args"]]
    parsed = program.build(Context.of_this_process(), plugins.installed(), words).parse_args(words)
    assert parsed.queue == ["gpu", "default"]
    assert parsed.credentials == Path("/etc/batuta/credentials/agent.credentials")
    for volume in pod(objects, "StatefulSet/b-batuta-agent")["volumes"]:
        secret = volume.get("secret", {"secretName": "agents"})
        assert secret["secretName"] == "agents" or [item["key"] for item in secret["items"]] == ["ca.crt"]


def test_keys_made_by_openssl_as_the_page_says_are_taken_from_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    page = (CHART.parents[2] / "docs" / "deploy.md").read_text()
    commands = re.findall(r"^ *(openssl .*)$", page, re.MULTILINE)
    assert len(commands) == 2
    assert shutil.which("openssl"), "install openssl"
    for service in ("api", "queue"):
        for command in commands:
            subprocess.run(command.replace("$service", service), shell=True, cwd=tmp_path, check=True, timeout=60)
    before = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in tmp_path.iterdir()}
    assert before.keys() == {"api.key", "api.pub", "queue.key", "queue.pub"}
    token, _ = Signer.load_or_create(tmp_path, "api").sign_user("ann", frozenset({"admin"}))
    assert Verifier(tmp_path).verify(token).subject == "ann"
    assert {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in tmp_path.iterdir()} == before
