"""A source that is another view: read in order, waited for, told of in lineage, on both engines."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from batch_lane import SPARK, pyspark
from conftest import TRIVIUM, Project

DAYS = ["2013-01-01", "2013-01-02", "2013-01-03"]
# Before the view that it reads, by name.
READER = "flights/busy_carriers@1"
UPSTREAM = "flights/carrier_daily@1"

CONFIG = {
    "namespace": "flights",
    "name": "busy_carriers",
    "version": 1,
    "lane": "batch",
    "description": "Carriers over all airports.",
    "owner": {"team": "ops", "contact": "ops@example.com"},
    "urgency_tier": 2,
    "entities": [{"name": "carrier", "type": "string"}],
    "event_timestamp": "event_ts",
    "features": [
        {"name": "departures", "type": "int64", "description": "Departures of the day."},
        {"name": "origins", "type": "int64", "description": "Airports that it left."},
    ],
    "schedule": {"every": "1d", "start": "2013-01-01"},
    "online": True,
}
SQL = """
SELECT
  carrier,
  TIMESTAMP '{{ period_end }}' AS event_ts,
  SUM(flights) AS departures,
  COUNT(*) AS origins
FROM daily
WHERE event_ts = TIMESTAMP '{{ period_end }}'
GROUP BY carrier
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Project:
    project = Project.flights(tmp_path_factory.mktemp("views") / "project")
    toml = project.root / "trivium.toml"
    toml.write_text(
        toml.read_text()
        + f'\n[sources.daily]\nview = "{UPSTREAM}"\n'
        + '\n[lineage]\nopenlineage = "file:events.jsonl"\n'
        + f'\n[spark]\nsubmit = "{pyspark()}/bin/spark-submit"\nmaster = "local[2]"\n'
        + f'\n[airflow]\ncatalog = "{project.root}/catalog"\n'
    )
    folder = project.root / "configs/flights"
    (folder / "busy_carriers.v1.json").write_text(json.dumps(CONFIG, indent=2))
    (folder / "busy_carriers.v1.sql").write_text(SQL)
    project.ok("validate")
    project.ok("apply")
    return project


@pytest.fixture
def project(template, tmp_path) -> Project:
    """A copy: what a test publishes is its own."""
    root = tmp_path / "project"
    shutil.copytree(template.root, root)
    toml = root / "trivium.toml"
    toml.write_text(toml.read_text().replace(str(template.root), str(root)))
    return Project(root)


def value(answer) -> int:
    """The one feature that was asked for."""
    (row,) = answer["rows"]
    (one,) = row["values"]
    return one


def test_views_are_run_after_those_that_they_read(project):
    report = project.json("run", "--from", DAYS[0], "--to", DAYS[-1])
    ran = [one["view"] for one in report["views"]]
    assert ran.index(UPSTREAM) < ran.index(READER), ran
    published = {one["view"]: one["published_rows"] for one in report["views"]}
    assert published[READER] > 0


def test_what_is_not_published_is_waited_for(project, tmp_path):
    project.ok("run", UPSTREAM, "--from", DAYS[0], "--to", DAYS[0])
    early = project.run("run", READER, "--from", DAYS[0], "--to", DAYS[1])
    assert early.returncode == 5, early.stderr
    assert f"{UPSTREAM} ds={DAYS[1]}" in early.stderr
    # Not even the day that was there, and no half of another.
    assert not list((project.root / ".trivium/lake/flights/busy_carriers").rglob("_current.json"))

    definition = tmp_path / "definition"
    (definition / "flights").mkdir(parents=True)
    for ending in ("json", "sql"):
        source = project.root / f"configs/flights/busy_carriers.v1.{ending}"
        shutil.copy(source, definition / "flights")
    wait = ("step", "wait", "--definition", str(definition), "--at", f"{DAYS[1]}T00:00:00Z")
    done = project.run(*wait)
    assert done.returncode == 7, done.stderr
    assert f"sources.daily: {UPSTREAM} ds={DAYS[1]}" in done.stderr
    # `--date` is the whole DAG: it waits, too.
    whole = project.run("run", READER, "--date", DAYS[1])
    assert whole.returncode == 7, whole.stderr
    project.ok("run", UPSTREAM, "--from", DAYS[1], "--to", DAYS[1])
    assert project.run(*wait).returncode == 0


