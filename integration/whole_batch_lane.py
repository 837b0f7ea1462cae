"""The whole of the batch lane, in the real thing: a part of `make test-airflow`.

Every view for three dates; an old date rewritten; every task of a DAG killed once; three hundred
DAGs. `whole_scheduler.py` is the rest. Some forty minutes. Each test runs alone, too.
"""

from __future__ import annotations

import ast
import csv
import datetime as dt
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from amundsen_facts import facts, serialised_alike
from batch_checks import (
    check_amundsen,
    check_lineage,
    check_offline,
    check_online,
    check_record,
    check_table,
    online,
    same,
)
from batch_lane import AIRFLOW, Lane, Metastore, Reader, environments, hive
from conftest import CACHE, DATA, Project
from reference import VIEWS, Reference

# The data clock, at first: the last of the three dates is over.
CLOCK = "2013-01-04T00:00:00Z"
THREE = ["2013-01-01", "2013-01-02", "2013-01-03"]
TASKS = [
    "wait_for_inputs",
    "extract.start",
    "extract.run_sql",
    "extract.check_quality",
    "publish.switch_raw",
    "publish.carry_and_roll_up",
    "publish.switch",
    "publish.update_table",
    "write_online",
    "tag",
    "record",
    "finish",
]
ASK_SERVING = ["write_online", "tag", "record"]
# The job's name in the run's folder.
SPARK_JOBS = {
    "extract.run_sql": "extract",
    "publish.carry_and_roll_up": "publish",
    "publish.update_table": "table",
}


def following(first: int, tasks: list[str]) -> dict[str, list[str]]:
    """For each task a date of its own, new to the lane: else there would be nothing to do."""
    dates = [(dt.date(2013, 1, 1) + dt.timedelta(days=day)).isoformat() for day in range(31)]
    return {task: dates[: first + at + 1] for at, task in enumerate(tasks)}


# Task -> its date, after those that are published by then.
SERVING_KILLS = following(len(THREE), ASK_SERVING)
AIRFLOW_KILLS = following(len(THREE) + len(ASK_SERVING), TASKS)
SPARK_KILLS = following(len(THREE), list(SPARK_JOBS))

OLDEST = CACHE / "venvs/airflow-oldest/bin"
# Of some of three hundred DAGs: with cron's timetables and with the other.
SPANS = ["1d", "1h", "15m", "7d", "2d", "10d"]
# The task before.
BEFORE = {"write_online": "publish.update_table", "tag": "write_online", "record": "tag"}


@pytest.fixture(scope="module")
def metastore(tmp_path_factory):
    environments()
    metastore = Metastore(tmp_path_factory.mktemp("metastore") / "hive")
    yield metastore
    metastore.stop()


@pytest.fixture(scope="module")
def lane(tmp_path_factory, metastore):
    lane = Lane(tmp_path_factory.mktemp("whole") / "project", CLOCK, metastore)
    lane.serve()
    yield lane
    lane.stop()


@pytest.mark.parametrize("view", list(VIEWS))
def test_three_dates(lane, reference, tmp_path, view):
    """Offline, online, the table, the registry, Amundsen and OpenLineage, all worked out again."""
    for date in THREE:
        lane.start(view, date).succeeds()
    check_offline(lane, reference, view, THREE)
    check_online(lane, reference, view, THREE[-1])
    check_table(lane, view, THREE)
    for date in THREE:
        check_record(lane, reference, view, date)
    check_amundsen(lane, reference, view, THREE[0], THREE[-1])
    shown = lane.project.ok(
        *("show", f"flights/{view}@1", "--partitions", "--output", "json"),
        *("--server", f"http://127.0.0.1:{lane.http_port}"),
    )
    known = facts(lane.root / f"configs/flights/{view}.v1.json", shown, THREE[0], THREE[-1])
    current = lane.root / "catalog/flights" / view / "v1/current"
    serialised_alike(known, current, tmp_path)
    told = check_lineage(lane)
    assert told["COMPLETE"] >= len(THREE) and told.keys() == {"START", "COMPLETE"}


