"""Bad inputs: each a specific error, no panic, no 5xx, and nothing changed."""

from __future__ import annotations

import copy
import json
import re
import shutil

import pytest
from bad_inputs import CONFIG_EDITS, CONFIG_TEXTS, FLAGS, GONE, REQUESTS, SQL_EDITS
from conftest import REPO, Project

VIEW = REPO / "configs/flights/carrier_daily.v1.json"
SQL = REPO / "configs/flights/carrier_daily.v1.sql"
FINDING = re.compile(r"^\S+:\d+:\d+: error\[[a-z-]+\]: \S.*$", re.M)


def test_there_are_two_hundred():
    count = sum(map(len, (CONFIG_EDITS, CONFIG_TEXTS, SQL_EDITS, REQUESTS, FLAGS)))
    assert count >= 200, count


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    return make(tmp_path_factory.mktemp("bad"))


def make(root) -> Project:
    project = Project.flights(root)
    project.ok("apply", "--reason", "good")
    project.ok("put", "flights/ground_stop@1", "-e", "origin=JFK", "--set", "active=true")
    (project.root / "bad.toml").write_text("[project\n")
    (project.root / "unknown.toml").write_text('[project]\ncolour = "red"\n')
    return project


@pytest.fixture(scope="module")
def scratch(tmp_path_factory) -> Project:
    """A project whose configs are made bad, one at a time."""
    project = Project.flights(tmp_path_factory.mktemp("scratch"))
    # Only this pair: the service would add errors that are the echo of the first.
    for path in (project.root / "configs/flights").iterdir():
        if not path.name.startswith("carrier_daily"):
            path.unlink()
    project.ok("apply", "--reason", "good")
    return project


def refused(project: Project, expected: str) -> None:
    """Validate refuses with a finding, and so does apply, and the registry stays as it was."""
    before = project.json("show", "flights/carrier_daily@1")
    done = project.run("validate")
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    assert "panicked" not in done.stderr
    assert FINDING.search(done.stderr), done.stderr
    assert expected in done.stderr, done.stderr
    applied = project.run("apply")
    assert applied.returncode != 0 or "nothing to change" in applied.stdout
    assert "panicked" not in applied.stderr
    assert project.json("show", "flights/carrier_daily@1") == before


def name_of(case) -> str:
    return str(case)[:60] if case is not GONE else "gone"


@pytest.mark.parametrize(("where", "what", "code"), CONFIG_EDITS, ids=name_of)
def test_config(scratch, where, what, code):
    config = copy.deepcopy(json.loads(VIEW.read_text()))
    place = config
    for step in where[:-1]:
        place = place[step]
    if what is GONE:
        del place[where[-1]]
    else:
        place[where[-1]] = what
    target = scratch.root / "configs/flights" / VIEW.name
    target.write_text(json.dumps(config, indent=2))
    try:
        refused(scratch, f"error[{code}]" if code else "error[")
    finally:
        shutil.copy(VIEW, target)


@pytest.mark.parametrize(
    ("text", "code"), [case[1:] for case in CONFIG_TEXTS], ids=[case[0] for case in CONFIG_TEXTS]
)
def test_config_text(scratch, text, code):
    target = scratch.root / "configs/flights" / VIEW.name
    target.write_text(text)
    try:
        refused(scratch, f"error[{code}]" if code else "error[")
    finally:
        shutil.copy(VIEW, target)


@pytest.mark.parametrize(("old", "new", "expected"), SQL_EDITS, ids=name_of)
def test_sql(scratch, old, new, expected):
    text = SQL.read_text()
    assert old in text
    target = scratch.root / "configs/flights" / SQL.name
    target.write_text(text.replace(old, new))
    try:
        refused(scratch, expected)
    finally:
        shutil.copy(SQL, target)


@pytest.fixture(scope="module")
def server(project):
    with project.dev() as server:
        yield server


@pytest.mark.parametrize(("path", "body", "expected"), REQUESTS, ids=name_of)
def test_request(server, path, body, expected):
    read = {"features": ["flights/ground_stop@1"], "entities": [{"origin": "JFK"}]}
    before = server.post("/v1/features/online/get", read).content
    answer = server.post(path, body)
    assert 400 <= answer.status_code < 500, (answer.status_code, answer.text)
    error = answer.json()
    assert set(error) == {"code", "message", "field", "help"}, error
    assert error["message"], error
    assert expected in error["message"] + error["field"] + error["help"], error
    assert server.post("/v1/features/online/get", read).content == before


@pytest.fixture(scope="module")
def idle(tmp_path_factory) -> Project:
    """The same without a server, which would keep others out of the online store."""
    return make(tmp_path_factory.mktemp("idle"))


@pytest.mark.parametrize(("args", "code", "expected"), FLAGS, ids=name_of)
def test_flags(idle, args, code, expected):
    project = idle
    before = fingerprint(project)
    done = project.run(*args)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    assert expected in done.stderr, done.stderr
    assert "panicked" not in done.stderr
    assert fingerprint(project) == before


def fingerprint(project: Project) -> tuple:
    lake = project.root / ".trivium/lake"
    return (
        project.ok("show", "flights/carrier_daily@1", "--output", "json"),
        project.ok("get", "flights/ground_stop@1", "-e", "origin=JFK", "--output", "json"),
        sorted(str(path) for path in lake.rglob("*.parquet")) if lake.exists() else [],
    )