def test_a_whole_run_does_what_the_dag_does(project):
    project.ok("run", UPSTREAM, "--date", DAYS[0])
    told = project.json("run", READER, "--date", f"{DAYS[0]}T12:00:00Z")["views"][0]
    assert told["periods"] == 1 and told["published_changed"] == 1
    assert told["materialized"]["rows_written"] == told["published_rows"]
    assert told["recorded"]["partitions"][0]["outcome"] == "RECORDED"
    assert told["tagged"]["changed"]
    assert (project.root / "catalog/flights/busy_carriers/v1/current").is_dir()
    # Again changes nothing.
    again = project.json("run", READER, "--date", DAYS[0])["views"][0]
    assert (again["published_changed"], again["materialized"]["rows_written"]) == (0, 0)
    assert again["recorded"]["partitions"][0]["outcome"] == "UNCHANGED"
    departures = project.json("get", f"{READER}:departures", "-e", "carrier=AA")
    folder = project.root / f".trivium/lake/flights/carrier_daily/v1/ds={DAYS[0]}"
    pointer = json.loads((folder / "_current.json").read_text())
    upstream = pq.read_table([folder / pointer["run"] / name for name in pointer["files"]])
    flights = [row["flights"] for row in upstream.to_pylist() if row["carrier"] == "AA"]
    assert value(departures) == sum(flights) > 0

    events = [json.loads(line) for line in (project.root / "events.jsonl").open()]
    mine = [event for event in events if event["job"]["name"] == READER]
    assert [one["name"] for one in mine[-1]["inputs"]] == [UPSTREAM]
    made = [event for event in events if event["job"]["name"] == UPSTREAM]
    assert made[-1]["outputs"][0]["name"] == mine[-1]["inputs"][0]["name"]
    fields = mine[-1]["outputs"][0]["facets"]["columnLineage"]["fields"]
    assert fields["departures"]["inputFields"][0]["name"] == UPSTREAM


def test_a_backfill_says_who_reads_the_view(project):
    arguments = ("--from", DAYS[0], "--to", DAYS[1], "--dry-run")
    plan = project.json("backfill", UPSTREAM, *arguments)["plan"]
    assert READER in plan["read_by"]["views"]
    assert plan["downstream"] == []
    early = project.run("backfill", READER, "--from", DAYS[0], "--to", DAYS[1])
    assert early.returncode == 5, early.stderr
    # What was made from a period is named, period by period.
    project.ok("run", "--from", DAYS[0], "--to", DAYS[1])
    plan = project.json("backfill", UPSTREAM, "--from", DAYS[1], "--to", DAYS[2], "--dry-run")
    (made,) = plan["plan"]["downstream"]
    assert (made["view"], made["published"]) == (READER, [f"ds={DAYS[1]}"])
    said = project.ok("backfill", UPSTREAM, "--from", DAYS[1], "--to", DAYS[2], "--dry-run")
    at = f"{DAYS[1]}T00:00:00Z"
    assert f"trivium backfill {READER} --from {at} --to {at} --again" in said


def test_the_dag_names_the_views_that_it_reads(project):
    project.ok("dags", "generate", "--out", "dags")
    text = (project.root / "dags/flights/busy_carriers_v1.py").read_text()
    assert 'UPSTREAM = [\n    "trivium://flights/carrier_daily/v1",\n]' in text
    assert "inlets=[Asset(view) for view in UPSTREAM]," in text.split("run_sql = spark(")[1]
    assert "inlets=[" not in (project.root / "dags/flights/carrier_daily_v1.py").read_text()