@pytest.mark.parametrize("view", list(VIEWS))
def test_the_local_engine_gives_the_same_partitions(lane, tmp_path, view):
    lane.equals_local(view, THREE, tmp_path / "local", CLOCK)


def changed_day(reference: Reference, folder: Path, date: str) -> Path:
    """The raw files as they might be delivered a second time: one day has other rows."""
    that = dt.date.fromisoformat(date)
    later = [day for day in map(dt.date.fromisoformat, THREE) if day > that]
    carried = sorted(
        route
        for route, on in reference.raw["route_daily"].items()
        if that in on and not any(day in on for day in later)
    )
    # Some that were carried over to the later days never flew, and Hawaiian not at all on that day;
    # others fly otherwise, and one is new.
    gone = carried[::2]
    folder.mkdir()
    for name in ("weather", "planes", "airports"):
        (folder / f"{name}.csv").symlink_to(DATA / f"{name}.csv")
    changed = 0
    with (DATA / "flights.csv").open() as old, (folder / "flights.csv").open("w") as new:
        lines = csv.DictReader(old)
        out = csv.DictWriter(new, lines.fieldnames, lineterminator="\n")
        out.writeheader()
        for at, row in enumerate(lines):
            if row["month"] != "1":
                break
            if int(row["day"]) == that.day:
                changed += 1
                if (row["origin"], row["dest"]) in gone or row["carrier"] == "HA":
                    continue
                if at % 5 == 0 and row["arr_delay"] != "NA":
                    row["dep_delay"] = str(int(row["dep_delay"]) + 90)
                    row["arr_delay"] = str(int(row["arr_delay"]) + 77)
                    row["air_time"] = str(int(row["air_time"]) - 9)
                if changed == 11:
                    row |= {"carrier": "OO", "origin": "JFK", "dest": "LEX"}
                if at % 7 == 3:
                    continue
            out.writerow(row)
    assert changed > 800
    return folder


# Of the second, eight routes are flown for the last time.
@pytest.mark.parametrize(("view", "date"), [("carrier_daily", THREE[0]), ("route_daily", THREE[1])])
def test_an_old_date_is_rewritten(lane, reference, tmp_path, view, date):
    """Its rows change: later dates' windows and carryover follow, offline and online, and back."""
    lane.publish(view, THREE)
    lane.day_is_over(THREE[-1])
    folder = changed_day(reference, tmp_path / "changed", date)
    changed = Reference(folder)
    # Whoever is in one of the two alone is asked for, too.
    everybody = sorted({*reference.entities(view), *changed.entities(view)})

    def everything() -> list[str]:
        return [lane.pointer(view, date)["content_hash"] for date in THREE]

    before = everything()
    toml = lane.root / "trivium.toml"
    whole = toml.read_text()
    (path,) = [line for line in whole.splitlines() if line.endswith('/flights.csv"')]
    toml.write_text(whole.replace(path, f'path = "{folder}/flights.csv"'))
    try:
        with Reader(lane, view):
            lane.start(view, date).succeeds()
    finally:
        toml.write_text(whole)
    are_others = [ours != theirs for ours, theirs in zip(everything(), before, strict=True)]
    assert are_others == [one >= date for one in THREE]
    check_offline(lane, changed, view, THREE)
    check_online(lane, changed, view, THREE[-1], everybody)
    # The files of before, once more: the rows of before.
    lane.start(view, date).succeeds()
    assert everything() == before
    check_offline(lane, reference, view, THREE)
    check_online(lane, reference, view, THREE[-1], everybody)
    check_table(lane, view, THREE)


