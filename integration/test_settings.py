"""What cannot be, in settings, arguments and files: each is told with where and what to do."""

from __future__ import annotations

import json
import shutil

import pytest
from conftest import Project

VIEW = "flights/carrier_daily@1"
DAY = "2013-01-01"


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    project = Project.flights(tmp_path_factory.mktemp("settings"))
    project.ok("apply", "--reason", "good")
    project.ok("run", VIEW, "--from", DAY, "--to", DAY)
    return project


def told(project: Project, code: int, *args: str) -> dict:
    """The error as programs get it: it says where, and what to do."""
    done = project.run(*args, "--output", "json")
    assert done.returncode == code, (done.stdout, done.stderr)
    error = json.loads(done.stderr.splitlines()[-1])
    assert error["message"] and error["field"] and error["help"], error
    return error


@pytest.mark.parametrize(
    ("section", "field", "says"),
    [
        ('[sources.x]\nformat = "csv"\npath = "a.csv"\nready = ""', "sources.x.ready", "no file"),
        ('[sources.x]\nformat = "csv"\npath = ""', "sources.x.path", "empty"),
        ('[airflow]\ndeadline_callback = "late"', "airflow.deadline_callback", "dotted path"),
        (
            '[airflow.tiers.1]\nwait_timeout = "1h"\nwait_interval = "2h"',
            "airflow.tiers.1.wait_interval",
            "wait_timeout 3600 s",
        ),
        ('[airflow]\ntags = [""]', "airflow.tags", "empty"),
        ("[airflow.tiers.2]\nrows_per_second = 0", "airflow.tiers.2.rows_per_second", "no row"),
        ('[alerts]\nwebhook = "ftp://x"', "alerts.webhook", "no webhook"),
        ('[spark.conf]\n"a" = "b\\nc"', "spark.conf.a", "a line's end"),
        ('[airflow]\npols = "x"', "", "unknown field `pols`, expected one of `command`"),
    ],
)
def test_a_setting_is_told_with_its_line(project, section, field, says):
    toml = project.root / "trivium.toml"
    good = toml.read_text()
    toml.write_text(f"{good}\n{section}\n")
    line = len(toml.read_text().splitlines())
    try:
        for verb in (("validate",), ("dags", "generate", "--out", "dags")):
            error = told(project, 2, *verb)
            assert error["field"] == f"trivium.toml:{line}:1" + (f": {field}" if field else "")
            assert says in error["message"]
    finally:
        toml.write_text(good)


@pytest.mark.parametrize("tag", ["", " ", "a\n"])
def test_a_tag_of_a_view_says_something(project, tag):
    path = project.root / "configs/flights/carrier_daily.v1.json"
    good = path.read_text()
    path.write_text(json.dumps({**json.loads(good), "tags": ["fine", tag]}, indent=2))
    try:
        done = project.run("validate")
        assert done.returncode == 2, done.stderr
        assert "carrier_daily.v1.json" in done.stderr and "is not a tag" in done.stderr
    finally:
        path.write_text(good)


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("ragged.csv", b"carrier,flights\nAA,1\nUA,2,3\n", ":3"),
        ("latin.csv", b"carrier,flights\nAA,1\n\xe9,2\n", ":3"),
        ("empty.csv", b"", ""),
        ("text.parquet", b"carrier,flights\nAA,1\n", ""),
    ],
)
def test_a_source_that_is_no_table_is_told_with_its_file(project, tmp_path, name, content, line):
    root = tmp_path / "project"
    shutil.copytree(project.root, root)
    copy = Project(root)
    toml = root / "trivium.toml"
    text = toml.read_text().replace(str(project.root), str(root))
    file = root / name
    head, _, rest = text.partition("[sources.flights]")
    rest = rest[rest.index("\n[") :]
    kind = name.rpartition(".")[2]
    toml.write_text(f'{head}[sources.flights]\nformat = "{kind}"\npath = "{name}"\n{rest}')
    file.write_bytes(content)
    for verb in (("validate",), ("run", VIEW, "--from", DAY, "--to", DAY)):
        error = told(copy, 2, *verb)
        assert error["code"] == "INVALID_ARGUMENT"
        assert error["field"] == f"{name}{line}"
        assert "mend the file" in error["help"]
    # One that is not there is told as it was.
    file.unlink()
    assert told(copy, 3, "run", VIEW, "--from", DAY, "--to", DAY)["field"] == name


@pytest.mark.parametrize("verb", ["run", "backfill"])
def test_ends_of_a_range_are_starts_of_periods(project, verb):
    noon = "2013-01-05T12:00:00Z"
    for arguments, field in [
        (("--from", DAY, "--to", noon), "--to"),
        (("--from", noon, "--to", "2013-01-06"), "--from"),
    ]:
        error = told(project, 2, verb, VIEW, *arguments)
        assert error["field"] == field
        assert error["message"].startswith(f"{noon} is inside a period of 1d")
        assert "such as 2013-01-05T00:00:00Z" in error["help"]
    leap = project.run(verb, VIEW, "--from", DAY, "--to", "2013-01-01T23:59:60Z")
    assert leap.returncode == 2 and "write a day" in leap.stderr


@pytest.mark.parametrize("table", ["other.flights", "parquet.`/etc/passwd`"])
def test_sources_have_one_name(project, table):
    path = project.root / "configs/flights/carrier_daily.v1.sql"
    good = path.read_text()
    assert good.count("FROM flights") == 1
    path.write_text(good.replace("FROM flights", f"FROM {table}"))
    try:
        done = project.run("validate")
        assert done.returncode == 2, done.stderr
        assert "by their names alone" in done.stderr and "declare" not in done.stderr
    finally:
        path.write_text(good)


def test_arguments_of_record(project):
    started = ("--started", "2013-01-03", "--finished", "2013-01-02")
    assert told(project, 2, "record", VIEW, *started)["field"] == "--started"
    assert told(project, 2, "record", VIEW, "--run-id", "")["field"] == "--run-id"
    project.ok("record", VIEW, "--started", "2013-01-02", "--finished", "2013-01-02")


@pytest.mark.parametrize("registry", ["nope", "grpc://localhost:7401", "http://", "ftp://a"])
def test_a_registry_that_is_no_address(project, registry):
    verbs = (("record", VIEW), ("run", VIEW), ("materialize",))
    for verb in verbs:
        done = project.run(*verb, "--registry", registry)
        assert done.returncode == 2, done.stderr
        assert "--registry" in done.stderr and "--server" not in done.stderr, done.stderr
        assert "write `http://HOST:PORT`" in done.stderr


def test_revisions_after_is_a_number(project):
    folder = project.root / ".trivium/lake/flights/carrier_daily/v1"
    file = folder / "_revisions_after"
    file.write_text("abc\n")
    try:
        error = told(project, 2, "run", VIEW, "--from", "2013-01-02", "--to", "2013-01-02")
        assert error["field"].endswith("carrier_daily/v1/_revisions_after")
        assert "remove the file" in error["help"]
    finally:
        file.unlink()


def test_a_journal_that_is_no_text(project):
    backfill = ("backfill", VIEW, "--from", DAY, "--to", DAY)
    project.ok(*backfill)
    (journal,) = (project.root / ".trivium").rglob("*.jsonl")
    journal.write_bytes(b"\xff\xfe\n")
    error = told(project, 10, *backfill)
    assert error["code"] == "DATA_LOSS"
    assert error["field"].endswith(journal.name) and "remove the journal" in error["help"]
