"""The command at its edges: arguments, streams, files and links that are not what they should."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from conftest import PATIENCE_SECONDS, REPO, TRIVIUM, Project

GROUND_STOP = REPO / "configs/flights/ground_stop.v1.json"


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    """The example applied; read only."""
    project = Project.flights(tmp_path_factory.mktemp("command"))
    project.ok("apply", "--reason", "good")
    return project


@pytest.fixture
def direct(tmp_path) -> Project:
    """A project whose only view is a direct one."""
    project = Project.flights(tmp_path / "direct")
    for path in (project.root / "configs/flights").iterdir():
        if path.name != GROUND_STOP.name:
            path.unlink()
    return project


def raw(project: Project, *args: str | bytes, **options) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [TRIVIUM, *args],
        cwd=project.root,
        stderr=subprocess.PIPE,
        check=False,
        timeout=PATIENCE_SECONDS,
        **options,
    )


@pytest.mark.parametrize(
    "args",
    [
        (b"\xff",),
        (b"show", b"flights/\xff@1"),
        (b"get", b"flights/ground_stop@1", b"-e", b"origin=\xff"),
        (b"put", b"flights/ground_stop@1", b"-e", b"origin=JFK", b"--set", b"reason=\xe9"),
        (b"apply", b"--reason", b"caf\xe9"),
    ],
)
def test_arguments_that_are_no_text(project, args):
    for output in ([], ["--output", "json"]):
        done = raw(project, *args, *output, stdout=subprocess.PIPE)
        assert done.returncode == 2, done
        assert b"INVALID_ARGUMENT" in done.stderr
        assert b"panicked" not in done.stderr
        if output:
            error = json.loads(done.stderr)
            assert "UTF-8" in error["message"] or "subcommand" in error["message"], error


def test_paths_need_not_be_text(project):
    done = raw(project, b"validate", b"caf\xe9", stdout=subprocess.PIPE)
    assert done.returncode == 3, done


@pytest.mark.parametrize(
    "args",
    [
        ("ls",),
        ("ls", "--output", "json"),
        ("show", "flights/carrier_daily@1"),
        ("validate",),
        ("completions", "bash"),
        ("--help",),
        ("help", "run"),
        ("--version",),
    ],
)
def test_an_answer_that_is_lost_is_a_failure(project, args):
    with Path("/dev/full").open("wb") as full:
        done = raw(project, *args, stdout=full)
    assert done.returncode == 7, done
    assert b"standard output" in done.stderr
    if "json" in args:
        assert json.loads(done.stderr)["code"] == "RESOURCE_EXHAUSTED"
    assert b"panicked" not in done.stderr


@pytest.mark.parametrize("args", [("ls",), ("ls", "--output", "json"), ("help", "run")])
def test_a_reader_that_has_gone_is_none(project, args):
    reads, writes = os.pipe()
    os.close(reads)
    try:
        done = raw(project, *args, stdout=writes)
    finally:
        os.close(writes)
    assert (done.returncode, done.stderr) == (0, b""), done


def test_logs_have_no_colours_in_a_file(project):
    env = os.environ | {"TRIVIUM_LOG": "debug"}
    env.pop("NO_COLOR", None)
    with project.dev(env=env) as server:
        address = urlsplit(server.http)
        # What is no HTTP is told of at `debug`, before its connection is closed.
        with socket.create_connection((address.hostname, address.port)) as connection:
            connection.sendall(b"\x00\x01\r\n\r\n")
            while connection.recv(1_000):
                pass
    log = (project.root / "dev.log").read_text()
    assert "DEBUG" in log
    assert "\x1b" not in log


def test_help_is_asked_in_two_ways(project):
    for verb in ("run", "history", "init"):
        assert project.ok("help", verb) == project.ok(verb, "--help")
    done = project.run("help", "fly")
    assert done.returncode == 2
    assert "fly" in done.stderr


def test_a_wrong_entity_says_what_to_do(project):
    done = project.run("get", "flights/ground_stop@1", "--entity", "origin", "--output", "json")
    error = json.loads(done.stderr)
    assert "KEY=VALUE" in error["help"], error
    assert "--entity" in error["message"], error


# What a training set is not written to, the exit code, and what the error says.
OUTS = [
    ("frame.csv", 2, ".parquet"),
    ("frame.parquet", 2, "the entity frame itself"),
    ("./link.parquet", 2, "the entity frame itself"),
    ("hard.parquet", 2, "the entity frame itself"),
    ("training.txt", 2, ".parquet"),
    ("/dev/null", 2, ".parquet"),
    ("device.parquet", 2, ".parquet"),
    ("pipe.parquet", 2, "no regular file"),
    ("folder.parquet", 2, "a folder"),
    ("dangling.parquet", 3, "link"),
    ("none/training.parquet", 3, "none"),
    ("frame.csv/training.parquet", 2, "folder"),
]


@pytest.fixture(scope="module")
def places(project):
    import pyarrow as pa
    import pyarrow.parquet as pq

    root = project.root
    times = pa.array([1_372_636_800_000_000], pa.timestamp("us", "UTC"))
    frame = pa.table({"carrier": ["AA"], "origin": ["JFK"], "event_timestamp": times})
    pq.write_table(frame, root / "frame.parquet")
    (root / "frame.csv").write_text("carrier,origin,event_timestamp\nAA,JFK,2013-07-01T00:00:00Z\n")
    (root / "link.parquet").symlink_to("frame.parquet")
    (root / "hard.parquet").hardlink_to(root / "frame.parquet")
    (root / "device.parquet").symlink_to("/dev/null")
    (root / "dangling.parquet").symlink_to("none.parquet")
    (root / "folder.parquet").mkdir()
    os.mkfifo(root / "pipe.parquet")
    return root


def history(project: Project, out: str, entities: str = "frame.parquet"):
    view = "flights/carrier_daily@1"
    return project.run("history", "--entities", entities, "--features", view, "--out", out)


@pytest.mark.parametrize(("out", "code", "expected"), OUTS)
def test_a_training_set_overwrites_nothing_else(project, places, out, code, expected):
    before = {path.name: path.lstat().st_mtime_ns for path in places.iterdir()}
    frame = (places / "frame.parquet").read_bytes()
    done = history(project, out)
    assert done.returncode == code, (done.returncode, done.stderr)
    assert expected in done.stderr, done.stderr
    assert "do:" in done.stderr, done.stderr
    assert {path.name: path.lstat().st_mtime_ns for path in places.iterdir()} == before
    assert (places / "frame.parquet").read_bytes() == frame


def test_a_training_set_goes_through_a_link(project, places):
    (places / "sets").mkdir()
    (places / "sets/of_today.parquet").write_bytes(b"old")
    (places / "today.parquet").symlink_to("sets/of_today.parquet")
    done = history(project, "today.parquet")
    assert done.returncode == 0, done.stderr
    assert (places / "today.parquet").is_symlink()
    assert (places / "sets/of_today.parquet").read_bytes()[:4] == b"PAR1"
    assert [path.name for path in (places / "sets").iterdir()] == ["of_today.parquet"]


def test_entities_are_a_regular_file(project, places):
    for entities in ("folder.parquet", "pipe.parquet"):
        done = history(project, "training.parquet", entities)
        assert done.returncode == 2, (done.returncode, done.stderr)
        assert "--entities" in done.stderr


def test_a_service_among_features_is_named(project, places):
    out = ("--out", "x.parquet", "--entities", "frame.parquet")
    done = project.run("history", *out, "--features", "flights/delay_model@1")
    assert done.returncode == 2, done.stderr
    assert "--service flights/delay_model@1" in done.stderr
    done = project.run("history", *out, "--service", "flights/carrier_daily@1")
    assert done.returncode == 2, done.stderr
    assert "--features flights/carrier_daily@1" in done.stderr


# Paths that name what is not there in its kind: never a fault of ours.
@pytest.mark.parametrize(
    ("args", "code"),
    [
        (("ls", "--project", "trivium.toml/x"), 2),
        (("ls", "--project", "x" * 300), 2),
        (("init", "trivium.toml"), 2),
        (("init", "trivium.toml/x"), 2),
        (("validate", "trivium.toml/x"), 2),
        (("ls", "--data-dir", "trivium.toml/x"), 2),
    ],
)
def test_paths_of_another_kind(project, args, code):
    done = project.run(*args)
    assert done.returncode == code, (done.returncode, done.stderr)
    assert "do:" in done.stderr, done.stderr


@pytest.mark.parametrize("part", ["registry.db", "lake", "online"])
def test_parts_of_the_data_of_another_kind(project, tmp_path, part):
    data = ("--data-dir", str(tmp_path))
    if part == "registry.db":
        (tmp_path / part).mkdir()
    else:
        project.ok("apply", "--reason", "elsewhere", *data)
        (tmp_path / part).write_text("x")
    verbs = {
        "registry.db": ("ls",),
        "lake": ("run", "flights/carrier_daily@1", "--to", "2013-01-02"),
        "online": ("get", "flights/ground_stop@1", "--entity", "origin=JFK"),
    }
    done = project.run(*verbs[part], *data)
    assert done.returncode in (2, 5), (done.returncode, done.stderr)
    assert f"{tmp_path}/{part}" in done.stderr
    assert "os error" not in done.stderr
    assert "do:" in done.stderr


def findings(done: subprocess.CompletedProcess[str]) -> list[str]:
    found = re.findall(r"^\S*?([^/\s]+):\d+:\d+: error\[([a-z0-9-]+)\]", done.stderr, re.M)
    return sorted(f"{name} {code}" for name, code in found)


def test_a_dangling_link_hides_nothing(tmp_path):
    project = Project.flights(tmp_path / "links")
    folder = project.root / "configs/flights"
    (folder / "carrier_daily.v1.json").unlink()
    (folder / "carrier_daily.v1.json").symlink_to("nowhere.json")
    stop = folder / "ground_stop.v1.json"
    stop.write_text(stop.read_text().replace('"lane"', '"lain"'))
    for verb in ("validate", "plan", "apply"):
        done = project.run(verb)
        assert done.returncode == 2, done.stderr
        assert findings(done) == [
            "carrier_daily.v1.json unreadable",
            "ground_stop.v1.json missing-field",
            "ground_stop.v1.json unknown-field",
        ], done.stderr


def test_errors_of_other_files_are_not_passed_over(tmp_path):
    project = Project.flights(tmp_path / "others")
    (project.root / "configs/flights/ground_stop.v1.json").write_text("{")
    done = project.run("validate", "configs/flights/carrier_daily.v1.json")
    assert done.returncode == 0, done.stderr
    assert "1 error in other files" in done.stderr
    assert "0 views" not in done.stdout
    answer = project.json("validate", "configs/flights/carrier_daily.v1.json")
    assert answer["errors_elsewhere"] == 1


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("carrier_daily.v1.json", b"\xff", "not-utf8"),
        ("carrier_daily.v1.sql", b"\xff", "not-utf8"),
        ("carrier_daily.v1.sql", b" " * (256 * 1024 + 1), "file-too-large"),
        ("carrier_daily.v1.json", b" " * (1024 * 1024 + 1), "file-too-large"),
        ("carrier_daily.v1.json", b"", "syntax"),
    ],
)
def test_one_bad_file_is_one_finding(tmp_path, name, text, code):
    project = Project.flights(tmp_path / "one")
    (project.root / "configs/flights" / name).write_bytes(text)
    for verb in ("validate", "plan"):
        done = project.run(verb)
        assert done.returncode == 2, done.stderr
        assert findings(done) == [f"{name} {code}"], done.stderr


def test_only_direct_views_is_nothing_to_do(direct):
    done = direct.run("run")
    assert done.returncode == 5
    assert "trivium apply" in done.stderr and "registry.db" in done.stderr
    direct.ok("apply", "--reason", "direct only")
    for verb in ("run", "materialize"):
        done = direct.run(verb)
        assert done.returncode == 0, done.stderr
        assert f"nothing to {verb}" in done.stderr and "registry.db" in done.stderr
        assert "trivium put" in done.stderr
        assert direct.json(verb)["views"] == []


def test_control_characters_are_shown_and_not_obeyed(direct):
    direct.ok("apply", "--reason", "bell \x07 and \x1b[2J")
    entity = ("flights/ground_stop@1", "--entity", "origin=JFK")
    direct.ok("put", *entity, "--set", "active=true", "--set", "reason=a\x1b[2Jb\nc")
    for out in (direct.ok("get", *entity), direct.ok("show", "flights/ground_stop@1")):
        assert "\\u{1b}[2J" in out
        assert "\x1b" not in out
    assert "a\\u{1b}[2Jb\\nc" in direct.ok("get", *entity)


def test_another_process_has_the_store(project):
    with project.dev() as server:
        done = project.run("get", "flights/ground_stop@1", "--entity", "origin=JFK")
        assert done.returncode == 7, done.stderr
        assert "--server" in done.stderr
        assert server.http == "http://127.0.0.1:7400" or "7400" not in done.stderr


def test_what_init_prints_can_be_typed(tmp_path):
    done = subprocess.run(
        [TRIVIUM, "init", "my shop's"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    line = next(line for line in done.stdout.splitlines() if line.strip().startswith("cd "))
    there = subprocess.run(
        ["sh", "-c", f"{line} && ls trivium.toml"], cwd=tmp_path, capture_output=True, check=False
    )
    assert there.returncode == 0, (line, there.stderr)
