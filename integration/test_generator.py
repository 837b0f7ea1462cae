"""The generator as a program: whatever an author writes, and whenever it is killed."""

from __future__ import annotations

import ast
import json
import os
import random
import runpy
import shutil
import signal
import subprocess
import sys
import threading
import time
import types
from pathlib import Path
from unicodedata import category
from unittest import mock

import pytest
from batch_lane import AIRFLOW, environments
from conftest import PATIENCE_SECONDS, REPO, TRIVIUM, Project

DAGGEN = str(Path(TRIVIUM).resolve().with_name("trivium-daggen"))
EXAMPLE = REPO / "configs/flights/carrier_daily.v1.json"

# What could end a literal, turn its reading round, or be taken for a template.
PIECES = [
    *("'", '"', "'''", '"""', "\\", "\\\\", "\\n", "\\x41", "\\N{BULLET}", "{", "}", "{{", "}}"),
    *("{{ ti.task_id }}", "{%", "%}", "{% raw %}", "{% endraw %}", "{#", "#}", "{VIEW}", "%s"),
    *("\n", "\r", "\r\n", "\t", "\0", "\x01", "\x1b[31m", "\x7f", "\x85", "\xa0", "\xad"),
    *("\u200b", "\u202e", "\u2066", "\u2028", "\u2029", "\ufeff", "\ufffe", "\ufffd"),
    *("é", "漢字", "ǅ", "ª", "٣", "\u0301", "\U0001d54f", "\U0001f6e9", "\U000e0041", "\U0010ffff"),
    *("$(id)", "`id`", "; import os", "#", ")", "]", " ", "a", "word", ".md"),
]


def hostile(chance: random.Random, longest: int) -> str:
    """A text of such pieces and of any other characters, of any length up to the longest."""
    length = chance.randrange(1, longest + 1)
    text = ""
    while len(text) < length:
        if chance.random() < 0.7:
            text += chance.choice(PIECES)
        else:
            point = chance.randrange(0x110000)
            text += "" if 0xD800 <= point < 0xE000 else chr(point)
    return text[:length]


def plain(chance: random.Random, length: int) -> str:
    """Letters of one and of two columns."""
    letters = "abcdefghij klmnop" if chance.random() < 0.5 else "ab漢字 é"
    text = "".join(chance.choice(letters) for _ in range(length - 1)).strip()
    return text + "x" * (length - len(text))


def written(configs: Path, document: dict) -> Path:
    """A view of this config with the example's SQL; the DAG that it gets."""
    namespace, name = document["namespace"], document["name"]
    folder = configs / namespace
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.v1.json").write_text(json.dumps(document), encoding="utf-8")
    shutil.copy(EXAMPLE.with_suffix(".sql"), folder / f"{name}.v1.sql")
    return Path(namespace) / f"{name}_v1.py"


