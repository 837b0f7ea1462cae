"""kill -9 in the middle of run, materialize, apply and put, at random moments.

What was acknowledged is there, running it again completes, no partition is half written."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import requests
from conftest import PATIENCE_SECONDS, Project, Server
from nodes import free_port

KILLS = int(os.environ.get("TRIVIUM_KILLS", "50"))
SEED = int(os.environ.get("TRIVIUM_SEED", "20130101"))
VIEW = "flights/carrier_daily@1"
FROM, TO = "2013-01-01", "2013-01-08"
DAYS = 8


@pytest.fixture(scope="module")
def pick() -> random.Random:
    # Printed with a failure: TRIVIUM_SEED repeats the same moments, as far as time is repeatable.
    print(f"TRIVIUM_SEED={SEED}")
    return random.Random(SEED)


@pytest.fixture
def project(tmp_path) -> Project:
    project = Project.flights(tmp_path / "project")
    project.ok("apply", "--reason", "crash test")
    return project


def duration(work) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started


def kill_during(project: Project, seconds: float, *args: str) -> bool:
    """Whether the command was still at work when it was killed."""
    process = subprocess.Popen(
        project.command(*args),
        cwd=project.root,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=PATIENCE_SECONDS)
        return True
    return False


class Moments:
    """Moments to kill a command at that once took so long. Where one has ended before, the machine
    is quicker now than it was: the next are sooner."""

    def __init__(self, pick, seconds: float) -> None:
        self.pick, self.seconds = pick, seconds

    def kill(self, project: Project, *args: str) -> bool:
        was_at_work = kill_during(project, self.pick.uniform(0, self.seconds), *args)
        if not was_at_work:
            self.seconds *= 0.9
        return was_at_work


def partitions(project: Project) -> dict[str, tuple]:
    """Every partition that readers see: what its pointer says, and what its files hold."""
    seen = {}
    lake = project.root / ".trivium/lake"
    for pointer in sorted(lake.rglob("_current.json")):
        said = json.loads(pointer.read_text())
        folder = pointer.parent
        files = sorted(folder.glob(f"run-{said['run']}/part-*.parquet"))
        if not files:
            files = sorted((folder / said["run"]).glob("part-*.parquet"))
        assert files or said["rows"] == 0, (pointer, said)
        rows = sum(pq.read_metadata(file).num_rows for file in files)
        assert rows == said["rows"], (pointer, said, rows)
        for file in files:
            pq.read_table(file)
        seen[str(folder.relative_to(lake))] = (said["rows"], said["content_hash"])
    return seen


def test_run(project, pick, tmp_path):
    whole = Project.flights(tmp_path / "whole")
    whole.ok("apply", "--reason", "crash test")
    moments = Moments(pick, duration(lambda: whole.ok("run", VIEW, "--from", FROM, "--to", TO)))
    expected = partitions(whole)
    assert len(expected) == 2 * DAYS
    killed = 0
    for _ in range(KILLS):
        if pick.random() < 0.3:
            shutil.rmtree(project.root / ".trivium/lake", ignore_errors=True)
        killed += moments.kill(project, "run", VIEW, "--from", FROM, "--to", TO)
        # Each partition is whole and right, or not there yet.
        for folder, content in partitions(project).items():
            if "_raw" in folder:
                assert content == expected[folder], folder
    assert killed > KILLS // 3, "hardly any run was still at work: make it longer"
    project.ok("run", VIEW, "--from", FROM, "--to", TO)
    assert partitions(project) == expected


def read_all(project: Project, entities: list[dict]) -> list:
    with project.dev() as server:
        answer = server.post("/v1/features/online/get", {"features": [VIEW], "entities": entities})
        assert answer.status_code == 200, answer.text
        # revs differ between stores; values, statuses and event times do not.
        return [
            (row["values"], row.get("statuses"), row.get("event_times"))
            for row in answer.json()["rows"]
        ]


def test_materialize(project, pick, tmp_path):
    # More days than the other tests run: loading them is quick.
    project.ok("run", VIEW, "--from", FROM, "--to", "2013-03-31")
    entities = [
        {"carrier": carrier, "origin": origin}
        for carrier in ("AA", "B6", "DL", "UA", "MQ", "HA", "OO", "ZZ")
        for origin in ("EWR", "JFK", "LGA")
    ]
    online = project.root / ".trivium/online"
    moments = Moments(pick, duration(lambda: project.ok("materialize", VIEW)))
    expected = read_all(project, entities)
    killed = 0
    for _ in range(KILLS):
        if pick.random() < 0.5:
            # A kill may have come before the store was made.
            shutil.rmtree(online, ignore_errors=True)
        killed += moments.kill(project, "materialize", VIEW)
    assert killed > KILLS // 3
    project.ok("materialize", VIEW)
    assert read_all(project, entities) == expected
    again = project.json("materialize", VIEW)["views"][0]
    assert again["rows_written"] == 0 and again["partitions_changed"] == 0, again


def test_materialize_waits_for_a_node_that_is_restarted(project):
    """One command: what the node did not take before its end is sent again to the next."""
    project.ok("run", VIEW, "--from", FROM, "--to", TO)
    ports = (free_port(), free_port())
    first = {"carrier": "AA", "origin": "JFK"}

    def is_online(server) -> bool:
        answer = server.post("/v1/features/online/get", {"features": [VIEW], "entities": [first]})
        assert answer.status_code == 200, answer.text
        return "NOT_FOUND" not in answer.json()["rows"][0].get("statuses", [])

    node = Server(project, ports=ports)
    command = ("materialize", VIEW, "--rows-per-second", "5", "--server", node.grpc)
    loading = subprocess.Popen(
        project.command(*command, "--output", "json"),
        cwd=project.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_online(node):
        assert time.monotonic() < deadline and loading.poll() is None
        time.sleep(0.02)
    node.kill()
    # It says so when it meets nobody.
    told = []
    for line in loading.stderr:
        told.append(line)
        if "sent again" in line:
            break
    assert "sent again" in told[-1], (told, loading.communicate())
    assert VIEW in told[-1]
    node = Server(project, ports=ports)
    try:
        answer, errors = loading.communicate(timeout=PATIENCE_SECONDS)
        assert loading.returncode == 0, errors
        assert json.loads(answer)["views"][0]["rows_written"] > 0
        assert is_online(node)
        again = project.json("materialize", VIEW, "--server", node.grpc)["views"][0]
        assert (again["partitions_changed"], again["rows_written"]) == (0, 0)
    finally:
        node.stop()


def test_apply(project, pick):
    """Each apply adds two views and changes the service: all of it is there, or none."""
    configs = project.root / "configs/flights"
    template = json.loads((configs / "ground_stop.v1.json").read_text())
    moments = Moments(pick, 1.5 * duration(lambda: project.ok("plan")))
    accepted = {v["name"] for v in project.json("ls")["views"]}
    killed = 0
    for number in range(KILLS):
        pair = [f"stop_{number}_{half}" for half in "ab"]
        for name in pair:
            text = json.dumps(template | {"name": name}, indent=2)
            (configs / f"{name}.v1.json").write_text(text)
        killed += moments.kill(project, "apply")
        names = {view["name"] for view in project.json("ls")["views"]}
        present = [name in names for name in pair]
        assert all(present) or not any(present), (number, present)
        assert accepted <= names
        project.ok("apply", "--reason", "again")
        accepted = {view["name"] for view in project.json("ls")["views"]}
        assert accepted >= set(pair)
        # Gone from the files, not from the registry.
        for name in pair:
            (configs / f"{name}.v1.json").unlink()
    assert killed > KILLS // 3


def test_put(project, pick):
    """A server is killed under writers: every acknowledged write is there afterwards."""
    acknowledged: dict[str, int] = {}
    tried: dict[str, int] = {}
    view = "flights/ground_stop@1"

    def write(server, name: str, stop: threading.Event) -> None:
        session = requests.Session()
        while not stop.is_set():
            number = tried.get(name, 0) + 1
            tried[name] = number
            body = {
                "view": view,
                "rows": [{"entity": {"origin": name}, "values": {"expected_minutes": number}}],
            }
            try:
                answer = session.post(
                    server.http + "/v1/features/online/put", json=body, timeout=30
                )
            except requests.RequestException:
                return
            assert answer.status_code == 200, answer.text
            result = answer.json()["results"][0]
            assert result["outcome"] == "APPLIED", result
            acknowledged[name] = number

    names = ["EWR", "JFK", "LGA", "X1"]
    for _ in range(KILLS):
        with project.dev() as server:
            read = {
                "features": [f"{view}:expected_minutes"],
                "entities": [{"origin": name} for name in names],
            }
            rows = server.post("/v1/features/online/get", read).json()["rows"]
            for name, row in zip(names, rows, strict=True):
                value = row["values"][0]
                # What was acknowledged, or the one write that was under way when it died.
                assert acknowledged.get(name, 0) <= value <= tried.get(name, 0), name
                tried[name] = max(tried.get(name, 0), value)
                acknowledged[name] = value
            stop = threading.Event()
            writers = [threading.Thread(target=write, args=(server, name, stop)) for name in names]
            for writer in writers:
                writer.start()
            time.sleep(pick.uniform(0.01, 0.3))
            server.kill()
            stop.set()
            for writer in writers:
                writer.join()
    assert sum(acknowledged.values()) > KILLS, acknowledged
    assert Path(project.root / ".trivium/online").exists()


def person_views(project) -> None:
    """Users have pages; members have an embedding, whose erasure waits for the longest write."""
    template = json.loads((project.root / "configs/flights/ground_stop.v1.json").read_text())
    page = {"name": "page", "type": "string"}
    secret = {"name": "secret", "type": "string", "description": "What was read."}
    embedding = {"embedding": {"dimension": 2, "metric": "l2"}}
    taste = {"name": "v", "type": embedding, "description": "What they like."}
    for name, person, keys, features in [
        ("seen", "user_id", [page], [secret]),
        ("taste", "member_id", [], [secret, taste]),
    ]:
        entities = [{"name": person, "type": "int64"}, *keys]
        config = template | {"name": name, "entities": entities, "features": features}
        config["subject"] = person
        (project.root / f"configs/flights/{name}.v1.json").write_text(json.dumps(config))
    project.ok("apply", "--reason", "persons")


class Person:
    """A user with pages, or a member with an embedding."""

    def __init__(self, key: str, number: int) -> None:
        self.number = number
        self.subject = {key: number}
        self.view = "flights/seen@1" if key == "user_id" else "flights/taste@1"
        pages = [{"page": f"p{page}"} for page in range(120)] if key == "user_id" else [{}]
        self.entities = [self.subject | page for page in pages]

    def fill(self, server) -> None:
        values = {"secret": f"secret-{self.number}"}
        if "member_id" in self.subject:
            values["v"] = [self.number, 1]
        rows = [{"entity": entity, "values": values} for entity in self.entities]
        assert set(self.put(server, rows)) == {"APPLIED"}

    def put(self, server, rows: list) -> list:
        body = {"view": self.view, "rows": rows}
        answer = server.post("/v1/features/online/put", body).json()
        return [result["outcome"] for result in answer["results"]]

    def name(self) -> dict:
        return {"namespace": "flights", "subject": self.subject}

    def erase(self, server) -> dict:
        """The report; without a state where the server died."""
        body = self.name() | {"request_id": f"r{self.number}"}
        url = server.http + "/v1/subjects/erase"
        try:
            return requests.post(url, json=body, timeout=PATIENCE_SECONDS).json()
        except requests.RequestException:
            return {}

    def rows(self, server) -> int:
        body = {"features": [self.view], "entities": self.entities}
        rows = server.post("/v1/features/online/get", body).json()["rows"]
        return sum(any(value is not None for value in row["values"]) for row in rows)


def test_erase(project, pick):
    """A server is killed while it erases persons: the next one ends it, and nothing is left."""
    person_views(project)
    kills = min(KILLS, 20)
    erased: list[Person] = []
    stayed: list[Person] = []
    open_at_death = 0
    seconds = 0.0
    for number in range(kills):
        with project.dev() as server:
            persons = [Person("user_id", number * 10 + one) for one in range(3)]
            if number in (5, 10):
                persons += [Person("member_id", number), Person("member_id", 1000 + number)]
            for person in persons:
                person.fill(server)
            stays = {0, 4}
            stayed += [person for at, person in enumerate(persons) if at in stays]
            going = [person for at, person in enumerate(persons) if at not in stays]
            erased += going
            callers = [threading.Thread(target=person.erase, args=(server,)) for person in going]
            started = time.monotonic()
            for caller in callers:
                caller.start()
            if number == 0:
                # How long it takes: kills come before that, and a little after.
                for caller in callers:
                    caller.join()
                seconds = time.monotonic() - started
            else:
                time.sleep(pick.uniform(0, seconds * 1.2))
            server.kill()
            for caller in callers:
                caller.join()
        with project.dev() as server:
            for person in going:
                answer = server.post("/v1/subjects/erasure", person.name())
                if answer.status_code != 200:
                    continue
                open_at_death += answer.json()["state"] != "DONE"
                # However far it came: history does not come back.
                late = {"entity": person.entities[0], "values": {"secret": "x"}}
                late["event_time"] = "2013-01-01T00:00:00Z"
                if "user_id" in person.subject:
                    late["entity"] = late["entity"] | {"page": "late"}
                    assert person.put(server, [late]) == ["ERASED"]
                else:
                    # What takes the row's place is newer, too.
                    assert person.put(server, [late])[0] in ("ERASED", "SUPERSEDED")
    assert open_at_death > kills // 4, open_at_death
    with project.dev() as server:
        deadline = time.monotonic() + PATIENCE_SECONDS
        for person in erased:
            while (report := person.erase(server)).get("state") != "DONE":
                assert time.monotonic() < deadline, report
            assert report["rows_verified"] == len(person.entities), report
        server.kill()
    # And after one more death.
    with project.dev() as server:
        assert [person.subject for person in erased if person.rows(server)] == []
        for person in stayed:
            assert person.rows(server) == len(person.entities), person.subject
        body = {"feature": "flights/taste@1:v", "vector": [0, 1], "k": 1000}
        hits = server.post("/v1/features/online/search", body).json()["hits"]
        members = [person.number for person in stayed if "member_id" in person.subject]
        assert sorted(hit["entity"]["member_id"] for hit in hits) == sorted(members)