@pytest.mark.parametrize("task", ASK_SERVING)
def test_serving_is_killed_in_every_task_that_asks_it(lane, reference, task):
    """It takes the call, does not answer, and dies."""
    view, dates = "carrier_daily", SERVING_KILLS[task]
    lane.day_is_over(dates[-1])
    lane.publish(view, dates[:-1])
    run = lane.start(view, dates[-1])
    run.in_task(BEFORE[task])
    if task == "write_online":
        lane.server.send_signal(signal.SIGSTOP)
        run.in_task(task)
    else:
        run.in_task(task)
        lane.server.send_signal(signal.SIGSTOP)
    time.sleep(1)
    lane.kill_server()
    lane.serve()
    said = run.succeeds()
    if task == "write_online":
        assert said.count(f"starting task_id={task} ") >= 2
    check_offline(lane, reference, view, dates)
    check_online(lane, reference, view, dates[-1])
    check_record(lane, reference, view, dates[-1])


def test_two_versions_run_side_by_side(lane, reference):
    """The second is its own: DAG, partitions, table, rows online; the first stays as it was."""
    view = "carrier_daily"
    lane.publish(view, THREE)
    configs = lane.root / "configs/flights"
    document = json.loads((configs / "carrier_daily.v1.json").read_text())
    document["version"] = 2
    (configs / "carrier_daily.v2.json").write_text(json.dumps(document))
    sql = (configs / "carrier_daily.v1.sql").read_text()
    assert sql.count("count(*) AS flights") == 1
    sql = sql.replace("count(*) AS flights", "count(*) + 1000 AS flights")
    (configs / "carrier_daily.v2.sql").write_text(sql)
    lane.restarted(lambda: lane.project.ok("apply", "--reason", "another version"))
    lane.project.ok("dags", "generate", "--out", str(lane.dags))
    before = [lane.pointer(view, date)["content_hash"] for date in THREE]
    # Two that begin at once would both tell Airflow's database of a DAG that is new to it.
    lane.airflow("dags", "reserialize")
    runs = [lane.start(view, THREE[0], version) for version in (1, 2)]
    for run in runs:
        run.succeeds()
    assert [lane.pointer(view, date)["content_hash"] for date in THREE] == before
    table = "SELECT sum(flights), count(*) FROM flights.carrier_daily_v{} WHERE ds = '{}'"
    (first,) = hive(lane, table.format(1, THREE[0]))
    (second,) = hive(lane, table.format(2, THREE[0]))
    assert second == [first[0] + 1000 * first[1], first[1]]
    check_offline(lane, reference, view, THREE)
    # Online, each has its own rows: of the second one day is published, the first of all.
    published = (lane.root / ".trivium/lake/flights/carrier_daily/v1").glob("ds=*/_current.json")
    check_online(lane, reference, view, max(path.parent.name for path in published)[3:])
    names, entities = reference.features(view), reference.entities(view)
    asked = [dict(zip(VIEWS[view].keys, entity, strict=True)) for entity in entities]
    there = 0
    for entity, (values, statuses) in zip(
        entities, online(lane, view, names, asked, version=2), strict=True
    ):
        theirs, said = reference.online(view, entity, dt.date.fromisoformat(THREE[0]))
        assert statuses == said, entity
        if "NOT_FOUND" not in said.values():
            there += 1
            for name in ("flights", "flights_7d", "flights_30d"):
                theirs = theirs | {name: theirs[name] + 1000}
        assert all(same(values[name], theirs[name]) for name in names), (entity, values, theirs)
    assert there == second[1]


@pytest.mark.parametrize("task", TASKS)
def test_airflow_is_killed_in_every_task(lane, reference, task):
    """Killed with all that it started, and run again: as if nothing had been."""
    view, dates = "carrier_daily", AIRFLOW_KILLS[task]
    lane.day_is_over(dates[-1])
    lane.publish(view, dates[:-1])
    with Reader(lane, view) as reader:
        run = lane.start(view, dates[-1])
        run.in_task(task)
        if task == "publish.update_table":
            run.until_spark_asks_the_metastore()
        elif task in SPARK_JOBS:
            run.until_spark_writes(SPARK_JOBS[task])
        run.kill_worker()
        lane.start(view, dates[-1]).succeeds()
    assert reader.reads > 0
    check_offline(lane, reference, view, dates)
    check_online(lane, reference, view, dates[-1])
    check_record(lane, reference, view, dates[-1])


