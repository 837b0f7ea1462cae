"""Manifests of Flink jobs, held against the `FlinkDeployment` that Flink's operator defines.

No operator runs here: it is shown that one takes such manifests, not what it then does.
"""

from __future__ import annotations

import copy
import re
import shutil
import zipfile

import jsonschema_rs
import pytest
import yaml
from conftest import CACHE, REPO, Project

JAR = CACHE / "servers/flink/operator/flink-kubernetes-operator-api-1.10.0.jar"
DEFINITION = "META-INF/fabric8/flinkdeployments.flink.apache.org-v1.yml"
# A version that this release of the operator knows: it is older than Flink 2.
KNOWN = "1.20.3"
# Kubernetes' own rules, and the operator's for names.
LABEL = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
LABEL_KEY = re.compile(
    r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?"
)
DEPLOYMENT = re.compile(r"[a-z]([-a-z0-9]{0,43}[a-z0-9])?")
CONFIG_MAP_BYTES_MAX = 1 << 20


def structural(schema):
    """The schema without room for what it does not name: Kubernetes drops such fields."""
    if isinstance(schema, list):
        return [structural(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: structural(value) for key, value in schema.items() if key != "properties"}
    if "properties" in schema:
        found["properties"] = {key: structural(of) for key, of in schema["properties"].items()}
    is_object = found.get("type") == "object"
    is_open = found.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in found
    if is_object and not is_open:
        found["additionalProperties"] = False
    if found.get("x-kubernetes-int-or-string"):
        found.setdefault("type", ["integer", "string"])
    return found


@pytest.fixture(scope="module")
def definition() -> dict:
    assert JAR.is_file(), f"{JAR} is missing: run scripts/flink-env"
    with zipfile.ZipFile(JAR) as jar:
        return yaml.safe_load(jar.read(DEFINITION))


@pytest.fixture(scope="module")
def validator(definition):
    (version,) = definition["spec"]["versions"]
    assert version["served"] and version["storage"]
    schema = structural(version["schema"]["openAPIV3Schema"])
    # Kubernetes adds these; what metadata are, the template of pods says.
    pods = schema["properties"]["spec"]["properties"]["podTemplate"]
    schema["properties"] |= {
        "apiVersion": {"const": f"{definition['spec']['group']}/{version['name']}"},
        "kind": {"const": definition["spec"]["names"]["kind"]},
        "metadata": pods["properties"]["metadata"],
    }
    schema["required"] = ["apiVersion", "kind", "metadata", "spec"]
    return jsonschema_rs.Draft202012Validator(schema)


def wrong(validator, document) -> list[str]:
    """Where it is not what the operator defines."""
    errors = validator.iter_errors(document)
    return sorted({".".join(map(str, error.instance_path)) for error in errors})


@pytest.fixture
def example(tmp_path):
    shutil.copytree(REPO / "docs/examples/streams", tmp_path / "example")
    return Project(tmp_path / "example")


def generated(example: Project, settings: str = "") -> tuple[dict, dict, str]:
    """The config map, the deployment, and the script, by these settings of Flink."""
    project = f'[project]\nconfigs = "configs"\n\n[flink]\n{settings}'
    (example.root / "trivium.toml").write_text(project)
    example.ok("streams", "generate")
    manifests = list((example.root / "streams").rglob("*.yaml"))
    assert len(manifests) == 1
    config_map, deployment = yaml.safe_load_all(manifests[0].read_text())
    return config_map, deployment, manifests[0].with_suffix(".sql").read_text()


# All that a project may say, each other than where nothing is said.
SETTINGS = f"""version = "{KNOWN}"
image = "registry.example.com:5000/flink@sha256:{"0" * 64}"
namespace = "streams"
state = "s3://bucket/state/"
service_account = "runner"
job_manager_memory = "2048m"
task_manager_memory = "4g"
slots = 2

[flink.conf]
"taskmanager.memory.managed.fraction" = "0.6"
"kubernetes.operator.savepoint.history.max.count" = "5"
"env.java.opts.all" = "-Dx='y: z' # \\"no\\" comment"
"state.backend.type" = "hashmap"
"""


@pytest.mark.parametrize("settings", [f'version = "{KNOWN}"\n', SETTINGS], ids=["few", "all"])
def test_the_operator_defines_all_that_a_manifest_says(example, validator, settings):
    config_map, deployment, script = generated(example, settings)
    assert wrong(validator, deployment) == []
    conf = deployment["spec"]["flinkConfiguration"]
    assert all(isinstance(value, str) for value in conf.values()), conf
    # Without these, the operator refuses to change a job by a savepoint.
    assert conf["execution.checkpointing.dir"] and conf["execution.checkpointing.savepoint-dir"]
    job = deployment["spec"]["job"]
    assert (job["upgradeMode"], job["state"], job["parallelism"]) == ("savepoint", "running", 2)
    assert "allowNonRestoredState" not in job
    assert DEPLOYMENT.fullmatch(deployment["metadata"]["name"])
    # The script that the job is given is what is mounted there.
    assert config_map["data"] == {"job.sql": script}
    assert len(script.encode()) < CONFIG_MAP_BYTES_MAX
    assert (config_map["apiVersion"], config_map["kind"]) == ("v1", "ConfigMap")
    assert set(config_map) == {"apiVersion", "kind", "metadata", "data"}
    (container,) = deployment["spec"]["podTemplate"]["spec"]["containers"]
    (mount,) = container["volumeMounts"]
    (volume,) = deployment["spec"]["podTemplate"]["spec"]["volumes"]
    assert volume == {"name": mount["name"], "configMap": {"name": config_map["metadata"]["name"]}}
    assert job["args"] == ["--scriptUri", f"file://{mount['mountPath']}/job.sql"]
    # The operator knows its own container by this name.
    assert container["name"] == "flink-main-container"
    for document in (config_map, deployment):
        metadata = document["metadata"]
        assert metadata.get("namespace") == ("streams" if settings == SETTINGS else None)
        for key, value in metadata["labels"].items():
            assert LABEL_KEY.fullmatch(key) and LABEL.fullmatch(value) and len(value) <= 63
        for key, value in metadata.get("annotations", {}).items():
            assert LABEL_KEY.fullmatch(key) and isinstance(value, str)


def test_of_flink_2_this_operator_does_not_know_the_number_alone(example, definition, validator):
    _, deployment, _ = generated(example)
    assert deployment["spec"]["flinkVersion"] == "v2_3"
    assert wrong(validator, deployment) == ["spec.flinkVersion"]
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    known = schema["properties"]["spec"]["properties"]["flinkVersion"]["enum"]
    assert known[-1] == "v1_20"


# Where a manifest is spoilt, by what, and where that is found.
SPOILT = [
    ("apiVersion", "flink.apache.org/v1", "apiVersion"),
    ("spec.slots", 1, "spec"),
    ("spec.flinkConfiguration.a", 1, "spec.flinkConfiguration.a"),
    ("spec.job.sql", "SELECT 1", "spec.job"),
    ("spec.job.parallelism", "2", "spec.job.parallelism"),
    ("spec.job.upgradeMode", "savepoints", "spec.job.upgradeMode"),
    ("spec.job.args", "--scriptUri", "spec.job.args"),
    ("spec.taskManager.resource.memory", 2, "spec.taskManager.resource.memory"),
    ("spec.taskManager.resource.cpu", "1", "spec.taskManager.resource.cpu"),
    ("spec.podTemplate.metadata.annotations.a", 1, "spec.podTemplate.metadata.annotations.a"),
    ("spec.podTemplate.spec.volumes.0.config", {}, "spec.podTemplate.spec.volumes.0"),
    (
        "spec.podTemplate.spec.containers.0.volumeMounts.0.path",
        "/",
        "spec.podTemplate.spec.containers.0.volumeMounts.0",
    ),
]


def test_what_the_operator_does_not_define_is_found(example, validator):
    _, deployment, _ = generated(example, f'version = "{KNOWN}"\n')
    for place, value, found in SPOILT:
        spoilt = copy.deepcopy(deployment)
        *steps, last = place.split(".")
        inner = spoilt
        for step in steps:
            inner = inner[int(step) if isinstance(inner, list) else step]
        inner[last] = value
        assert wrong(validator, spoilt) == [found], place


def test_a_reader_of_yaml_finds_the_script_as_it_is(example):
    sql = example.root / "configs/flights/airport_congestion.v1.sql"
    odd = "---\n-- a: {b} \"c\" # d ''e'' % & * ! |\n\n\t-- \ttabs, ü and \U0001f600, blanks  \n"
    sql.write_text(odd + sql.read_text().replace("SELECT\n", "SELECT -- ...\n\n\n\n"))
    config_map, _, script = generated(example)
    assert config_map["data"]["job.sql"] == script
    assert odd in script
