"""The generator as a service, and the steps that need no Spark: waiting, telling owners."""

from __future__ import annotations

import ast
import http.server
import json
import re
import subprocess
import threading
import time
from pathlib import Path

import pytest
from conftest import PATIENCE_SECONDS, REPO, TRIVIUM, Project

DAGGEN = str(Path(TRIVIUM).resolve().with_name("trivium-daggen"))


@pytest.fixture
def project(tmp_path) -> Project:
    return Project.flights(tmp_path / "project")


def until(happened) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_service_follows_the_configs(project):
    """What changes is written, what goes is removed, and at no moment is a file half there."""
    dags = project.root / "dags"
    log = (project.root / "daggen.log").open("wb")
    watcher = subprocess.Popen(
        [DAGGEN, "watch", "--configs", "configs", "--out", "dags", "--interval", "1"],
        cwd=project.root,
        stderr=log,
    )
    broken: list[str] = []
    done = threading.Event()

    def parse() -> None:
        while not done.is_set():
            for file in dags.glob("flights/*.py"):
                try:
                    text = file.read_text()
                except FileNotFoundError:
                    continue
                try:
                    ast.parse(text)
                    assert text.endswith("\n") and "chain(" in text
                except (SyntaxError, AssertionError) as error:
                    broken.append(f"{file}: {error!r}")

    reader = threading.Thread(target=parse, daemon=True)
    reader.start()
    try:
        carrier = dags / "flights/carrier_daily_v1.py"
        until(lambda: len(list(dags.glob("flights/*.py"))) == 4)
        config = project.root / "configs/flights/carrier_daily.v1.json"
        whole = config.read_text()
        for at in range(3):
            config.write_text(whole.replace("Punctuality", f"Punctuality {at}"))
            until(lambda said=f"Punctuality {at}": said in carrier.read_text())
        # A mistake: the DAG stays; mended, it follows again.
        config.write_text(whole.replace('"owner"', '"ownr"'))
        time.sleep(2.5)
        assert "Punctuality 2" in carrier.read_text()
        config.write_text(whole)
        until(lambda: "Punctuality 2" not in carrier.read_text())
        for ending in ("json", "sql"):
            (project.root / f"configs/flights/route_daily.v1.{ending}").unlink()
        until(lambda: not (dags / "flights/route_daily_v1.py").exists())
        assert carrier.exists()
    finally:
        done.set()
        reader.join()
        watcher.terminate()
        watcher.wait()
    assert not broken, broken[:3]
    said = (project.root / "daggen.log").read_text()
    assert said.count("ownr") == 1, "a mistake is told of once, not with every look"
    assert "route_daily_v1.py" in said


def definition(project: Project, view: str) -> Path:
    project.ok("dags", "generate")
    found = project.root.glob(f"dags/_trivium/definitions/*/flights/{view}.v1.json")
    return next(found).parent.parent


def test_a_period_waits_for_its_input(project):
    file = project.root / "trivium.toml"
    ready = project.root / "arrived/{{ ds }}/_SUCCESS"
    text = file.read_text().replace(
        "[sources.flights]\n", f'[sources.flights]\nready = "{ready}"\n', 1
    )
    file.write_text(text)
    of = ["--definition", str(definition(project, "carrier_daily"))]
    waiting = project.run("step", "wait", *of, "--at", "2013-01-05T00:00:00+00:00")
    assert waiting.returncode == 7
    assert "arrived/2013-01-05/_SUCCESS" in waiting.stderr
    arrived = project.root / "arrived/2013-01-05/_SUCCESS"
    arrived.parent.mkdir(parents=True)
    arrived.touch()
    assert "can run" in project.ok("step", "wait", *of, "--at", "2013-01-05")
    assert project.run("step", "wait", *of, "--at", "2013-01-06").returncode == 7
    # Another view reads other sources.
    other = ["--definition", str(definition(project, "airport_weather"))]
    project.ok("step", "wait", *other, "--at", "2013-01-06")
    # What can never come is no waiting.
    future = project.run("step", "wait", *of, "--at", "2014-06-01")
    assert future.returncode == 5 and "not over" in future.stderr
    before = project.run("step", "wait", *of, "--at", "2012-06-01")
    assert before.returncode == 2 and "before the schedule's start" in before.stderr