@pytest.mark.parametrize("task", list(SPARK_JOBS))
def test_spark_is_killed_in_every_job(lane, reference, task):
    """Its JVM, while it writes what the date is to have, or is about to move the table."""
    view, dates = "route_daily", SPARK_KILLS[task]
    lane.day_is_over(dates[-1])
    lane.publish(view, dates[:-1])
    folder = lane.root / ".trivium/lake/flights" / view / "v1" / f"ds={dates[-1]}"
    assert not folder.exists(), "a date of which nothing is left to do"
    with Reader(lane, view) as reader:
        run = lane.start(view, dates[-1])
        run.in_task(task)
        if task == "publish.update_table":
            run.until_spark_asks_the_metastore()
        else:
            run.until_spark_writes(SPARK_JOBS[task])
            assert not folder.exists(), "published before Spark had written it"
        run.kill_spark()
        said = run.succeeds()
    assert reader.reads > 0
    assert said.count(f"starting task_id={task} ") >= 2
    check_offline(lane, reference, view, dates)
    check_online(lane, reference, view, dates[-1])
    check_table(lane, view, dates[-1:])


def test_a_table_of_which_a_column_was_widened_is_made_anew(lane):
    """By a run without Airflow, which moves the table as a DAG does."""
    table, date = "flights.carrier_daily_v1", THREE[0]
    lake = lane.root / ".trivium/lake/flights/carrier_daily/v1"
    hive(lane, f"DROP TABLE IF EXISTS {table}")
    hive(lane, "CREATE DATABASE IF NOT EXISTS flights")
    hive(
        lane,
        f"CREATE EXTERNAL TABLE {table} (carrier STRING, flights INT) "
        f"PARTITIONED BY (ds STRING) STORED AS PARQUET LOCATION 'file://{lake}'",
    )
    arguments = ("flights/carrier_daily@1", "--date", date, "--engine", "spark")
    done = lane.project.run("run", *arguments, env=lane.environment)
    assert done.returncode == 0, done.stderr[-4000:]
    rows = lane.rows("carrier_daily", date)
    (found,) = hive(lane, f"SELECT sum(flights), count(*) FROM {table} WHERE ds = '{date}'")
    assert found == [sum(rows.column("flights").to_pylist()), rows.num_rows]


def by_two_days(lane: Lane) -> str:
    """A view of periods that no cron expression counts, of flights of both days."""
    configs = lane.root / "configs/flights"
    document = json.loads((configs / "plane_utilisation.v1.json").read_text())
    document |= {"name": "planes_by_two_days", "schedule": {"every": "2d", "start": "2013-01-01"}}
    document.pop("rollup")
    document["quality"] = [{"check": "row_count", "min": 1}]
    (configs / "planes_by_two_days.v1.json").write_text(json.dumps(document))
    sql = (configs / "plane_utilisation.v1.sql").read_text()
    day = "make_date(f.year, f.month, f.day) = DATE '{{ ds }}'"
    assert sql.count(day) == 1
    days = (
        "make_date(f.year, f.month, f.day) >= CAST(TIMESTAMP '{{ period_start }}' AS DATE)\n"
        "  AND make_date(f.year, f.month, f.day) < CAST(TIMESTAMP '{{ period_end }}' AS DATE)"
    )
    (configs / "planes_by_two_days.v1.sql").write_text(sql.replace(day, days))
    return "planes_by_two_days"