def formatted(folder: Path) -> None:
    for check in (["format", "--check"], ["check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *check, "--isolated", str(folder)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def constants(tree: ast.AST) -> set:
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}


def names(tree: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def test_no_text_of_any_author_becomes_code(tmp_path):
    """Python sees what was written and nothing else, and ruff finds nothing to format."""
    chance = random.Random(20130101)
    configs = tmp_path / "configs"
    example = json.loads(EXAMPLE.read_text())
    wanted = {}
    for at in range(200):
        document = json.loads(json.dumps(example))
        document["name"] = f"v{at:03}" + "_" * chance.randrange(60)
        if document["name"].endswith("_"):
            document["name"] += "x"
        document["description"] = "d" + hostile(chance, 300)
        document["owner"] = {
            "team": f"t{hostile(chance, 199)}",
            "contact": f"c{hostile(chance, 199)}",
        }
        document["features"][0]["description"] = "f" + hostile(chance, 120)
        # Other tags are refused; a quarter of them here.
        document["tags"] = [f"x{at}"] if at % 4 else [f"x{hostile(chance, 63)}"]
        wanted[written(configs, document)] = document
    (tmp_path / "trivium.toml").write_text("")
    done = subprocess.run(
        [DAGGEN, "generate"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    made = {
        path: document for path, document in wanted.items() if (tmp_path / "dags" / path).exists()
    }
    # What the configs' own rules refuse does not get as far, and is said to be wrong.
    refused = set(wanted) - set(made)
    assert done.returncode == (2 if refused else 0), done.stderr[-3000:]
    for path in refused:
        assert f"{path.parent}/{path.stem.removesuffix('_v1')}.v1.json:" in done.stderr
    assert len(made) >= 100, done.stderr[-3000:]
    (tmp_path / "plain").mkdir()
    usual = written(tmp_path / "plain", example)
    subprocess.run(
        [DAGGEN, "generate", "--configs", "plain", "--out", "usual"], cwd=tmp_path, check=True
    )
    known = names(ast.parse((tmp_path / "usual" / usual).read_text()))
    for path, document in made.items():
        source = (tmp_path / "dags" / path).read_text(encoding="utf-8")
        tree = ast.parse(source)
        found = constants(tree)
        for text in (document["description"], *document["owner"].values(), document["tags"][0]):
            assert text in found, (path, text)
        assert names(tree) == known, path
        # What one reads is what is there.
        unseen = {c for c in source if c not in "\n " and category(c)[0] in "CZ"}
        # Letters of a newer Unicode than this Python's are none to it.
        assert not {c for c in unseen if category(c) != "Cn"}, (path, unseen)
    formatted(tmp_path / "dags")


def test_the_longest_names_are_formatted_as_well(tmp_path):
    """Names of 63 characters, owners of every length, settings of every kind."""
    chance = random.Random(63)
    configs = tmp_path / "configs"
    example = json.loads(EXAMPLE.read_text())
    length = 0
    for at in range(210):
        document = json.loads(json.dumps(example))
        size = 63 if at % 3 == 0 else chance.randrange(8, 64)
        document["namespace"] = f"n{at % 7}".ljust(size, "n")
        document["name"] = f"v{at}".ljust(63 if at % 2 == 0 else chance.randrange(8, 64), "v")
        length = min(at + 1, 200)
        document["owner"] = {"team": plain(chance, length), "contact": plain(chance, 201 - length)}
        document["urgency_tier"] = at % 4
        written(configs, document)
    upstream = "/".join(("n0".ljust(63, "n"), "v0".ljust(63, "v"))) + "@1"
    (tmp_path / "trivium.toml").write_text(
        f'[sources.flights]\nview = "{upstream}"\n'
        '[lineage]\nopenlineage = "file:x"\n'
        "[airflow]\ntables = true\n"
        f'catalog = "/{"c" * 78}"\ncommand = "/{"t" * 76}"\npool = "{"p" * 150}"\n'
        f'spark_connection = "{"s" * 150}"\ndeadline_callback = "{"m" * 90}.{"f" * 90}"\n'
        f'tags = ["{"g" * 100}"]\n[airflow.tiers.1]\nrows_per_second = 4000000000\n'
        f'[spark.conf]\n"{"k" * 60}" = "{"v" * 60}"\n'
    )
    # One of them reads itself by that source, and has no DAG.
    done = subprocess.run(
        [DAGGEN, "generate"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stderr.count("error[") == 1 and "circular-views" in done.stderr, done.stderr[-3000:]
    assert len(list((tmp_path / "dags").glob("n*/*.py"))) == 209
    formatted(tmp_path / "dags")


def test_a_kill_at_any_moment_leaves_only_whole_files(tmp_path):
    configs, dags = tmp_path / "configs", tmp_path / "dags"
    example = json.loads(EXAMPLE.read_text())
    for at in range(150):
        written(configs, example | {"name": f"v{at:03}"})
    (tmp_path / "trivium.toml").write_text("")
    broken: list[str] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            try:
                files = list(dags.rglob("*.py"))
            except FileNotFoundError:
                # A folder went while it was listed.
                continue
            for file in files:
                try:
                    text = file.read_text()
                except FileNotFoundError:
                    continue
                try:
                    ast.parse(text)
                    assert text.endswith("\n") and "# content: sha256:" in text
                    if file.parent.name == "flights":
                        definition = text.split("# sources: sha256:")[1][:16]
                        shipped = dags / "_trivium/definitions" / definition / "flights"
                        there = [one.suffix for one in shipped.iterdir() if one.name[0] != "."]
                        assert sorted(there) == [".json", ".sql"], there
                except (SyntaxError, AssertionError, FileNotFoundError) as error:
                    # What a DAG reads may go once the DAG has: then it was read too slowly.
                    if file.exists() and file.read_text() == text:
                        broken.append(f"{file}: {error!r}")

    begun = time.monotonic()
    subprocess.run([DAGGEN, "generate"], cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    took = time.monotonic() - begun
    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    chance = random.Random(9)
    killed = 0
    try:
        for go in range(30):
            for at in range(0, 150, 2):
                changed = example | {"name": f"v{at:03}", "description": f"Go {go}."}
                written(configs, changed)
            made = subprocess.Popen([DAGGEN, "generate"], cwd=tmp_path, stdout=subprocess.DEVNULL)
            # Where in its work that is depends on the machine; that it is whole then does not.
            time.sleep(chance.random() * took)
            made.kill()
            killed += made.wait() == -signal.SIGKILL
    finally:
        done.set()
        reader.join()
    assert not broken, broken[:3]
    assert killed > 0
    # What a kill left is swept as soon as it is surely nobody's, and nothing else is.
    left = dags / "flights/.v000_v1.py.1.new"
    left.write_text("half")
    young = dags / "flights/.v001_v1.py.2.new"
    young.write_text("half")
    for file in [left, *dags.rglob(".*.new")]:
        if file != young:
            os.utime(file, (0, 0))
    subprocess.run([DAGGEN, "generate"], cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    assert [file.name for file in dags.rglob(".*.new")] == [young.name]
    check = [DAGGEN, "generate", "--check"]
    assert (
        subprocess.run(check, cwd=tmp_path, stdout=subprocess.DEVNULL, check=False).returncode == 0
    )


def until(happened, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not happened():
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.05)


def test_a_branch_is_followed_whatever_is_checked_out(tmp_path):
    """Configs and settings are the branch's own, and move when the remote's do."""

    def git(folder: Path, *args: str) -> str:
        who = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
        command = ["git", "-C", str(folder), *who, *args]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    server, work = tmp_path / "server", tmp_path / "work"
    server.mkdir()
    git(server, "init", "-q", "-b", "main")
    shutil.copytree(REPO / "configs", server / "configs")
    (server / "trivium.toml").write_text('[airflow]\npool = "of_main"\n')
    git(server, "add", ".")
    git(server, "commit", "-q", "-m", "first")
    subprocess.run(["git", "clone", "-q", str(server), str(work)], check=True)
    # What is checked out says otherwise, and is not asked.
    git(work, "checkout", "-q", "-b", "mine")
    (work / "trivium.toml").write_text('[airflow]\npool = "of_mine"\n')
    shutil.rmtree(work / "configs")
    git(work, "commit", "-q", "-a", "-m", "mine")
    dags, log = tmp_path / "dags", tmp_path / "log"
    carrier = dags / "flights/carrier_daily_v1.py"
    # By whatever names, both are of one repository.
    (work / "below").mkdir()
    (tmp_path / "link").symlink_to(work)
    watcher = subprocess.Popen(
        [DAGGEN, "watch", "--git-ref", "origin/main", "--fetch", "origin"]
        + ["--configs", "../configs", "--project", str(tmp_path / "link/trivium.toml")]
        + ["--out", str(dags), "--interval", "1"],
        cwd=work / "below",
        stderr=log.open("wb"),
    )
    try:
        until(lambda: len(list(dags.glob("flights/*.py"))) == 4, log)
        assert '"pool": "of_main"' in carrier.read_text()
        config = server / "configs/flights/carrier_daily.v1.json"
        config.write_text(config.read_text().replace("Punctuality", "Lateness"))
        git(server, "commit", "-q", "-a", "-m", "a config")
        until(lambda: "Lateness" in carrier.read_text(), log)
        (server / "trivium.toml").write_text('[airflow]\npool = "another"\n')
        git(server, "commit", "-q", "-a", "-m", "a setting")
        until(lambda: '"pool": "another"' in carrier.read_text(), log)
        # A mistake in it is told with the place, once, and the DAGs stay.
        (server / "trivium.toml").write_text("[airflow]\npol = 1\n")
        git(server, "commit", "-q", "-a", "-m", "a mistake")
        until(lambda: "origin/main:trivium.toml:2:1" in log.read_text(), log)
        assert '"pool": "another"' in carrier.read_text()
        assert watcher.poll() is None
    finally:
        watcher.terminate()
        watcher.wait()
    for args, said in [
        (["--git-ref", "origin/nobody"], "origin/nobody"),
        (["--fetch", "origin"], "--git-ref"),
    ]:
        done = subprocess.run(
            [DAGGEN, "watch", *args], cwd=work, capture_output=True, text=True, check=False
        )
        assert done.returncode != 0 and said in done.stderr, (args, done.stderr)


def stand_in() -> dict[str, types.ModuleType]:
    """Modules in Airflow's place: a DAG file can be loaded, and nothing comes of it."""
    modules = {}
    for name in (
        "pendulum",
        "airflow",
        "airflow.sdk",
        "airflow.sdk.exceptions",
        "airflow.providers.apache.spark.operators.spark_submit",
        "airflow.providers.standard.operators.bash",
        "airflow.providers.standard.sensors.bash",
    ):
        modules[name] = mock.MagicMock(__name__=name)
    return modules


class Silent(Exception):
    """Says nothing of itself."""


@pytest.mark.parametrize(
    ("exception", "told"),
    [
        (Silent(), "Silent"),
        (Silent(" \n"), "Silent"),
        (TimeoutError(), "TimeoutError"),
        (ValueError("it is full"), "it is full"),
        (ValueError("-1 is no size\0"), "-1 is no size"),
    ],
)
def test_a_failure_without_a_word_is_told_all_the_same(tmp_path, monkeypatch, exception, told):
    project = Project.flights(tmp_path / "project")
    with (project.root / "trivium.toml").open("a") as file:
        file.write(
            '\n[lineage]\nopenlineage = "file:events.jsonl"\n[alerts]\nfile = "alerts.jsonl"\n'
            f'[airflow]\ncommand = "{Path(TRIVIUM).resolve()}"\n'
        )
    project.ok("apply", "--reason", "integration test")
    project.ok("dags", "generate", "--out", "dags")
    monkeypatch.chdir(project.root)
    with mock.patch.dict(sys.modules, stand_in()):
        dag = runpy.run_path(str(project.root / "dags/flights/carrier_daily_v1.py"))
    instance = types.SimpleNamespace(
        dag_id="d", task_id="extract.run_sql", run_id="-run", log_url="http://log"
    )
    day = mock.Mock(isoformat=lambda: "2013-01-05T00:00:00+00:00")
    dag["alert"]({"ti": instance, "exception": exception, "logical_date": day})
    assert json.loads((project.root / "alerts.jsonl").read_text())["error"] == told
    events = [json.loads(line) for line in (project.root / "events.jsonl").open()]
    assert [event["eventType"] for event in events] == ["START", "FAIL"]
    event = events[-1]
    assert event["run"]["facets"]["errorMessage"]["message"] == told


WAITS = """
import datetime, json, sys
from airflow.dag_processing.dagbag import DagBag
from airflow.models.taskinstance import TaskInstance
from airflow.serialization.serialized_objects import DagSerialization
ended = datetime.datetime(2013, 1, 1, tzinfo=datetime.timezone.utc)
found = []
(dag,) = DagBag(sys.argv[1]).dags.values()
# As `dags test` has it, and as the scheduler reads it back.
for dag in (dag, DagSerialization.from_dict(DagSerialization.to_dict(dag))):
    for task in dag.tasks:
        waits = []
        for number in range(1, 9):
            class Try:
                dag_id, task_id, logical_date = dag.dag_id, task.task_id, ended
                try_number, end_date, retry_delay_override = number, ended, None
            Try.task = task
            next_at = TaskInstance.next_retry_datetime(Try)
            waits.append((next_at - ended).total_seconds())
        found.append([task.task_id, waits])
print("FOUND " + json.dumps(found))
"""


@pytest.mark.parametrize("release", ["airflow", "airflow-oldest"])
def test_each_wait_for_another_try_is_longer(tmp_path, release):
    environments()
    python = AIRFLOW.parent.parent / release / "bin/python"
    if release != "airflow" and not python.exists():
        pytest.skip("the oldest Airflow is not installed: `scripts/airflow-env live` does it")
    project = Project.flights(tmp_path / "project")
    for file in (project.root / "configs/flights").iterdir():
        if not file.name.startswith("carrier_daily"):
            file.unlink()
    project.ok("dags", "generate", "--out", "dags")
    environment = os.environ | {
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(project.root / "dags"),
    }
    subprocess.run(
        [str(python.with_name("airflow")), "db", "migrate"],
        env=environment,
        check=True,
        capture_output=True,
    )
    done = subprocess.run(
        [str(python), "-c", WAITS, str(project.root / "dags")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    said = [line for line in done.stdout.splitlines() if line.startswith("FOUND ")]
    assert said, done.stdout[-3000:] + done.stderr[-3000:]
    tasks = json.loads(said[0].removeprefix("FOUND "))
    assert len(tasks) > 10
    for task, waits in tasks:
        # Tier 2: five minutes at first, an hour at most; Airflow adds up to as much again.
        for tried, wait in enumerate(waits):
            least = 300 * 2**tried
            assert min(least, 3600) <= wait <= min(2 * least, 3600), (task, waits)
