"""What is remembered and told of published partitions: `trivium record`, OpenLineage, Amundsen."""

from __future__ import annotations

import contextlib
import csv
import http.server
import json
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest
from amundsen_facts import AMUNDSEN, facts, features, serialised_alike
from conftest import REPO, Project

VIEW = "flights/carrier_daily@1"
DAYS = 9
CONFIG = REPO / "configs/flights/carrier_daily.v1.json"


def with_lineage(project: Project, text: str) -> None:
    file = project.root / "trivium.toml"
    file.write_text(file.read_text().split("\n[lineage]")[0] + f"\n[lineage]\n{text}\n")


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    """Nine days of flights, published."""
    project = Project.flights(tmp_path_factory.mktemp("catalog"))
    project.ok("apply", "--reason", "test")
    project.ok("run", VIEW, "--from", "2013-01-01", "--to", f"2013-01-0{DAYS}")
    return project


def recorded(project: Project, *options: str) -> dict[str, int]:
    """How often each outcome came, and how many events went."""
    answer = project.json("record", VIEW, "--author", "anna", *options)
    counts = {"events": answer["events"]}
    for one in answer["partitions"]:
        counts[one["outcome"]] = counts.get(one["outcome"], 0) + 1
    return counts


def test_partitions_are_recorded_once_and_events_follow(project: Project, tmp_path: Path):
    events = tmp_path / "events.jsonl"
    with_lineage(project, f'openlineage = "file:{events}"\nnamespace = "tests"')
    assert recorded(project, "--date", "2013-01-03") == {"RECORDED": 1, "events": 2}
    assert recorded(project) == {"RECORDED": DAYS - 1, "UNCHANGED": 1, "events": 2 * (DAYS - 1)}
    assert recorded(project) == {"UNCHANGED": DAYS, "events": 0}
    lines = [json.loads(line) for line in events.read_text().splitlines()]
    runs = {line["run"]["runId"] for line in lines}
    assert (len(lines), len(runs)) == (2 * DAYS, DAYS)
    assert recorded(project, "--again") == {"UNCHANGED": DAYS, "events": 2 * DAYS}
    again = [json.loads(line) for line in events.read_text().splitlines()]
    assert {line["run"]["runId"] for line in again} == runs

    complete = next(line for line in lines if line["eventType"] == "COMPLETE")
    assert complete["job"]["name"] == VIEW
    assert {one["name"] for one in complete["inputs"]} == {"flights"}
    output = complete["outputs"][0]
    fields = output["facets"]["columnLineage"]["fields"]
    inputs = {one["field"] for one in fields["avg_dep_delay_7d"]["inputFields"]}
    assert inputs == {"dep_delay"}
    assert output["facets"]["dataQualityMetrics"]["rowCount"] > 0
    sql = (REPO / "configs/flights/carrier_daily.v1.sql").read_text()
    assert complete["job"]["facets"]["sql"]["query"] == sql

    shown = project.json("show", VIEW, "--partitions")["partitions"]
    assert len(shown) == DAYS
    assert {one["author"] for one in shown} == {"anna"}
    pointer = next((project.root / ".trivium/lake").glob("flights/carrier_daily/v1/ds=*-09/_cur*"))
    pointer = json.loads(pointer.read_text())
    assert shown[0]["statistics"] == pointer["statistics"]
    assert shown[0]["content_hash"] == pointer["content_hash"]
    assert "2013-01-09" in project.ok("show", VIEW, "--partitions")