def test_the_oldest_airflow_runs_them_too(lane, reference):
    """3.2.0, as docs/batch.md says: loaded without a remark, and run.

    With a deadline, a pool of their own, and periods that no cron expression counts.
    """
    lane.publish("carrier_daily", THREE)
    before = [lane.pointer("carrier_daily", date)["content_hash"] for date in THREE]
    toml = lane.root / "trivium.toml"
    whole, newest = toml.read_text(), lane.environment
    settings = '[airflow]\npool = "ours"\n'
    tier = "[airflow.tiers.3]\n"
    spark_pool = f'{tier}spark_pool = "jvms"\n'
    assert whole.count("[airflow]\n") == whole.count(tier) == 1
    lane.environment = newest | {
        "AIRFLOW_HOME": str(lane.root / "airflow-oldest"),
        "PATH": newest["PATH"].replace(str(AIRFLOW), str(OLDEST)),
    }
    try:
        toml.write_text(whole.replace("[airflow]\n", settings).replace(tier, spark_pool))
        view = by_two_days(lane)
        lane.restarted(lambda: lane.project.ok("apply", "--reason", "two days"))
        lane.project.ok("dags", "generate", "--out", str(lane.dags))
        assert lane.airflow("version").split()[-1] == "3.2.0"
        lane.airflow("db", "migrate")
        for pool in ("ours", "jvms"):
            lane.airflow("pools", "set", pool, "2", "of this test")
        dags, errors, warnings, _ = lane.loaded(OLDEST)
        assert {"flights.carrier_daily.v1", f"flights.{view}.v1"} <= set(dags)
        assert (errors, warnings) == ({}, [])
        made = (lane.dags / f"flights/{view}_v1.py").read_text()
        for part in ("DeltaDataIntervalTimetable(", "DeadlineAlert(", "company.late"):
            assert part in made
        for pool in ("ours", "jvms"):
            assert f'pool="{pool}"' in made or f'"pool": "{pool}"' in made
        # The tier's pool is for its views alone.
        assert "jvms" not in (lane.dags / "flights/carrier_daily_v1.py").read_text()
        lane.start("carrier_daily", THREE[0]).succeeds()
        lane.start(view, THREE[0]).succeeds()
    finally:
        lane.environment = newest
        toml.write_text(whole)
        lane.project.ok("dags", "generate", "--out", str(lane.dags))
    assert [lane.pointer("carrier_daily", date)["content_hash"] for date in THREE] == before
    days = [dt.date.fromisoformat(date) for date in THREE[:2]]
    expected = {}
    for (tailnum,), on in reference.raw["plane_utilisation"].items():
        if flown := [row.values["flights"] for day in days for row in on.get(day, [])]:
            expected[tailnum] = sum(flown)
    rows = lane.rows(view, THREE[0]).to_pylist()
    assert {row["tailnum"]: row["flights"] for row in rows} == expected
    assert len(rows) == len(expected)


def test_three_hundred_dags(tmp_path, lane):
    """All parse, for Python, ruff and Airflow; what parsing costs is printed."""
    project = Project.flights(tmp_path / "project")
    configs = project.root / "configs/flights"
    for stem in ("carrier_daily", "route_daily", "plane_utilisation"):
        document = json.loads((configs / f"{stem}.v1.json").read_text())
        for at in range(100):
            document["name"] = f"{stem}_{at}"
            if stem == "plane_utilisation":
                document["schedule"]["every"] = SPANS[at % len(SPANS)]
                document.pop("rollup", None)
            (configs / f"{stem}_{at}.v1.json").write_text(json.dumps(document))
            shutil.copy(configs / f"{stem}.v1.sql", configs / f"{stem}_{at}.v1.sql")
        for ending in ("json", "sql"):
            (configs / f"{stem}.v1.{ending}").unlink()
    for name in (
        "airport_weather.v1.json",
        "airport_weather.v1.sql",
        "delay_model.v1.service.json",
    ):
        (configs / name).unlink()
    project.ok("dags", "generate")
    dags = project.root / "dags"
    files = sorted(dags.glob("flights/*.py"))
    assert len(files) == 300
    for file in files:
        ast.parse(file.read_text())
    for check in (["format", "--check", "--isolated"], ["check", "--isolated"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *check, str(dags)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
    loaded, errors, warnings, seconds = lane.loaded(dags=dags)
    count = len(loaded)
    assert (count, errors, warnings) == (300, {}, [])
    print(f"\nDagBag: {count} files in {seconds:.1f} CPU-s, {seconds / count * 1000:.0f} ms a file")