def test_spark_gives_the_same_partition(project, monkeypatch):
    monkeypatch.setenv("SPARK_HOME", str(pyspark()))
    monkeypatch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
    monkeypatch.setenv("PYSPARK_PYTHON", str(SPARK / "bin/python"))
    project.ok("run", UPSTREAM, "--from", DAYS[0], "--to", DAYS[1])

    def pointer() -> dict:
        folder = project.root / f".trivium/lake/flights/busy_carriers/v1/ds={DAYS[1]}"
        return json.loads((folder / "_current.json").read_text())

    project.ok("run", READER, "--from", DAYS[1], "--to", DAYS[1])
    local = pointer()
    shutil.rmtree(project.root / ".trivium/lake/flights/busy_carriers")
    project.ok("backfill", READER, "--from", DAYS[1], "--to", DAYS[1], "--engine", "spark")
    spark = pointer()
    assert spark["source"]["engine"] == "spark"
    assert spark["content_hash"] == local["content_hash"]
    # It is journaled as a local one is: the same again has nothing to run.
    again = ("backfill", READER, "--from", DAYS[1], "--to", DAYS[1], "--dry-run")
    assert project.json(*again)["plan"]["finished"] == [f"ds={DAYS[1]}"]


def test_sql_that_only_spark_runs_is_applied_and_run(project, monkeypatch):
    monkeypatch.setenv("SPARK_HOME", str(pyspark()))
    monkeypatch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
    monkeypatch.setenv("PYSPARK_PYTHON", str(SPARK / "bin/python"))
    folder = project.root / "configs/flights"
    (folder / "busy_carriers.v2.json").write_text(json.dumps({**CONFIG, "version": 2}))
    only = "SUM(CAST(flights * length(soundex('Robert')) / 4 AS BIGINT))"
    assert "SUM(flights)" in SQL
    (folder / "busy_carriers.v2.sql").write_text(SQL.replace("SUM(flights)", only))
    for verb in ("validate", "apply"):
        done = project.run(verb)
        assert done.returncode == 0, done.stderr
        assert "warning[not-proven]" in done.stderr and "soundex" in done.stderr
    # Programs are told as well.
    (folder / "busy_carriers.v3.json").write_text(json.dumps({**CONFIG, "version": 3}))
    (folder / "busy_carriers.v3.sql").write_text(SQL.replace("SUM(flights)", only))
    (finding,) = project.json("apply")["findings"]
    assert (finding["code"], finding["severity"]) == ("not-proven", "warn"), finding
    assert finding["path"].endswith("busy_carriers.v3.sql") and "soundex" in finding["message"]
    assert "findings" not in project.json("apply")
    project.ok("run", UPSTREAM, "--from", DAYS[0], "--to", DAYS[1])
    project.ok("run", READER, "--from", DAYS[1], "--to", DAYS[1])
    second = ("run", "flights/busy_carriers@2", "--from", DAYS[1], "--to", DAYS[1])
    refused = project.run(*second)
    assert "soundex" in refused.stderr and "--engine spark" in refused.stderr
    project.ok(*second, "--engine", "spark")

    def rows(version: int) -> str:
        view = project.root / f".trivium/lake/flights/busy_carriers/v{version}/ds={DAYS[1]}"
        return json.loads((view / "_current.json").read_text())["content_hash"]

    assert rows(1) == rows(2)


def line_of(toml, section: str) -> int:
    return toml.read_text().splitlines().index(section) + 1


def second(project: Project, table: str) -> None:
    """A second version of the reader, of another table."""
    folder = project.root / "configs/flights"
    (folder / "busy_carriers.v2.json").write_text(json.dumps({**CONFIG, "version": 2}))
    own = SQL.replace("FROM daily", f"FROM {table}").replace("SUM(flights)", "SUM(departures)")
    (folder / "busy_carriers.v2.sql").write_text(own)