def test_what_an_author_wrote_is_shipped_unchanged():
    """Both files of every view, byte by byte, in the folder that its DAG names."""
    views = list((REPO / "configs").rglob("*.sql"))
    assert len(views) == 4
    for sql in views:
        view, version = sql.name.removesuffix(".sql").split(".")
        dag = (REPO / f"dags/{sql.parent.name}/{view}_{version}.py").read_text()
        (folder,) = re.findall(r'^DEFINITION = SHIPPED / "definitions" / "(\w+)"$', dag, re.M)
        shipped = REPO / "dags/_trivium/definitions" / folder / sql.parent.name
        for file in (sql, sql.with_suffix(".json")):
            assert (shipped / file.name).read_bytes() == file.read_bytes(), file
    shipped = (REPO / "dags/_trivium/definitions").rglob("*.sql")
    assert len(list(shipped)) == len(views), "what no DAG names"


def test_steps_out_of_order_say_what_is_missing(project):
    of = ["--definition", str(definition(project, "carrier_daily"))]
    run = project.ok("step", "start", *of, "--at", "2013-01-05").strip()
    for step, said in [
        ("check", "the Spark job did not run to its end"),
        ("raw", "the Spark job did not run to its end"),
        ("publish", "the Spark job did not run to its end"),
    ]:
        done = project.run("step", step, "--run", run)
        assert done.returncode == 7 and said in done.stderr, (step, done.stderr)
    # A second start takes the first one's folder away.
    again = project.ok("step", "start", *of, "--at", "2013-01-05").strip()
    assert not Path(run).exists() and Path(again).exists()
    gone = project.run("step", "check", "--run", run)
    assert gone.returncode == 3, gone.stderr
    # Only a run's folder is ever taken away.
    refused = project.run("step", "finish", "--run", str(project.root / "configs"))
    assert refused.returncode == 2 and (project.root / "configs").exists()
    project.ok("step", "finish", "--run", again)
    project.ok("step", "finish", "--run", again)
    assert not Path(again).exists()


def test_alerts_reach_their_owner(project):
    taken: list[dict] = []
    answers = [503, 200]

    class Webhook(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            status = answers.pop(0) if answers else 200
            if status == 200:
                taken.append(json.loads(body))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Webhook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with (project.root / "trivium.toml").open("a") as file:
        webhook = f"http://127.0.0.1:{server.server_port}/"
        file.write(f'\n[alerts]\nwebhook = "{webhook}"\nfile = "alerts.jsonl"\n')
    alert = {"view": "flights/carrier_daily@1", "task_id": "extract.check_quality"}
    done = project.run("step", "alert", input=json.dumps(alert))
    assert done.returncode == 0, done.stderr
    server.shutdown()
    line = json.loads((project.root / "alerts.jsonl").read_text())
    assert taken == [line], "tried again after a 503, and taken once"
    assert line | alert == line and "time" in line
    wrong = project.run("step", "alert", input="no json")
    assert wrong.returncode == 2 and "no JSON object" in wrong.stderr
    # Nobody there: the line in the file stays, and the command says so.
    server.server_close()
    away = project.run("step", "alert", input=json.dumps(alert))
    assert away.returncode == 7 and "alerts.webhook" in away.stderr
    assert len((project.root / "alerts.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("[airflow]\nretrys = 3\n", "unknown field `retrys`"),
        ('[airflow]\npool = "a\'b"\n', ": airflow.pool\n  do:    write letters"),
        ("[airflow.tiers.7]\n", "urgency tiers are 0, 1, 2 and 3"),
        ("[spark]\nmastr = 'x'\n", "unknown field `mastr`"),
        ("[alerts]\nwebhok = 'x'\n", "unknown field `webhok`"),
    ],
)
def test_wrong_settings_are_told(project, section, said):
    with (project.root / "trivium.toml").open("a") as file:
        file.write("\n" + section)
    done = project.run("dags", "generate")
    assert done.returncode == 2, done.stderr
    assert said in done.stderr and "trivium.toml" in done.stderr
    assert not (project.root / "dags").exists()


def test_an_unset_variable_of_alerts_stops_only_alerts(project):
    with (project.root / "trivium.toml").open("a") as file:
        file.write("\n[alerts]\nfile = '${NO_SUCH_VARIABLE}/x'\n")
    project.ok("dags", "generate")
    alert = {"view": "flights/carrier_daily@1", "task_id": "extract.check_quality"}
    done = project.run("step", "alert", input=json.dumps(alert))
    assert done.returncode == 2, done.stderr
    assert "NO_SUCH_VARIABLE" in done.stderr and "trivium.toml" in done.stderr
