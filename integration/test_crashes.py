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
from conftest import PATIENCE_SECONDS, Project

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
    seconds = duration(lambda: whole.ok("run", VIEW, "--from", FROM, "--to", TO))
    expected = partitions(whole)
    assert len(expected) == 2 * DAYS
    killed = 0
    for _ in range(KILLS):
        if pick.random() < 0.3:
            shutil.rmtree(project.root / ".trivium/lake", ignore_errors=True)
        killed += kill_during(
            project, pick.uniform(0, seconds), "run", VIEW, "--from", FROM, "--to", TO
        )
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
    seconds = duration(lambda: project.ok("materialize", VIEW))
    expected = read_all(project, entities)
    killed = 0
    for _ in range(KILLS):
        if pick.random() < 0.5:
            # A kill may have come before the store was made.
            shutil.rmtree(online, ignore_errors=True)
        killed += kill_during(project, pick.uniform(0, seconds), "materialize", VIEW)
    assert killed > KILLS // 3
    project.ok("materialize", VIEW)
    assert read_all(project, entities) == expected
    again = project.json("materialize", VIEW)["views"][0]
    assert again["rows_written"] == 0 and again["partitions_changed"] == 0, again


def test_apply(project, pick):
    """Each apply adds two views and changes the service: all of it is there, or none."""
    configs = project.root / "configs/flights"
    template = json.loads((configs / "ground_stop.v1.json").read_text())
    seconds = duration(lambda: project.ok("plan"))
    accepted = {v["name"] for v in project.json("ls")["views"]}
    killed = 0
    for number in range(KILLS):
        pair = [f"stop_{number}_{half}" for half in "ab"]
        for name in pair:
            text = json.dumps(template | {"name": name}, indent=2)
            (configs / f"{name}.v1.json").write_text(text)
        killed += kill_during(project, pick.uniform(0, seconds * 1.5), "apply")
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