def refuses(project: Project, verb: tuple[str, ...], line: int, code: str) -> str:
    done = project.run(*verb)
    assert done.returncode == 2, (verb, done.stdout, done.stderr)
    assert f"trivium.toml:{line}:10: error[{code}]" in done.stderr, done.stderr
    return done.stderr


GENERATE = ("dags", "generate", "--out", "dags")


@pytest.mark.parametrize("verb", [("validate",), ("apply",), GENERATE])
def test_a_view_that_reads_itself_is_refused(project, verb):
    toml = project.root / "trivium.toml"
    toml.write_text(toml.read_text() + '\n[sources.itself]\nview = "flights/busy_carriers@2"\n')
    second(project, "itself")
    before = project.json("ls")
    line = line_of(toml, "[sources.itself]")
    told = refuses(project, verb, line, "circular-views")
    assert "flights/busy_carriers@2 reads its own rows, as `itself`" in told
    assert project.json("ls") == before
    if verb == GENERATE:
        made = {path.name for path in (project.root / "dags/flights").iterdir()}
        assert "busy_carriers_v1.py" in made and "busy_carriers_v2.py" not in made
        alone = subprocess.run(
            [Path(TRIVIUM).with_name("trivium-daggen"), "generate"],
            cwd=project.root,
            capture_output=True,
            text=True,
            check=False,
        )
        assert alone.returncode == 2, alone.stderr
        assert f"trivium.toml:{line}:10: error[circular-views]" in alone.stderr


def test_views_that_read_each_other_are_refused(project):
    toml = project.root / "trivium.toml"
    # Each is fine by itself, and the second is accepted before the circle is closed.
    second(project, "other")
    text = toml.read_text()
    toml.write_text(f'{text}\n[sources.other]\nview = "{READER}"\n')
    project.ok("apply")
    toml.write_text(toml.read_text().replace(f'view = "{UPSTREAM}"', f'view = "{READER[:-1]}2"'))
    line = line_of(toml, "[sources.other]")
    for verb in (("validate",), ("apply",), GENERATE):
        told = refuses(project, verb, line, "circular-views")
        assert "flights/busy_carriers@1 reads flights/busy_carriers@2 (as `daily`)" in told
    refused = project.run("run", "--from", DAYS[0], "--to", DAYS[0], "--output", "json")
    assert refused.returncode == 5, refused.stderr
    assert "read each other" in refused.stderr
    # What is in no circle is run all the same.
    assert UPSTREAM in [one["view"] for one in json.loads(refused.stdout)["views"]]


def test_of_circles_each_view_failed_and_their_readers_were_not_run(project):
    toml = project.root / "trivium.toml"
    text = toml.read_text()
    # Two circles, `b` and `c` and `e` and `f`, and a reader of each, named before and after them.
    reads = {"a": "c", "b": "c", "c": "b", "d": "a", "e": "f", "f": "e", "g": "e"}
    folder = project.root / "configs/flights"
    for name in reads:
        (folder / f"{name}.v1.json").write_text(json.dumps({**CONFIG, "name": name}))
        sql = SQL.replace("FROM daily", f"FROM of_{name}").replace(
            "SUM(flights)", "SUM(departures)"
        )
        (folder / f"{name}.v1.sql").write_text(sql)
    # Each is accepted as a reader of a view that is there; then the sources are the circles.
    start = "".join(f'\n[sources.of_{name}]\nview = "{READER}"\n' for name in reads)
    toml.write_text(text + start)
    project.ok("apply")
    circles = (
        f'\n[sources.of_{name}]\nview = "flights/{upstream}@1"\n'
        for name, upstream in reads.items()
    )
    toml.write_text(text + "".join(circles))
    done = project.run("run", "--from", DAYS[0], "--to", DAYS[0], "--output", "json")
    assert done.returncode == 5, done.stderr
    told = json.loads(done.stdout)
    assert {one["view"] for one in told["views"]} >= {UPSTREAM, READER}
    failed = {one["view"]: one for one in told["failed"]}
    assert set(failed) == {f"flights/{name}@1" for name in "bcef"}
    one, other = (f"flights/{name}@1 reads flights/" for name in "be")
    assert one in failed["flights/c@1"]["message"] and other in failed["flights/f@1"]["message"]
    assert failed["flights/b@1"]["field"].endswith(f":{line_of(toml, '[sources.of_c]')}:10")
    because = {one["view"]: one["because_of"] for one in told["not_run"]}
    assert because == {
        "flights/a@1": "flights/c@1",
        "flights/d@1": "flights/c@1",
        "flights/g@1": "flights/e@1",
    }
    said = project.run("run", "--from", DAYS[0], "--to", DAYS[0]).stderr
    assert said.count("views read each other's rows") == 2, said
    for name in "adg":
        assert f"flights/{name}@1 (for flights/" in said