def test_kills_lose_no_event(tmp_path: Path):
    """Told before recorded: after kill -9 at any moment, the same command tells the rest."""
    days = 150
    project = Project.flights(tmp_path / "project")
    events = tmp_path / "events.jsonl"
    with_lineage(project, f'openlineage = "file:{events}"')
    project.ok("apply", "--reason", "test")
    project.ok("run", VIEW, "--from", "2013-01-01", "--to", "2013-05-30")
    for milliseconds in range(20, 320, 30):
        killed = subprocess.Popen(
            project.command("record", VIEW),
            cwd=project.root,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(milliseconds / 1000)
        killed.kill()
        killed.wait()
    assert len(project.json("record", VIEW)["partitions"]) == days
    lines = []
    for line in events.read_text().splitlines():
        # What a kill left of a line is a line of its own.
        with contextlib.suppress(json.JSONDecodeError):
            lines.append(json.loads(line))
    for kind in ("START", "COMPLETE"):
        assert len({one["run"]["runId"] for one in lines if one["eventType"] == kind}) == days


def test_a_failed_run_is_told(project: Project, tmp_path: Path):
    events = tmp_path / "events.jsonl"
    with_lineage(project, f'openlineage = "file:{events}"')
    why = "row_count: found 0, expected at least 1"
    project.ok("record", VIEW, "--date", "2013-02-01", "--failed", why, "--run-id", "x")
    start, fail = map(json.loads, events.read_text().splitlines())
    assert (start["eventType"], fail["eventType"]) == ("START", "FAIL")
    assert fail["run"]["facets"]["errorMessage"]["message"] == why
    assert start["run"]["runId"] == fail["run"]["runId"]
    for date, reason, said in [
        ("1999-01-01", why, "its schedule starts at"),
        ("2013-02-01", " ", "no reason is given"),
    ]:
        wrong = project.run("record", VIEW, "--date", date, "--failed", reason)
        assert wrong.returncode == 2 and said in wrong.stderr, wrong.stderr
    assert len(events.read_text().splitlines()) == 2
    with_lineage(project, "")
    refused = project.run("record", VIEW, "--date", "2013-02-01", "--failed", why)
    assert refused.returncode != 0
    assert "openlineage" in refused.stderr


def test_a_server_that_is_away_undoes_nothing(project: Project, tmp_path: Path):
    """And one that comes back is told with `--again`."""
    got = []

    class Marquez(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            got.append((self.path, json.loads(body)))
            self.send_response(201)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Marquez)
    url = f"http://127.0.0.1:{server.server_port}"
    other = Project.flights(tmp_path / "other")
    with_lineage(other, 'openlineage = "http://127.0.0.1:9"')
    other.ok("apply", "--reason", "test")
    other.ok("run", VIEW, "--from", "2013-01-01", "--to", "2013-01-02")
    done = other.run("record", VIEW, "--author", "anna")
    assert done.returncode == 0, done.stderr
    assert "OpenLineage was not told" in done.stderr
    assert len(other.json("show", VIEW, "--partitions")["partitions"]) == 2
    with_lineage(other, f'openlineage = "{url}"')
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    assert recorded(other, "--again") == {"UNCHANGED": 2, "events": 4}
    server.shutdown()
    assert [path for path, _ in got] == ["/api/v1/lineage"] * 4


def test_a_server_is_told(project: Project, tmp_path: Path):
    """The lake is here, the registry elsewhere."""
    with_lineage(project, "")
    other = Project.flights(tmp_path / "other")
    other.ok("apply", "--reason", "test")
    with other.dev() as server:
        assert recorded(project, "--server", server.http) == {"RECORDED": DAYS, "events": 0}
        shown = project.json("show", VIEW, "--partitions", "--server", server.http)
    assert len(shown["partitions"]) == DAYS


def test_what_is_not_there_is_said(project: Project):
    for arguments, words in [
        ((VIEW, "--date", "2013-03-01"), "is published"),
        ((VIEW, "--from", "2013-01-03", "--to", "2013-01-02"), "ends before it begins"),
        (("flights/ground_stop@1",), "not a batch view"),
        (("flights/nothing@1",), "flights/nothing@1"),
    ]:
        refused = project.run("record", *arguments)
        assert refused.returncode != 0, arguments
        assert words in refused.stderr, refused.stderr


def test_amundsens_own_models_say_the_same(project: Project, tmp_path: Path):
    with_lineage(project, "")
    recorded(project)
    out = tmp_path / "amundsen"
    tag = ("tag", VIEW, "--date", "2013-01-08", "--out", str(out))
    tagged = project.json(*tag)
    assert tagged["changed"]
    current = out / "flights/carrier_daily/v1/current"
    before = current.resolve()
    assert not project.json(*tag)["changed"]
    assert current.resolve() == before

    shown = project.ok("show", VIEW, "--partitions", "--output", "json")
    known = facts(CONFIG, shown, "2013-01-01", f"2013-01-0{DAYS}")
    serialised_alike(known, current, tmp_path)

    # An older day does not take the catalog back.
    assert not project.json("tag", VIEW, "--date", "2013-01-02", "--out", str(out))["changed"]
    # A newer one is another run; the one before stays for loaders under way.
    later = Project(Path(shutil.copytree(project.root, tmp_path / "later")))
    later.ok("run", VIEW, "--from", "2013-01-10", "--to", "2013-01-10")
    assert later.json("tag", VIEW, "--date", "2013-01-10", "--out", str(out))["changed"]
    assert current.resolve() != before
    assert before.is_dir()
    missing = later.run("tag", VIEW, "--date", "2013-02-01", "--out", str(out))
    assert missing.returncode == 3 and "2013-02-01" in missing.stderr, missing.stderr


def test_amundsens_publisher_loads_it_into_neo4j(project: Project, tmp_path: Path):
    for script in [["amundsen-env"], ["neo4j-server", "--setup"]]:
        subprocess.run([REPO / "scripts" / script[0], *script[1:]], check=True)
    with_lineage(project, "")
    out = tmp_path / "amundsen"
    project.ok("tag", VIEW, "--date", "2013-01-08", "--out", str(out))
    current = out / "flights/carrier_daily/v1/current"

    def rows(part: str) -> int:
        files = (current / part).glob("*.csv")
        return sum(len(list(csv.reader(file.open(encoding="utf8")))) - 1 for file in files)

    server = subprocess.Popen(
        [REPO / "scripts/neo4j-server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        line = next(line for line in server.stdout if line.startswith("bolt "))
        bolt = line.split()[1]

        def publish(tag: str) -> dict:
            script = REPO / "integration/amundsen_publish.py"
            done = subprocess.run(
                [AMUNDSEN, script, bolt, current, tag], capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
            return json.loads(done.stdout.splitlines()[-1])

        first = publish("one")
        # Each relation goes both ways there.
        assert (first["nodes"], first["relations"]) == (rows("nodes"), 2 * rows("relationships"))
        served = features(json.loads(CONFIG.read_text()))
        assert first["columns"] == len(served) + 3
        assert first["upstream"] == ["flights"]
        assert first["owner"] == ["ops-ml@example.com"]
        assert first["sql"] == [(REPO / "configs/flights/carrier_daily.v1.sql").read_text()]
        assert first["newest"] == [f"2013-01-0{DAYS}"]
        # A second load is the same graph, as is one of another day.
        assert publish("two") == first
        project.ok("tag", VIEW, "--date", "2013-01-09", "--out", str(out))
        assert publish("three") == first
    finally:
        server.stdin.close()
        server.wait(timeout=60)