def test_a_source_that_no_view_is_is_refused(project):
    toml = project.root / "trivium.toml"
    text = toml.read_text()
    # Nobody reads it, and it is wrong all the same.
    toml.write_text(text + '\n[sources.nobody]\nview = "flights/nobody@1"\n')
    line = line_of(toml, "[sources.nobody]")
    for verb in (("validate",), ("apply",)):
        told = refuses(project, verb, line, "unknown-source-view")
        assert "flights/nobody@1, which no config has" in told
    # A version that there is not, of a view that there is, and its reader.
    toml.write_text(text.replace(f'view = "{UPSTREAM}"', f'view = "{UPSTREAM[:-1]}9"'))
    line = line_of(toml, "[sources.daily]")
    for verb in (("validate",), ("apply",)):
        told = refuses(project, verb, line, "unknown-source-view")
        assert "sources.daily names flights/carrier_daily@9" in told
    # The generator knows the configs alone; the DAG's tasks ask the registry.
    done = project.run(*GENERATE)
    assert done.returncode == 0, done.stderr
    assert f"trivium.toml:{line}:10: warning[unknown-source-view]" in done.stderr
    text_of_dag = (project.root / "dags/flights/busy_carriers_v1.py").read_text()
    assert '"trivium://flights/carrier_daily/v9",' in text_of_dag
    toml.write_text(text)
    project.ok("validate")


def test_a_view_that_only_the_registry_has_is_read(project):
    """Its files have gone; its readers' DAGs are made, and wait for what it publishes."""
    for ending in ("json", "sql"):
        (project.root / f"configs/flights/carrier_daily.v1.{ending}").unlink()
    # Of the reader a comment is new.
    sql = project.root / "configs/flights/busy_carriers.v1.sql"
    sql.write_text(f"-- Of yesterday.\n{sql.read_text()}")
    project.ok("validate", "configs/flights/busy_carriers.v1.sql")
    project.ok(*GENERATE)
    text = (project.root / "dags/flights/busy_carriers_v1.py").read_text()
    definition = text.split('DEFINITION = SHIPPED / "definitions" / "')[1].split('"')[0]
    shipped = project.root / "dags/_trivium/definitions" / definition
    wait = ("step", "wait", "--definition", str(shipped), "--at", f"{DAYS[0]}T00:00:00Z")
    assert project.run(*wait).returncode == 7
    project.ok("run", UPSTREAM, "--from", DAYS[0], "--to", DAYS[0])
    assert project.run(*wait).returncode == 0


def test_a_view_that_fails_stops_those_alone_that_read_it(project):
    toml = project.root / "trivium.toml"
    # Two views of files of their own; each has a reader. The files go once the views are accepted.
    for name in ("first", "second"):
        toml.write_text(
            toml.read_text()
            + f'\n[sources.{name}]\nformat = "csv"\npath = "{name}.csv"\n'
            + f'\n[sources.of_{name}]\nview = "flights/{name}@1"\n'
        )
        file = project.root / f"{name}.csv"
        file.write_text("carrier,flights,event_ts\nAA,1,2013-01-02 00:00:00\n")
        for view, table in ((name, name), (f"reads_{name}", f"of_{name}")):
            folder = project.root / "configs/flights"
            config = {**CONFIG, "name": view}
            (folder / f"{view}.v1.json").write_text(json.dumps(config))
            sql = SQL.replace("FROM daily", f"FROM {table}")
            if view != name:
                sql = sql.replace("SUM(flights)", "SUM(departures)")
            (folder / f"{view}.v1.sql").write_text(sql)
    project.ok("apply")
    (project.root / "first.csv").unlink()
    (project.root / "second.csv").unlink()
    days = ("--from", DAYS[0], "--to", DAYS[0])
    done = project.run("run", *days)
    assert done.returncode == 3, done.stderr
    assert "flights/first@1: no such file" in done.stderr, done.stderr
    assert "first.csv" in done.stderr
    assert "flights/second@1: no such file" in done.stderr, done.stderr
    assert "flights/reads_first@1 (for flights/first@1)" in done.stderr, done.stderr
    assert f"ran {UPSTREAM}" in done.stdout and f"ran {READER}" in done.stdout

    done = project.run("run", *days, "--output", "json")
    assert done.returncode == 3
    told = json.loads(done.stdout)
    assert {UPSTREAM, READER} <= {one["view"] for one in told["views"]}
    failed = [(one["view"], one["code"]) for one in told["failed"]]
    assert failed == [("flights/first@1", "NOT_FOUND"), ("flights/second@1", "NOT_FOUND")]
    assert told["not_run"] == [
        {"view": f"flights/reads_{name}@1", "because_of": f"flights/{name}@1"}
        for name in ("first", "second")
    ]
    json.loads(done.stderr.splitlines()[-1])
    # Named alone, it is its failure and no more.
    done = project.run("run", "flights/first@1", *days)
    assert done.returncode == 3 and done.stdout == "" and "not run" not in done.stderr


def test_a_view_that_is_not_due_yet_stops_those_alone_that_read_it(project):
    toml = project.root / "trivium.toml"
    toml.write_text(toml.read_text() + '\n[sources.late]\nview = "flights/late@1"\n')
    folder = project.root / "configs/flights"
    late = {**CONFIG, "name": "late", "schedule": {**CONFIG["schedule"], "start": "2013-06-01"}}
    for view, config in (("late", late), ("reads_late", {**CONFIG, "name": "reads_late"})):
        (folder / f"{view}.v1.json").write_text(json.dumps(config))
        sql = (
            SQL
            if view == "late"
            else SQL.replace("FROM daily", "FROM late").replace("SUM(flights)", "SUM(departures)")
        )
        (folder / f"{view}.v1.sql").write_text(sql)
    project.ok("apply")
    done = project.run("run", "--from", DAYS[0], "--to", DAYS[0], "--output", "json")
    assert done.returncode == 2, done.stderr
    told = json.loads(done.stdout)
    assert {UPSTREAM, READER} <= {one["view"] for one in told["views"]}
    assert [one["view"] for one in told["failed"]] == ["flights/late@1"]
    not_run = {"view": "flights/reads_late@1", "because_of": "flights/late@1"}
    assert told["not_run"] == [not_run]
    assert "before the schedule's start of flights/late@1" in told["failed"][0]["message"]


def test_two_sources_of_one_name_are_told_at_the_second(project):
    toml = project.root / "trivium.toml"
    toml.write_text(toml.read_text() + '\n[sources.DAILY]\nformat = "csv"\npath = "a.csv"\n')
    line = line_of(toml, "[sources.DAILY]")
    for verb in (("validate",), GENERATE):
        done = project.run(*verb)
        assert done.returncode == 2, done.stderr
        assert f"trivium.toml:{line}:10: sources.DAILY" in done.stderr
        assert f"`daily` of line {line_of(toml, '[sources.daily]')}" in done.stderr
